"""The trial of `tests.benchmarks.trial`: from a simulated camera to verdicts, by the commands of the README."""

import random
from pathlib import Path

import pytest
from andon_monitor.common.intervals import rate
from andon_trainer.sample.defects import KINDS

from tests.benchmarks.trial import EMPTY_FRAMES, FRAME_RATE, FRAMES_OF_PART, GOOD, Film, main, outcome


@pytest.mark.parametrize("first", [0, 4, 37])
def test_parts_are_told_apart_wherever_in_the_film_the_monitor_begins_and_whatever_it_drops(first: int) -> None:
    kinds = [GOOD, GOOD, "crack", GOOD, "dent"] * 8
    film, chance = Film(Path(), tuple(kinds)), random.Random(first)
    timed = []
    for number in range(film.frames + 15):
        place = (first + number) % film.frames - EMPTY_FRAMES
        kind = "empty" if place < 0 else kinds[place // FRAMES_OF_PART]
        score = {"empty": 30.0, GOOD: 1.0, "crack": 1.2, "dent": 4.0}[kind] + chance.random()
        verdict = {"score": score, "verdict": "defect" if score > 3 else "good"}
        if number == 0 or place == -1 or chance.random() < 0.8:
            timed.append((100 + (number + 0.2 * chance.random()) / FRAME_RATE, verdict))
    found = outcome(film, timed)
    assert found is not None
    assert found.flagged is not None
    assert found.flagged.flagged == 0
    assert found.found is not None
    assert found.found.count >= 12
    assert 0.3 < found.found.share < 0.7
    assert found.flagged.count + found.found.count + found.unseen == len(kinds)


def test_without_the_empty_station_no_part_is_told_from_another() -> None:
    film = Film(Path(), (GOOD,) * 20)
    same = {"score": 1.0, "verdict": "good"}
    assert outcome(film, [(number / FRAME_RATE, same) for number in range(film.frames)]) is None


def test_a_new_user_comes_from_a_camera_to_verdicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = "--iterations 4 --side 64 --size small --threads 1"
    sizes = ["--images", "12", "--good", "6", "--defects", "1", "--seeds", "2"]
    (result,) = main([str(tmp_path), *sizes, "--fit", fit])
    assert len(list((tmp_path / "images" / "good").glob("*.png"))) == 12
    assert result.flagged is not None
    assert result.found is not None
    assert result.flagged.count + result.found.count + result.unseen == 6 + len(KINDS)
    assert result.found == rate(result.found.flagged, result.found.count)
    assert "| 2 | " in capsys.readouterr().out
