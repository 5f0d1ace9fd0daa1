"""Archives of latent vectors: made from images, turned back into images, and compared with JPEG and WebP."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from andon_monitor.common.files import whole_file, write_whole
from andon_monitor.errors import UsageError
from andon_monitor.formats import latent_archive
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.imaging import Pixels

from andon_trainer.data.image_files import ImageFiles, encode_image
from andon_trainer.progress import Progress, quiet
from andon_trainer.uses import drawing
from andon_trainer.uses.quality import mean_psnr, mean_ssim, psnr

MAX_COMPARED_IMAGES = 64  # each codec tries dozens of settings on each image
SCALES = (1.0, 0.5, 0.25, 0.125)  # at a few dozen bytes a codec does better on a smaller image, enlarged again
QUALITIES = (1, 3, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90)
HIGHEST_PSNR = 99.0  # dB, in place of the infinite PSNR of an exact copy
CODECS = {"JPEG": ".jpg", "WebP": ".webp"}


@dataclass(frozen=True)
class Compressed:
    """How many images an archive holds, its size in bytes, and that of the image files."""

    images: int
    size: int
    size_of_files: int

    @property
    def bytes_per_image(self) -> float:
        """The archive's bytes divided by the number of images."""
        return self.size / self.images

    @property
    def ratio(self) -> float:
        """How many times smaller the archive is than the image files."""
        return self.size_of_files / self.size


@dataclass(frozen=True)
class Coded:
    """Images coded in one way: mean bytes an image, mean PSNR in dB, mean SSIM, and what they decode to.

    `images`: uint8 [N, H, W, C].
    """

    name: str
    size: float
    psnr: float
    ssim: float
    images: Pixels


@dataclass(frozen=True)
class CodecComparison:
    """Original images uint8 [N, H, W, C], and how the archive and each codec reproduce them."""

    originals: Pixels
    coded: tuple[Coded, ...]


def compress(
    autoencoder: Autoencoder, images: ImageFiles, path: Path, grain: float = 0.25, progress: Progress = quiet
) -> Compressed:
    """Write images as latent vectors into an archive at `path`, wholly or not at all.

    `grain`: how far rounding one number of a latent vector may move the image, in grey levels; a larger one gives a
    smaller archive. Raises UsageError (an image) and OutputError (the archive).
    """
    with whole_file(path) as file:
        frames = images.frames(autoencoder.card.input, progress)
        written = latent_archive.compress(autoencoder, zip(images.names(), frames, strict=True), file, grain)
    return Compressed(len(images), written.size, sum(images.sizes()))


def decompress(autoencoder: Autoencoder, archive: Path, folder: Path, progress: Progress = quiet) -> int:
    """Write the images of an archive into a new folder, as PNG files of the model's input size; return how many.

    Raises UsageError (the folder is not new), ModelError (the archive was made with another model) and ArchiveError
    (it is damaged).
    """
    packed = latent_archive.Archive(archive)
    packed.header.check(autoencoder, archive)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: exists already; give a new folder")
    count = 0
    taken: set[str] = set()
    for names, latents in packed:
        targets = latent_archive.picture_paths(names, taken, archive)
        for target, image in zip(targets, autoencoder.decode(latents), strict=True):
            write_whole(folder / target, encode_image(image, Path("image.png")))
            count += 1
        progress(f"{count} images written", 0.0)
    return count


def compare_with_codecs(
    autoencoder: Autoencoder, images: ImageFiles, archive: Path, progress: Progress = quiet
) -> CodecComparison:
    """Compare the images of an archive with JPEG and WebP images of the same size in bytes.

    At most `MAX_COMPARED_IMAGES` of the images are compared, evenly spread.
    """
    compared = drawing.pick_evenly(len(images), MAX_COMPARED_IMAGES)
    originals = images.select(compared).load(autoencoder.card.input, progress)
    latents = [latent for _, chunk in latent_archive.Archive(archive) for latent in chunk]
    size = archive.stat().st_size / len(images)
    progress("comparing with JPEG and WebP", 0.5)
    coded = [measure("archive", size, autoencoder.decode([latents[i] for i in compared]), originals)]
    coded += [encode_all(name, suffix, originals, size) for name, suffix in CODECS.items()]
    return CodecComparison(originals, tuple(coded))


def measure(name: str, size: float, images: Pixels, originals: Pixels) -> Coded:
    """Images that take `size` bytes each, measured against their originals."""
    return Coded(name, size, mean_psnr(images, originals, HIGHEST_PSNR), mean_ssim(images, originals), images)


def encode_all(name: str, suffix: str, originals: Pixels, budget: float) -> Coded:
    """Each image by a codec, at the scale and quality that are best within `budget` bytes (smallest if none fits)."""
    coded = [encode_within(suffix, image, budget) for image in originals]
    return measure(
        name, float(np.mean([size for size, _ in coded])), np.stack([image for _, image in coded]), originals
    )


def encode_within(suffix: str, image: Pixels, budget: float) -> tuple[int, Pixels]:
    """Bytes and decoded image of the best of all scales and qualities; `image`: uint8 [H, W, C]."""
    best: tuple[float, int, Pixels] | None = None
    smallest: tuple[int, Pixels] | None = None
    for scale in SCALES:
        for quality in QUALITIES:
            size, decoded = encode(suffix, image, scale, quality)
            if smallest is None or size < smallest[0]:
                smallest = (size, decoded)
            if size > budget:
                break  # a higher quality takes even more
            similarity = psnr(decoded, image)
            if best is None or similarity > best[0]:
                best = (similarity, size, decoded)
    if best is not None:
        return best[1:]
    assert smallest is not None
    return smallest


def encode(suffix: str, image: Pixels, scale: float, quality: int) -> tuple[int, Pixels]:
    """Bytes of an image at a scale and quality, and what they decode to, at the image's own size."""
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    flag = cv2.IMWRITE_JPEG_QUALITY if suffix == ".jpg" else cv2.IMWRITE_WEBP_QUALITY
    settings = [flag, quality] + ([cv2.IMWRITE_JPEG_OPTIMIZE, 1] if suffix == ".jpg" else [])
    ordered = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(suffix, cv2.resize(ordered, size, interpolation=cv2.INTER_AREA), settings)
    read = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE if image.shape[2] == 1 else cv2.IMREAD_COLOR_RGB)
    enlarged = cv2.resize(read, (width, height), interpolation=cv2.INTER_CUBIC)  # type: ignore[arg-type]
    decoded: Pixels = enlarged.reshape(image.shape).astype(np.uint8)
    return len(data), decoded


def draw_comparison(path: Path, comparison: CodecComparison) -> None:
    """Draw a few images as they are, from the archive, and from each codec, as a PNG file."""
    results = {f"{item.name}, {item.size:.0f} bytes": item.images for item in comparison.coded}
    drawing.comparison(path, "original", comparison.originals, results)
