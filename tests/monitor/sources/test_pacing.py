"""A recording played at its own speed."""

import time
from pathlib import Path

import pytest
from andon_monitor.sources.pacing import PacedSource
from andon_monitor.sources.uri import open_source

from tests.fixtures.small_model import draw, encode, write_recording


def test_a_paced_recording_keeps_its_tempo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", sleep)
    folder = write_recording(tmp_path / "line", [(encode(draw(i)), "good") for i in range(4)])
    source = PacedSource(open_source(str(folder)))
    times = []
    while (frames := source.poll(8, 0.2)) is not None:
        times += [round(clock[0] - 100, 3) for _ in frames]
    assert times == [0.0, 0.5, 1.0, 1.5]
    assert max(slept) <= 0.2  # never longer than it was allowed, so that a signal is heard
