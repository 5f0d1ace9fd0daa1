"""`denoise`: noisy images cleaned."""

from pathlib import Path
from typing import Annotated

import typer
from andon_monitor.common.files import check_writable, write_whole
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS

from andon_trainer.cli.arguments import Images, MaxDecodingBytes, MaxPixels, ModelFile, Picture, check_all_writable
from andon_trainer.cli.console import note_all, progress_bar, say, say_picture
from andon_trainer.options import check_limits, check_range


def denoise(
    model_file: ModelFile,
    noisy: Images,
    output: Annotated[Path, typer.Option("--output", "-o", help="The cleaned image, or a folder for several.")],
    clean: Annotated[
        Path | None, typer.Option(help="The same images without noise, under the same names, to compare with.")
    ] = None,
    add_noise: Annotated[
        float,
        typer.Option(
            help="Add Gaussian noise of this many grey levels to the images first, and compare with the images given."
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the noise added.")] = 0,
    picture: Picture = None,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    max_decoding_bytes: MaxDecodingBytes = DEFAULT_MAX_BYTES,
) -> None:
    """Write cleaned images; where the clean ones are known, compare the result with that of common filters."""
    check_range("--add-noise", add_noise, 0, 128)
    limits = check_limits(max_pixels, max_decoding_bytes)
    if clean is not None and add_noise:
        raise UsageError(f"--clean {clean}: with --add-noise the images given are the clean ones; give one of the two")
    if picture is not None and clean is None and not add_noise:
        raise UsageError("--picture: draws the comparison that --clean or --add-noise make; give one of the two")
    check_all_writable(picture)
    from andon_monitor.model.autoencoder import Autoencoder

    from andon_trainer.cli.tables import print_table
    from andon_trainer.data.image_files import encode_image, find_images
    from andon_trainer.uses import denoising

    autoencoder = Autoencoder.load(model_file)
    images = find_images(noisy, limits)
    note_all(images.notes)
    clean_images = None if clean is None else denoising.match_names(find_images(clean, limits), images)
    is_one_file = images.root == noisy.parent
    targets = [output] if is_one_file else [output / Path(name).with_suffix(".png") for name in images.names()]
    if len(set(targets)) < len(targets):
        raise UsageError(f"{noisy}: two images differ only in the suffix of their names; their results would be one")
    check_writable(targets[0])
    with progress_bar() as progress:
        denoised = denoising.denoise(autoencoder, images, clean_images, add_noise, seed, progress)
        for i, (target, frame) in enumerate(zip(targets, denoised.images, strict=True)):
            write_whole(target, encode_image(frame, target))
            progress("writing", (i + 1) / len(targets))
    if denoised.comparison:
        rows = [
            (
                cleaned.name,
                "" if cleaned.setting is None else f"{cleaned.setting:g}",
                f"{cleaned.psnr:.2f}",
                f"{cleaned.ssim:.3f}",
            )
            for cleaned in denoised.comparison
        ]
        title = f"{len(images)} images, compared with the clean ones; filters at their best settings"
        print_table(title, ("", "setting", "PSNR, dB", "SSIM"), rows)
    if picture is not None:
        denoising.draw_comparison(picture, denoised)
    say(f"{output}: {len(images)} cleaned image{'s' if len(images) > 1 else ''}")
    say_picture(picture)
