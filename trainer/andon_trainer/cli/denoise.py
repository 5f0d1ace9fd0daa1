"""`denoise`: cleaned images, beside common filters."""

from pathlib import Path
from typing import Annotated

import typer
from andon_monitor.common.files import check_writable, write_whole
from andon_monitor.errors import UsageError

from andon_trainer.cli.console import ModelFile, progress_bar, say
from andon_trainer.cli.images import (
    Images,
    ImageSet,
    Picture,
    check_targets,
    encode_image,
    find_images,
    print_table,
    say_picture,
    spread,
)
from andon_trainer.options import check_range


def denoise(
    model_file: ModelFile,
    noisy: Images,
    output: Annotated[Path, typer.Option("--output", "-o", help="The cleaned image, or a folder for them.")],
    clean: Annotated[Path | None, typer.Option(help="The clean images, by the same names, to measure with.")] = None,
    add_noise: Annotated[
        float,
        typer.Option(help="Grey levels of Gaussian noise to add first: the images given are then the clean ones."),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the noise added.")] = 0,
    picture: Picture = None,
) -> None:
    """Write cleaned images; where the clean ones are known, say how near they are, beside common filters."""
    check_range("--add-noise", add_noise, 0, 128)
    if clean is not None and add_noise:
        raise UsageError(f"--clean {clean}: with --add-noise the images given are the clean ones; give one of the two")
    if picture is not None and clean is None and not add_noise:
        raise UsageError("--picture: draws what --clean or --add-noise compare; give one of the two")
    check_targets(picture)
    from andon_monitor.model.autoencoder import Autoencoder

    from andon_trainer.uses import denoising, pictures, quality

    part = Autoencoder.load(model_file)
    images = find_images(noisy)
    originals = None if clean is None else find_clean(clean, images)
    is_one_file = images.root == noisy.parent
    targets = [output] if is_one_file else [output / Path(name).with_suffix(".png") for name in images.names()]
    if len(set(targets)) < len(targets):
        raise UsageError(f"{noisy}: two images that differ in their endings alone would become one")
    check_writable(targets[0])
    with progress_bar() as show:
        frames = images.load(part.card.input, show)
        truth = frames if add_noise else originals.load(part.card.input, show) if originals else None
        if add_noise:
            frames = denoising.add_noise(frames, add_noise, seed)
        show("cleaning", 0.0)
        results = [] if truth is None else denoising.compare(part, frames, truth)
        cleaned = results[-1].pictures if results else denoising.clean_up(part, frames)
        for i, (target, frame) in enumerate(zip(targets, cleaned, strict=True)):
            write_whole(target, encode_image(frame, target))
            show("writing", (i + 1) / len(targets))
    if results:
        rows = [
            (
                result.name,
                "" if result.setting is None else f"{result.setting:g}",
                f"{result.psnr:.2f}",
                f"{result.ssim:.3f}",
            )
            for result in results
        ]
        print_table(f"{len(images)} images, filters at their best settings", ("", "setting", "PSNR, dB", "SSIM"), rows)
    if picture is not None and truth is not None:
        shown = spread(len(images), 4)
        headings = ["clean", *(result.name for result in results)]
        drawn = [[truth[i], *(result.pictures[i] for result in results)] for i in shown]
        notes = [["", *(f"{quality.psnr(result.pictures[i], truth[i]):.1f} dB" for result in results)] for i in shown]
        pictures.sheet(picture, headings, drawn, notes)
    say(f"{output}: {len(images)} cleaned image{'s' if len(images) > 1 else ''}")
    say_picture(picture)


def find_clean(clean: Path, noisy: ImageSet) -> ImageSet:
    """The clean images that belong to noisy ones: of the same names, or one to one. Raises UsageError."""
    found = find_images(clean)
    if len(found) == len(noisy) == 1:
        return found
    known = dict(zip(found.names(), found.paths, strict=True))
    for name in noisy.names():
        if name not in known:
            raise UsageError(f"--clean {clean}: there is no {name} in it, which {noisy.root} has")
    return ImageSet(found.root, tuple(known[name] for name in noisy.names()))
