"""`reduce`: latent vectors as a table and a map, beside principal components."""

from pathlib import Path
from typing import Annotated

import typer
from andon_monitor.common.files import write_whole
from andon_monitor.errors import UsageError

from andon_trainer.cli.console import ModelFile, progress_bar, say
from andon_trainer.cli.images import Picture, check_targets, print_table, say_picture
from andon_trainer.options import check_choice


def reduce(
    model_file: ModelFile,
    images: Annotated[
        Path, typer.Argument(help="A folder of images, MVTec AD layout (its test images), or an array file.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Table to write: .parquet, .csv or .npz.")],
    picture: Picture = None,
    colour_by: Annotated[str, typer.Option(help="What colours the picture: label or score.")] = "label",
    pca_on: Annotated[
        Path | None,
        typer.Option(help="Images that PCA is fitted to; else train/good beside the test images, or the images."),
    ] = None,
) -> None:
    """Write the latent vectors of images, and say what they keep of them beside as many principal components."""
    check_choice("--colour-by", colour_by, ("label", "score"))
    check_targets(output, picture)
    from andon_monitor.model.autoencoder import Autoencoder

    from andon_trainer.data.dataset import load_images, open_dataset
    from andon_trainer.uses import pictures, reduction

    if output.suffix not in reduction.FORMATS:
        raise UsageError(f"{output}: give a name that ends in {', '.join(reduction.FORMATS)}")
    part = Autoencoder.load(model_file)
    dataset = open_dataset(images)
    samples = dataset.test or dataset.train
    if len(samples) < 8:
        raise UsageError(f"{images}: {len(samples)} images, at least 8 are needed to see how they lie")
    basis_samples = open_dataset(pca_on).train if pca_on else dataset.train or samples
    labels = [sample.label for sample in samples]
    with progress_bar() as show:
        frames = load_images(samples, part.card.input, show)
        basis = load_images(basis_samples, part.card.input, lambda what, share: show("reading for PCA", share))
        show("reducing", 0.0)
        reduced = reduction.reduce(part, frames, labels, basis)
        files = [str(sample.path.relative_to(images)) for sample in samples]
        write_whole(output, reduction.pack(output.suffix, files, labels, reduced.scores, reduced.latents))
        if picture is not None:
            show("drawing", 0.5)
            codes = (reduction.standardise(reduced.latents), reduced.components)
            colours = reduced.scores / part.card.threshold if colour_by == "score" else labels
            chosen = [colours[i] for i in reduced.chosen]
            pictures.maps(
                picture,
                [f"{measured.name}, {measured.size} numbers" for measured in reduced.measured],
                [reduction.flatten(code[reduced.chosen]) for code in codes],
                chosen,
                "score / threshold" if colour_by == "score" else "label",
            )
    headings = ("", "numbers", "RMSE", "trust", "continuity", "same label")
    rows = [
        (
            measured.name,
            str(measured.size),
            f"{measured.error:.2f}",
            f"{measured.trustworthiness:.3f}",
            f"{measured.continuity:.3f}",
            "–" if measured.same_label is None else f"{100 * measured.same_label:.1f} %",
        )
        for measured in reduced.measured
    ]
    in_sample = basis_samples == samples
    print_table(f"{len(samples)} images" + (", to which PCA was fitted too" if in_sample else ""), headings, rows)
    say(f"{output}: {len(samples)} latent vectors of {part.latent_size} numbers")
    say_picture(picture)
