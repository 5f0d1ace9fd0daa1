"""The limits of `evaluate`."""

from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_trainer.cli.evaluate import gate
from andon_trainer.evaluation import Judged, measure


def judged(good: str, defects: str) -> list[Judged]:
    """Images of good parts and of defects; `x` is one that was flagged."""
    labels = [("good", letter) for letter in good] + [("scratch", letter) for letter in defects]
    return [
        Judged(Path(f"{i}.png"), label, float(letter == "x"), letter == "x") for i, (label, letter) in enumerate(labels)
    ]


@pytest.mark.parametrize(
    ("good", "defects", "limits", "said"),
    [
        ("....", "xxxx", (1.0, 0.0), []),
        ("...x", "xxx.", (0.75, 0.25), []),
        ("....", "xxx.", (0.8, 0.0), ["3 of 4 defects (75.0%) were found, at least 80.0% are"]),
        ("..xx", "....", (None, 0.25), ["2 of 4 good parts (50.0%) were flagged, at most 25.0%"]),
        ("..xx", "....", (None, None), []),
    ],
)  # fmt: skip
def test_what_breaks_a_limit_is_said(
    good: str, defects: str, limits: tuple[float | None, float | None], said: list[str]
) -> None:
    found = gate(measure(judged(good, defects), 0.5), *limits)
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))


def test_a_limit_needs_images_that_it_is_about() -> None:
    with pytest.raises(UsageError, match=r"--min-detection: 0\.9 needs test images of defects"):
        gate(measure(judged("....", ""), 0.5), 0.9, None)
    with pytest.raises(UsageError, match=r"--max-false-alarms: 0\.1 needs test images of good parts"):
        gate(measure(judged("", "xx"), 0.5), None, 0.1)
