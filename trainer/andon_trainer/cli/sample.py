"""`sample`: images of a rendered part, to try everything else with."""

from pathlib import Path
from typing import Annotated

import typer

from andon_trainer.cli.console import progress_bar, say


def sample(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder to write to.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    line: Annotated[
        bool,
        typer.Option(
            "--line",
            help="Two products and two cameras instead of one part: a folder of good parts for each view, and one "
            "stream that changes from one product to the other.",
        ),
    ] = False,
    train: Annotated[
        int | None,
        typer.Option(help="Number of good parts to fit a model on; 300, or 150 for each view of a line."),
    ] = None,
    test_good: Annotated[
        int | None, typer.Option(help="Number of good parts to test with; 60. Not with --line.")
    ] = None,
    test_defects: Annotated[
        int | None, typer.Option(help="Number of defective parts of each kind to test with; 15. Not with --line.")
    ] = None,
    stream: Annotated[
        int, typer.Option(help="Number of frames in the recorded stream; about 2 % of them show defects.")
    ] = 600,
) -> None:
    """Render a sample part: images with masks in MVTec AD layout, and a recorded stream of the same part."""
    from andon_monitor.errors import UsageError

    from andon_trainer.sample.render import write_line, write_sample

    if line:
        for option, given in (("--test-good", test_good), ("--test-defects", test_defects)):
            if given is not None:
                raise UsageError(f"{option}: {given}; a line has no test images, leave it out")
        with progress_bar() as progress:
            written = write_line(
                folder, seed=seed, train=150 if train is None else train, stream=stream, progress=progress
            )
        say(
            f"{folder}: {written.train} good parts of each view ({', '.join(written.faces)}) to fit a model on; "
            f"a stream of {written.stream} frames of {written.parts} parts, {written.defective_parts} of them defective"
        )
        return
    with progress_bar() as progress:
        summary = write_sample(
            folder,
            seed=seed,
            train=300 if train is None else train,
            test_good=60 if test_good is None else test_good,
            test_defects=15 if test_defects is None else test_defects,
            stream=stream,
            progress=progress,
        )
    say(
        f"{folder}: {summary.train} good parts to fit a model on; {summary.test_good} good and "
        f"{summary.test_defects * len(summary.kinds)} defective parts ({len(summary.kinds)} kinds) to test with; "
        f"a stream of {summary.stream} frames with {summary.stream_defects} defects"
    )
