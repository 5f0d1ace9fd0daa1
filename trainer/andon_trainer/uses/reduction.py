"""Latent vectors of many images, beside as many principal components: what each keeps of the images."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from andon_monitor.errors import UsageError
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import NearestNeighbors

NEIGHBOURS = 5
MEASURED = 1000  # images that neighbourhoods and maps are of, at most: both take time in their square
FORMATS = (".parquet", ".csv", ".npz")


@dataclass(frozen=True)
class Measured:
    """What one way of reducing keeps.

    `error`: root mean square of the reconstruction's, in grey levels. `trustworthiness` and `continuity` in 0..1: how
    far neighbours in the codes are neighbours among the images, and the reverse (Venna & Kaski 2001). `same_label`: the
    share of nearest neighbours among the codes that have the same label, None without labels.
    """

    name: str
    size: int
    error: float
    trustworthiness: float
    continuity: float
    same_label: float | None


@dataclass(frozen=True)
class Reduction:
    """Latent vectors float32 [N, D], scores float32 [N], the components' codes [N, K], and both measured."""

    latents: NDArray[np.float32]
    scores: NDArray[np.float32]
    components: NDArray[np.float32]
    measured: tuple[Measured, Measured]
    chosen: NDArray[np.int64]  # the images that maps are drawn of


def reduce(part: Autoencoder, frames: Pixels, labels: Sequence[str], basis: Pixels) -> Reduction:
    """Reduce frames uint8 [N, H, W, C] by the model, and by principal components of the frames `basis`."""
    latents, scores = part.encode(frames), part.score(frames)
    flat = frames.reshape(len(frames), -1).astype(np.float32)
    count = min(part.latent_size, len(basis) - 1, flat.shape[1])
    pca = PCA(count, svd_solver="randomized", random_state=0).fit(basis.reshape(len(basis), -1).astype(np.float32))
    components = pca.transform(flat)
    chosen = np.sort(np.random.default_rng(0).permutation(len(frames))[:MEASURED])
    by_model = part.decode(latents).reshape(flat.shape)
    by_components = np.clip(pca.inverse_transform(components), 0, 255)
    images, names = flat[chosen], [labels[i] for i in chosen]
    return Reduction(
        latents,
        scores,
        components,
        (
            _measure("autoencoder", latents, by_model, flat, images, chosen, names),
            _measure("PCA", components, by_components, flat, images, chosen, names),
        ),
        chosen,
    )


def _measure(
    name: str,
    codes: NDArray[np.float32],
    rebuilt: NDArray[np.float32] | Pixels,
    flat: NDArray[np.float32],
    images: NDArray[np.float32],
    chosen: NDArray[np.int64],
    labels: Sequence[str],
) -> Measured:
    error = float(np.sqrt(np.square(rebuilt - flat, dtype=np.float64).mean()))
    some = standardise(codes)[chosen] if name == "autoencoder" else codes[chosen]
    neighbours = min(NEIGHBOURS, (len(images) - 1) // 2)
    same = None
    if len(set(labels)) > 1:
        nearest = NearestNeighbors(n_neighbors=2).fit(some).kneighbors(some, return_distance=False)[:, 1]
        same = float(np.mean([labels[i] == labels[j] for i, j in enumerate(nearest)]))
    return Measured(
        name,
        codes.shape[1],
        error,
        float(trustworthiness(images, some, n_neighbors=neighbours)),
        float(trustworthiness(some, images, n_neighbors=neighbours)),
        same,
    )


def standardise(codes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Numbers of a latent vector have units of their own: each by its spread over the images, [N, D]."""
    spread = codes.std(axis=0)
    scaled: NDArray[np.float32] = (codes - codes.mean(axis=0)) / np.where(spread > 1e-6, spread, 1)
    return scaled


def flatten(codes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Codes [N, K] on a map, float [N, 2], by t-SNE (van der Maaten & Hinton 2008)."""
    perplexity = min(30.0, (len(codes) - 1) / 3)
    places: NDArray[np.float64] = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(codes)
    return places


def pack(
    suffix: str, files: Sequence[str], labels: Sequence[str], scores: NDArray[np.float32], latents: NDArray[np.float32]
) -> bytes:
    """A table of files, labels, scores and latent vectors as a file of that format. Raises UsageError."""
    if suffix not in FORMATS:
        raise UsageError(f"{suffix or 'no suffix'}: unknown format of a table; give {', '.join(FORMATS)}")
    buffer = io.BytesIO()
    if suffix == ".npz":
        np.savez_compressed(buffer, name=np.array(files), label=np.array(labels), score=scores, latent=latents)
        return buffer.getvalue()
    import pyarrow as pa
    from pyarrow import csv, parquet

    digits = len(str(latents.shape[1] - 1))
    columns = {"file": pa.array(files), "label": pa.array(labels), "score": pa.array(scores)}
    columns |= {f"latent_{i:0{digits}d}": pa.array(column) for i, column in enumerate(latents.T)}
    table = pa.table(columns)
    if suffix == ".csv":
        csv.write_csv(table, buffer)
    else:
        parquet.write_table(table, buffer)
    return buffer.getvalue()
