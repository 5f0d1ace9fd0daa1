"""`reduce`: latent vectors as a table and a map."""

from pathlib import Path
from typing import Annotated

import typer
from andon_monitor.common.files import write_whole
from andon_monitor.image_files.decoding import DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS

from andon_trainer.cli.arguments import MaxDecodingBytes, MaxPixels, ModelFile, Picture, check_all_writable
from andon_trainer.cli.console import note_all, progress_bar, say, say_picture
from andon_trainer.options import check_choice, check_limits


def reduce(
    model_file: ModelFile,
    images: Annotated[
        Path,
        typer.Argument(help="A folder of images, MVTec AD layout (its test images), or an array file."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The table to write: .parquet, .csv or .npz.")],
    picture: Picture = None,
    colour_by: Annotated[str, typer.Option(help="What the colours of the picture show: label or score.")] = "label",
    pca_on: Annotated[
        Path | None,
        typer.Option(
            help="Images to fit PCA on, for the comparison. Default: train/good next to the test images, else the "
            "images themselves."
        ),
    ] = None,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    max_decoding_bytes: MaxDecodingBytes = DEFAULT_MAX_BYTES,
) -> None:
    """Write the latent vectors of images, and compare what they keep of the images with PCA of the same size."""
    check_choice("--colour-by", colour_by, ("label", "score"))
    limits = check_limits(max_pixels, max_decoding_bytes)
    check_all_writable(output, picture)
    from andon_monitor.model.autoencoder import Autoencoder

    from andon_trainer.cli.tables import UNDEFINED, print_table
    from andon_trainer.data.dataset import open_dataset
    from andon_trainer.uses import reduction

    reduction.check_table_format(output)
    autoencoder = Autoencoder.load(model_file)
    dataset = open_dataset(images)
    pca_dataset = open_dataset(pca_on) if pca_on else None
    note_all((*dataset.notes, *(pca_dataset.notes if pca_dataset else ())))
    with progress_bar() as progress:
        reduced = reduction.reduce(autoencoder, dataset, pca_dataset, progress, limits)
        write_whole(output, reduction.table(reduced, output.suffix))
        if picture is not None:
            progress("drawing", 0.5)
            reduction.draw_maps(picture, reduced, autoencoder.card.threshold if colour_by == "score" else None)
    rows = [
        (
            quality.name,
            str(quality.size),
            f"{quality.error:.2f}",
            f"{quality.trustworthiness:.3f}",
            f"{quality.continuity:.3f}",
            UNDEFINED if quality.same_label is None else f"{100 * quality.same_label:.1f} %",
        )
        for quality in reduced.quality
    ]
    title = f"{len(reduced.files)} images" + (", on which PCA was fitted, too" if reduced.pca_is_own else "")
    print_table(title, ("", "numbers", "RMSE, grey levels", "trustworthiness", "continuity", "same label"), rows)
    say(f"{output}: {len(reduced.files)} latent vectors of {autoencoder.latent_size} numbers")
    say_picture(picture)
