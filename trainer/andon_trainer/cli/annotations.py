"""`import` and `export`: images and labels from other annotation tools, and back."""

from pathlib import Path
from typing import Annotated

import typer
from andon_monitor.common.files import write_whole
from andon_monitor.image_files.decoding import DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS

from andon_trainer.cli.arguments import MaxDecodingBytes, MaxPixels, check_all_writable
from andon_trainer.cli.console import note_all, progress_bar, say
from andon_trainer.options import check_choice, check_limits


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="A manifest of Lookout for Vision (JSON lines), or what was exported as COCO, CVAT for images 1.1, or "
            "JSON of Label Studio."
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder to write to, in MVTec AD layout.")],
    images: Annotated[
        Path | None, typer.Option(help="The folder that has the images. Default: the one that FILE is in.")
    ] = None,
    source_format: Annotated[
        str | None,
        typer.Option("--format", help="lookout, coco, cvat or label-studio. Default: recognised by the file."),
    ] = None,
    test_good: Annotated[
        float, typer.Option(help="The share of good images to test with; the others are to learn from.")
    ] = 0.2,
    good: Annotated[
        list[str] | None,
        typer.Option(help="A label of good images. Repeatable. Default: good, normal and ok. Case does not matter."),
    ] = None,
    skip_unmarked: Annotated[
        bool,
        typer.Option(
            "--skip-unmarked", help="Leave out images without annotations; else they count as good in COCO and CVAT."
        ),
    ] = False,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out images that are not in the folder.")
    ] = False,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    max_decoding_bytes: MaxDecodingBytes = DEFAULT_MAX_BYTES,
) -> None:
    """Copy images that another tool annotated into folders that fit and evaluate read, with masks."""
    from andon_monitor.errors import UsageError

    from andon_trainer.annotations.importing import FORMATS, GOOD_LABELS, import_annotations

    if source_format is not None:
        check_choice("--format", source_format, FORMATS)
    if not 0 <= test_good <= 1:
        raise UsageError(f"--test-good: {test_good} should be a share from 0 to 1")
    with progress_bar() as progress:
        done = import_annotations(
            file,
            folder,
            file.parent if images is None else images,
            source_format=source_format,
            test_good=test_good,
            good_labels=good or GOOD_LABELS,
            skip_unmarked=skip_unmarked,
            skip_missing=skip_missing,
            limits=check_limits(max_pixels, max_decoding_bytes),
            progress=progress,
        )
    kinds = ", ".join(f"{count} {kind}" for kind, count in done.kinds.items()) or "no defects"
    say(
        f"{folder}: {done.train} good images to learn from, {done.test_good} to test with; {kinds}, {done.masks} of "
        f"them with a mask"
    )
    notes = [f"{done.unmarked} images without annotations count as good; --skip-unmarked leaves them out"]
    note_all(notes * bool(done.unmarked))
    note_all([f"left out: {count} {reason}" for reason, count in done.skipped.items()])


def export(
    folder: Annotated[
        Path,
        typer.Argument(help="A folder of images: MVTec AD layout, a folder for each kind, or good images only."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    target_format: Annotated[str, typer.Option("--format", help="coco, cvat or label-studio.")],
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    max_decoding_bytes: MaxDecodingBytes = DEFAULT_MAX_BYTES,
) -> None:
    """Write labels and masks of a folder for another annotation tool. Images stay where they are."""
    check_all_writable(output)
    from andon_trainer.annotations.exporting import WRITERS, export_annotations
    from andon_trainer.data.dataset import open_dataset

    check_choice("--format", target_format, tuple(WRITERS))
    dataset = open_dataset(folder)
    note_all(dataset.notes)
    with progress_bar() as progress:
        text, count = export_annotations(dataset, target_format, check_limits(max_pixels, max_decoding_bytes), progress)
    write_whole(output, text.encode())
    say(f"{output}: {count} images of {folder}")
