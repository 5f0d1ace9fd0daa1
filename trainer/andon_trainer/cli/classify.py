"""`classify`: a model file that tells kinds of defects, and what its training on good parts is worth to that."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from andon_monitor.common.files import write_whole
from andon_monitor.errors import UsageError

from andon_trainer.cli.console import ModelFile, Output, progress_bar, say
from andon_trainer.cli.images import Picture, check_targets, print_table, say_picture
from andon_trainer.options import check_choice, check_range

if TYPE_CHECKING:
    from andon_trainer.uses.curve import Curve
    from andon_trainer.uses.kinds import Told, Way


def classify(
    model_file: ModelFile,
    data: Annotated[Path, typer.Argument(help="A folder for each kind of defect, MVTec AD layout, or an array file.")],
    output: Output,
    way: Annotated[str, typer.Option(help="frozen, fine-tuned, or auto: the better of the two.")] = "auto",
    draws: Annotated[int, typer.Option(help="How often each point of the curve is tried, with other images.")] = 3,
    picture: Picture = None,
    threads: Annotated[int, typer.Option(help="Threads to train on, 0 for one per core.")] = 0,
) -> None:
    """Teach a model to tell kinds of defects apart, and say what its training on good parts is worth to that."""
    check_choice("--way", way, ("auto", "frozen", "fine-tuned"))
    check_range("--draws", draws, 1, 100)
    check_range("--threads", threads, 0, 1024)
    check_targets(output, picture)
    import torch
    from andon_monitor.model.autoencoder import Autoencoder
    from threadpoolctl import threadpool_limits

    from andon_trainer.data.dataset import GOOD, load_images, open_dataset
    from andon_trainer.data.near_duplicates import find_twins
    from andon_trainer.errors import ExportError
    from andon_trainer.uses import classification, kinds
    from andon_trainer.uses.curve import learning_curve

    if threads:
        torch.set_num_threads(threads)
    part = Autoencoder.load(model_file, threads=threads)
    dataset = open_dataset(data)
    defects = [sample for sample in dataset.test or dataset.train if sample.label != GOOD]
    if not defects:
        raise UsageError(f"{data}: no defects in it; give a folder for each kind")
    # The regressions are small: more threads than one would only wait for each other.
    with progress_bar() as show, threadpool_limits(1, user_api="blas"):
        frames = load_images(defects, part.card.input, show)
        good_samples = [sample for sample in dataset.train if sample.label == GOOD]
        good = load_images(good_samples, part.card.input, show)
        show("encoding", 0.0)
        known = classification.labelled(part, frames, [sample.label for sample in defects], find_twins(frames))
        learner = classification.Learner(part, known, good if len(good) > 1 else frames)
        curve = learning_curve(learner, draws, show)
        told = kinds.make(learner, choose(curve, way), show)
        content = kinds.add(part, told)
        if (difference := kinds.worst_difference(told, content, frames[:4])) > 1e-3:
            raise ExportError(
                f"onnxruntime's probabilities differ from torch's by {difference:.1e}; nothing was written"
            )
        write_whole(output, content)
        if picture is not None:
            draw_curve(picture, curve, len(known.names))
    print_curve(f"{len(defects)} defects of {len(known.names)} kinds, {draws} draws", curve)
    print_confusion(told)
    say(
        f"{output}: {told.card.way}, {100 * told.card.accuracy:.1f} % told right in cross-validation; calibration "
        f"error {told.card.calibration_error:.3f} at temperature {told.card.temperature:.2f}, "
        f"{told.card.calibration_error_before:.3f} without"
    )
    say_picture(picture)


def choose(curve: "Curve", way: str) -> "Way":
    """The way asked for, or the one that told more of them right from all labels."""
    if way == "frozen" or (way == "auto" and last(curve, "frozen") >= last(curve, "fine-tuned")):
        return "frozen"
    return "fine-tuned"


def last(curve: "Curve", way: str) -> float:
    """The share told right from all labels."""
    return float(curve.accuracy[way][:, -1].mean())


def draw_curve(picture: Path, curve: "Curve", kinds: int) -> None:
    """The shares told right over the number of labels, with their spread over the draws."""
    from andon_trainer.uses import pictures

    lines = {way: (values.mean(axis=0), values.std(axis=0)) for way, values in curve.accuracy.items()}
    axes = ("labelled images of each kind", "told right, mean over kinds (%)")
    pictures.curves(picture, curve.shots, lines, axes, 1 / kinds)


def print_curve(what: str, curve: "Curve") -> None:
    """A row for each way, a column for each number of labels: mean and deviation."""
    rows = [
        (way, *(f"{100 * column.mean():.1f} ± {100 * column.std():.1f}" for column in values.T))
        for way, values in curve.accuracy.items()
    ]
    print_table(f"{what}: per cent told right, by labelled images of each kind", ("", *curve.shots), rows)


def print_confusion(told: "Told") -> None:
    """What each kind was taken for."""
    numbered = [f"{i + 1} {name}" for i, name in enumerate(told.card.names)]
    rows = [(name, *map(str, row)) for name, row in zip(numbered, told.confusion, strict=True)]
    headings = ("", *(str(i + 1) for i in range(len(rows))))
    print_table("What each kind was taken for, when not learned from", headings, rows)
