"""Tables on the console: nothing undefined becomes a number, and no name becomes markup."""

import io
from pathlib import Path

import pytest
from andon_trainer.cli.tables import evaluation_table
from andon_trainer.evaluation import Judged, measure
from rich.console import Console


def printed(**scores: list[float]) -> str:
    images = [Judged(Path(kind), kind, score, score > 1.5) for kind, values in scores.items() for score in values]
    text = io.StringIO()
    Console(file=text, width=120).print(evaluation_table(measure(images, threshold=1.5)))
    return text.getvalue()


@pytest.mark.parametrize("only", ["good", "scratch"])
def test_what_is_undefined_is_a_dash(only: str) -> None:
    assert "–" in printed(**{only: [1.0, 2.0]})


def test_a_folder_named_like_markup_is_shown_as_it_is() -> None:
    assert "[red]x[/nonsense]" in printed(**{"good": [1.0], "[red]x[/nonsense]": [2.0]})


def test_auroc_is_explained_where_it_is_shown() -> None:
    assert "0.5 is a coin toss" in printed(good=[1.0], scratch=[2.0])
