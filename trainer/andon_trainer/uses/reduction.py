"""Latent vectors of many images as a table and a map, compared with as many principal components."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import DEFAULT_LIMITS, DecodingLimits
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray
from pyarrow import csv, parquet
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import NearestNeighbors

from andon_trainer.data.dataset import Dataset
from andon_trainer.data.images import load_images
from andon_trainer.progress import Progress, quiet
from andon_trainer.uses import drawing

MIN_IMAGES = 8  # fewer have no neighbourhoods to speak of
NEIGHBOURS = 5
MAX_COMPARED_IMAGES = 1000  # neighbourhoods and maps take time that grows with the square of this number
TABLE_FORMATS = (".parquet", ".csv", ".npz")


@dataclass(frozen=True)
class CodeQuality:
    """What one way of reducing keeps of the images.

    `error`: root mean square error of the reconstruction, in grey levels. `trustworthiness` and `continuity` in 0..1:
    how far neighbours among the codes are neighbours among the images, and the reverse (Venna & Kaski 2001).
    `same_label`: the share of codes whose nearest neighbour has the same label, None where there is one label only.
    """

    name: str
    size: int
    error: float
    trustworthiness: float
    continuity: float
    same_label: float | None


@dataclass(frozen=True)
class Reduction:
    """Latent vectors float32 [N, D], scores float32 [N] and PCA codes float32 [N, K] of N images, and their quality.

    `compared`, int [M]: the images that neighbourhoods were measured on and that maps show. `pca_is_own`: whether PCA
    was fitted on the same images, which favours it.
    """

    files: tuple[str, ...]
    labels: tuple[str, ...]
    latents: NDArray[np.float32]
    scores: NDArray[np.float32]
    components: NDArray[np.float32]
    quality: tuple[CodeQuality, CodeQuality]
    compared: NDArray[np.int64]
    pca_is_own: bool


def reduce(
    autoencoder: Autoencoder,
    images: Dataset,
    pca_images: Dataset | None = None,
    progress: Progress = quiet,
    limits: DecodingLimits = DEFAULT_LIMITS,
) -> Reduction:
    """Reduce the test images of a dataset (all its images where it has no test images) to latent vectors.

    PCA for comparison is fitted on the training images of `pca_images`, else on those of the dataset itself.
    Raises UsageError: fewer than `MIN_IMAGES`, or an image that cannot be read.
    """
    samples = images.test or images.train
    if len(samples) < MIN_IMAGES:
        raise UsageError(f"{images.root}: {len(samples)} images, at least {MIN_IMAGES} are needed to compare them")
    pca_samples = pca_images.train if pca_images else images.train or samples
    spec = autoencoder.card.input
    frames = load_images(samples, spec, progress, limits)
    pca_frames = load_images(pca_samples, spec, lambda what, share: progress("reading images for PCA", share), limits)
    progress("reducing", 0.0)
    files = [str(sample.path.relative_to(images.root)) for sample in samples]
    labels = [sample.label for sample in samples]
    return reduce_frames(autoencoder, frames, files, labels, pca_frames, pca_samples == samples)


def reduce_frames(
    autoencoder: Autoencoder,
    frames: Pixels,
    files: Sequence[str],
    labels: Sequence[str],
    pca_frames: Pixels,
    pca_is_own: bool = False,
) -> Reduction:
    """Reduce frames uint8 [N, H, W, C] by the model, and by principal components of `pca_frames`."""
    latents, scores = autoencoder.encode(frames), autoencoder.score(frames)
    flat = frames.reshape(len(frames), -1).astype(np.float32)
    count = min(autoencoder.latent_size, len(pca_frames) - 1, flat.shape[1])
    pca = PCA(count, svd_solver="randomized", random_state=0)
    pca.fit(pca_frames.reshape(len(pca_frames), -1).astype(np.float32))
    components = pca.transform(flat)
    compared = np.sort(np.random.default_rng(0).permutation(len(frames))[:MAX_COMPARED_IMAGES])
    by_model = autoencoder.decode(latents).reshape(flat.shape)
    by_components = np.clip(pca.inverse_transform(components), 0, 255)
    compared_labels = [labels[i] for i in compared]
    quality = tuple(
        _measure(name, codes.shape[1], _rms(rebuilt, flat), comparable[compared], flat[compared], compared_labels)
        for name, codes, comparable, rebuilt in (
            ("autoencoder", latents, standardise(latents), by_model),
            ("PCA", components, components, by_components),
        )
    )
    return Reduction(
        files=tuple(files),
        labels=tuple(labels),
        latents=latents,
        scores=scores,
        components=components,
        quality=(quality[0], quality[1]),
        compared=compared,
        pca_is_own=pca_is_own,
    )


def standardise(codes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Codes [N, D] with each number divided by its spread over the images: the numbers have different units."""
    spread = codes.std(axis=0)
    scaled: NDArray[np.float32] = (codes - codes.mean(axis=0)) / np.where(spread > 1e-6, spread, 1)
    return scaled


def embed(codes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Places of codes [N, K] on a map, float [N, 2], by t-SNE (van der Maaten & Hinton 2008)."""
    perplexity = min(30.0, (len(codes) - 1) / 3)
    places: NDArray[np.float64] = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(codes)
    return places


def check_table_format(path: Path) -> None:
    """Raise UsageError where the suffix is none of `TABLE_FORMATS`."""
    if path.suffix not in TABLE_FORMATS:
        raise UsageError(f"{path}: give a name that ends in {', '.join(TABLE_FORMATS)}")


def table(reduction: Reduction, suffix: str) -> bytes:
    """Files, labels, scores and latent vectors as a file of one of the `TABLE_FORMATS`."""
    buffer = io.BytesIO()
    if suffix == ".npz":
        np.savez_compressed(
            buffer,
            name=np.array(reduction.files),
            label=np.array(reduction.labels),
            score=reduction.scores,
            latent=reduction.latents,
        )
        return buffer.getvalue()
    digits = len(str(reduction.latents.shape[1] - 1))
    columns = {
        "file": pa.array(reduction.files),
        "label": pa.array(reduction.labels),
        "score": pa.array(reduction.scores),
    }
    columns |= {f"latent_{i:0{digits}d}": pa.array(column) for i, column in enumerate(reduction.latents.T)}
    if suffix == ".csv":
        csv.write_csv(pa.table(columns), buffer)
    else:
        parquet.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def draw_maps(path: Path, reduction: Reduction, threshold: float | None = None) -> None:
    """Draw a map of the latent vectors next to one of the PCA codes as a PNG file.

    Points are coloured by label, or, where a threshold is given, by score divided by threshold.
    """
    compared = reduction.compared
    codes = (standardise(reduction.latents), reduction.components)
    drawing.maps(
        path,
        [f"{quality.name}, {quality.size} numbers" for quality in reduction.quality],
        [embed(code[compared]) for code in codes],
        [reduction.labels[i] for i in compared] if threshold is None else reduction.scores[compared] / threshold,
        "label" if threshold is None else "score / threshold",
    )


def _rms(rebuilt: NDArray[np.float32] | Pixels, flat: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.square(rebuilt - flat, dtype=np.float64).mean()))


def _measure(
    name: str,
    size: int,
    error: float,
    codes: NDArray[np.float32],
    images: NDArray[np.float32],
    labels: Sequence[str],
) -> CodeQuality:
    neighbours = min(NEIGHBOURS, (len(images) - 1) // 2)
    same_label = None
    if len(set(labels)) > 1:
        nearest = NearestNeighbors(n_neighbors=2).fit(codes).kneighbors(codes, return_distance=False)[:, 1]
        same_label = float(np.mean([labels[i] == labels[j] for i, j in enumerate(nearest)]))
    return CodeQuality(
        name=name,
        size=size,
        error=error,
        trustworthiness=float(trustworthiness(images, codes, n_neighbors=neighbours)),
        continuity=float(trustworthiness(codes, images, n_neighbors=neighbours)),
        same_label=same_label,
    )
