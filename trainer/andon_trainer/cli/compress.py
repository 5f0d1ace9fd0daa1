"""`compress` and `decompress`: images into an archive of latent vectors and back, beside JPEG and WebP."""

from pathlib import Path
from typing import Annotated

import typer
from andon_monitor.common.files import check_writable, whole_file, write_whole
from andon_monitor.errors import UsageError

from andon_trainer.cli.console import ModelFile, Output, progress_bar, say
from andon_trainer.cli.images import (
    Images,
    Picture,
    check_targets,
    encode_image,
    find_images,
    print_table,
    say_picture,
    spread,
)
from andon_trainer.options import check_range


def compress(
    model_file: ModelFile,
    images: Images,
    output: Output,
    grain: Annotated[float, typer.Option(help="Grey levels that rounding one number may move a picture by.")] = 0.25,
    compare: Annotated[bool, typer.Option("--compare", help="Measure the pictures beside JPEG and WebP.")] = False,
    picture: Picture = None,
) -> None:
    """Write images into one archive of latent vectors, from which the model gives the pictures back."""
    check_range("--grain", grain, 0.001, 64)
    check_targets(output, picture)
    from andon_monitor.formats import latent_archive as archive
    from andon_monitor.model.autoencoder import Autoencoder

    from andon_trainer.uses import compression, pictures, quality

    part = Autoencoder.load(model_file)
    found = find_images(images)
    with progress_bar() as show:
        with whole_file(output) as file:
            frames = found.frames(part.card.input, show)
            written = archive.compress(part, zip(found.names(), frames, strict=True), file, grain)
        each = written.size / len(found)
        say(
            f"{output}: {len(found)} images, {written.size} bytes, {each:.0f} an image, "
            f"{sum(found.sizes()) / written.size:.0f} times smaller than their files"
        )
        if not compare and picture is None:
            return
        shown = spread(len(found), 64)  # both codecs are tried at dozens of settings for each
        originals = found.some(shown).load(part.card.input, show)
        latents = [latent for _, chunk in archive.Archive(output) for latent in chunk]
        ours = compression.measure("archive", each, part.decode([latents[i] for i in shown]), originals)
        show("JPEG and WebP", 0.5)
        rivals = [
            compression.rival(name, suffix, originals, each) for name, suffix in (("JPEG", ".jpg"), ("WebP", ".webp"))
        ]
    coded = [ours, *rivals]
    rows = [(item.name, f"{item.size:.0f}", f"{item.psnr:.2f}", f"{item.ssim:.3f}") for item in coded]
    print_table(
        f"{len(shown)} images; JPEG and WebP at their best scale and quality within these bytes, or their least",
        ("", "bytes an image", "PSNR, dB", "SSIM"),
        rows,
    )
    if picture is not None:
        chosen = spread(len(shown), 4)
        headings = ["original", *(f"{item.name}, {item.size:.0f} bytes" for item in coded)]
        drawn = [[originals[i], *(item.pictures[i] for item in coded)] for i in chosen]
        notes = [["", *(f"{quality.psnr(item.pictures[i], originals[i]):.1f} dB" for item in coded)] for i in chosen]
        pictures.sheet(picture, headings, drawn, notes)
    say_picture(picture)


def decompress(
    model_file: ModelFile,
    archive_file: Annotated[
        Path, typer.Argument(metavar="ARCHIVE", help="An archive made by compress, or by a monitor.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new folder for the pictures.")],
) -> None:
    """Give the pictures of an archive back, as PNG files of the model's input size."""
    from andon_monitor.formats.latent_archive import Archive, picture_paths
    from andon_monitor.model.autoencoder import Autoencoder

    part = Autoencoder.load(model_file)
    packed = Archive(archive_file)
    packed.header.check(part, archive_file)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output}: is there already; give a new folder")
    check_writable(output / "picture.png")
    count = 0
    taken: set[str] = set()
    with progress_bar() as show:
        for names, latents in packed:
            targets = picture_paths(names, taken, archive_file)
            for target, frame in zip(targets, part.decode(latents), strict=True):
                write_whole(output / target, encode_image(frame, Path("x.png")))
                count += 1
            show(f"{count} pictures", 0.0)
    say(f"{output}: {count} pictures")
