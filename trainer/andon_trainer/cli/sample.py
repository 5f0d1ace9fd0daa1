"""`sample`: images of a rendered part, to try everything else with."""

from pathlib import Path
from typing import Annotated

import typer

from andon_trainer.cli.console import progress_bar, say


def sample(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder to write to.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    train: Annotated[int, typer.Option(help="Number of good parts to fit a model on.")] = 300,
    test_good: Annotated[int, typer.Option(help="Number of good parts to test with.")] = 60,
    test_defects: Annotated[int, typer.Option(help="Number of defective parts of each kind to test with.")] = 15,
    stream: Annotated[
        int, typer.Option(help="Number of frames in the recorded stream; about 2 % of them show defects.")
    ] = 600,
) -> None:
    """Render a sample part: images with masks in MVTec AD layout, and a recorded stream of the same part."""
    from andon_trainer.sample.render import write_sample

    with progress_bar() as progress:
        summary = write_sample(
            folder,
            seed=seed,
            train=train,
            test_good=test_good,
            test_defects=test_defects,
            stream=stream,
            progress=progress,
        )
    say(
        f"{folder}: {summary.train} good parts to fit a model on; {summary.test_good} good and "
        f"{summary.test_defects * len(summary.kinds)} defective parts ({len(summary.kinds)} kinds) to test with; "
        f"a stream of {summary.stream} frames with {summary.stream_defects} defects"
    )
