"""`compress` and `decompress`: images into an archive of latent vectors, and back."""

from pathlib import Path
from typing import Annotated

import typer
from andon_monitor.common.files import check_writable
from andon_monitor.image_files.decoding import DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS

from andon_trainer.cli.arguments import (
    Images,
    MaxDecodingBytes,
    MaxPixels,
    ModelFile,
    Output,
    Picture,
    check_all_writable,
)
from andon_trainer.cli.console import note_all, progress_bar, say, say_picture
from andon_trainer.options import check_limits, check_range


def compress(
    model_file: ModelFile,
    images: Images,
    output: Output,
    grain: Annotated[
        float,
        typer.Option(
            help="Precision: how far rounding one number may change an image, in grey levels. Larger values give "
            "smaller archives."
        ),
    ] = 0.25,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare the images with JPEG and WebP images of the same size in bytes.")
    ] = False,
    picture: Picture = None,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    max_decoding_bytes: MaxDecodingBytes = DEFAULT_MAX_BYTES,
) -> None:
    """Write images into one archive of latent vectors, from which the model restores them."""
    check_range("--grain", grain, 0.001, 64)
    limits = check_limits(max_pixels, max_decoding_bytes)
    check_all_writable(output, picture)
    from andon_monitor.model.autoencoder import Autoencoder

    from andon_trainer.cli.tables import print_table
    from andon_trainer.data.image_files import find_images
    from andon_trainer.uses import compression

    autoencoder = Autoencoder.load(model_file)
    found = find_images(images, limits)
    note_all(found.notes)
    with progress_bar() as progress:
        compressed = compression.compress(autoencoder, found, output, grain, progress)
        say(
            f"{output}: {compressed.images} images, {compressed.size} bytes, {compressed.bytes_per_image:.0f} an "
            f"image, {compressed.ratio:.0f} times smaller than their files"
        )
        if not compare and picture is None:
            return
        comparison = compression.compare_with_codecs(autoencoder, found, output, progress)
    rows = [(item.name, f"{item.size:.0f}", f"{item.psnr:.2f}", f"{item.ssim:.3f}") for item in comparison.coded]
    print_table(
        f"{len(comparison.originals)} images; JPEG and WebP at the best settings that fit the same number of bytes, "
        "or their smallest",
        ("", "bytes an image", "PSNR, dB", "SSIM"),
        rows,
    )
    if picture is not None:
        compression.draw_comparison(picture, comparison)
    say_picture(picture)


def decompress(
    model_file: ModelFile,
    archive_file: Annotated[
        Path, typer.Argument(metavar="ARCHIVE", help="An archive written by compress or by andon-monitor.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new folder for the images.")],
) -> None:
    """Restore the images of an archive as PNG files of the model's input size."""
    from andon_monitor.model.autoencoder import Autoencoder

    from andon_trainer.uses import compression

    autoencoder = Autoencoder.load(model_file)
    check_writable(output / "image.png")
    with progress_bar() as progress:
        count = compression.decompress(autoencoder, archive_file, output, progress)
    say(f"{output}: {count} images")
