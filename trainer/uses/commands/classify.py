"""`classify`: a model file that tells kinds of defects, and what its training on good parts is worth to that."""

from pathlib import Path
from typing import Annotated

import typer

from monitor.errors import UsageError
from monitor.files import write_whole
from trainer.console import ModelFile, Output, check_choice, check_range, progress_bar, say
from trainer.uses.commands.images import Picture, check_targets, print_table, say_picture


def classify(
    model_file: ModelFile,
    data: Annotated[Path, typer.Argument(help="A folder for each kind of defect, or MVTec AD layout.")],
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
    import numpy as np
    import torch

    from monitor.autoencoder import Autoencoder
    from trainer.dataset import GOOD, find_twins, load_images, open_dataset
    from trainer.errors import ExportError
    from trainer.uses import classification, kinds, pictures

    if threads:
        torch.set_num_threads(threads)
    part = Autoencoder.load(model_file)
    dataset = open_dataset(data)
    defects = [sample for sample in dataset.test if sample.label != GOOD]
    with progress_bar() as show:
        frames = (
            load_images(defects, part.card.input, lambda what, done, of: show(what, done / of)) if defects else None
        )
        if frames is None:
            raise UsageError(f"{data}: no defects in it; give a folder for each kind")
        good = load_images(dataset.train, part.card.input, lambda what, done, of: show(what, done / of))
        known = classification.labelled(frames, [sample.label for sample in defects], find_twins(frames))
        curve = classification.learning_curve(
            part, known, good if len(good) else frames, draws, lambda share, text: show(text, share)
        )
        means = {name: np.array([values.mean() for values in rows]) for name, rows in curve.accuracy.items()}
        tried: tuple[kinds.Way, ...] = ("frozen", "fine-tuned")
        best = max((name for name in tried if way in ("auto", name)), key=lambda name: means[name][-1])
        told = kinds.make(part, known, best, lambda share, text: show(text, share))
        content = kinds.add(part, told)
        if (difference := kinds.worst_difference(told, content, frames[:4])) > 1e-3:
            raise ExportError(
                f"onnxruntime's probabilities differ from torch's by {difference:.1e}; nothing was written"
            )
        write_whole(output, content)
        if picture is not None:
            lines = {
                name: (means[name], np.array([values.std() for values in rows]))
                for name, rows in curve.accuracy.items()
            }
            axes = ("labelled images of each kind", "told right, mean over kinds (%)")
            pictures.curves(picture, curve.shots, lines, axes, 1 / len(known.names))
    rows = [(name, *(f"{100 * value:.1f} %" for value in values)) for name, values in means.items()]
    title = f"{len(defects)} defects of {len(known.names)} kinds: share told right, by labelled images of each kind"
    print_table(title, ("", *curve.shots), rows)
    headings = ("", *(f"{i + 1}" for i in range(len(known.names))))
    confused = [
        (f"{i + 1} {name}", *map(str, row))
        for i, (name, row) in enumerate(zip(known.names, told.confusion, strict=True))
    ]
    print_table("What each kind was taken for, when not learned from", headings, confused)
    say(
        f"{output}: {best}, {100 * told.card.accuracy:.1f} % told right in cross-validation; calibration error "
        f"{told.card.calibration_error:.3f} at temperature {told.card.temperature:.2f}, "
        f"{told.card.calibration_error_before:.3f} without"
    )
    say_picture(picture)
