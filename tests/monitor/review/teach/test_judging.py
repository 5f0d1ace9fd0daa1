"""Which of two models is better, in one sentence that says how sure that is."""

from pathlib import Path

import pytest
from andon_monitor.model.file import Model
from andon_monitor.model.recalibration import with_rate
from andon_monitor.review.teach.judging import Judged, judge

from tests.fixtures.small_model import draw, encode


def judged(gained: int, lost: int) -> Judged:
    return Judged(good=20, defects=20, old_alarms=0, new_alarms=0, old_found=0, new_found=0, gained=gained, lost=lost)


@pytest.mark.parametrize(
    ("gained", "lost", "verdict", "said"),
    [
        (0, 0, "No better", "right on the same of 40"),
        (3, 3, "No better", "not certain"),
        (3, 0, "Perhaps better", "25 of 100 cases, so it is not certain"),
        (9, 1, "Better", "2 of 100 cases."),
        (1, 3, "Perhaps worse", "not certain"),
        (0, 30, "Worse", "this is no chance."),
    ],
)
def test_the_sentence_says_which_is_better_and_how_sure(gained: int, lost: int, verdict: str, said: str) -> None:
    found = judged(gained, lost)
    assert found.verdict == verdict
    assert found.sentence.startswith(f"{verdict}: ")
    assert said in found.sentence


def test_a_model_with_a_blind_threshold_is_seen_to_be_worse(model: Model, tmp_path: Path) -> None:
    images = []
    for i in range(12):
        path = tmp_path / f"{i}.png"
        path.write_bytes(encode(draw(i, defect=i % 2 == 0)))
        images.append((str(path), "dent" if i % 2 == 0 else "good"))
    (tmp_path / "bad.png").write_bytes(b"no image")
    images += [(str(tmp_path / "bad.png"), "good"), (str(tmp_path / "gone.png"), "good")]
    strict = Model.from_bytes(with_rate(model.content, "new.onnx", 0.5)[0], "new.onnx", "cpu")
    found = judge(model, strict, images)
    assert (found.good, found.defects, found.unreadable) == (6, 6, 2)
    assert (found.old_alarms, found.old_found, found.new_found) == (0, 6, 6)
    assert (found.gained, found.lost) == (0, found.new_alarms)
    assert found.new_alarms > 0
    assert "worse" in found.verdict.lower()
