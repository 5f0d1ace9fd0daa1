"""A shadow model: what it says is counted, it keeps its budget, and the first model's verdicts are untouched."""

import json
import time
from pathlib import Path

import pytest
from andon_monitor.inspection.inspector import Inspection, Inspector
from andon_monitor.model.file import Model
from andon_monitor.run.shadow import Shadow
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.commands import andon
from tests.fixtures.small_model import build_model, draw, encode, make_frame, with_threshold


@pytest.fixture
def stricter(model_bytes: bytes) -> Model:
    """The small model with a lower threshold."""
    content = build_model(card_json=lambda card: with_threshold(card, 0.75))
    return Model.from_bytes(content, "stricter.onnx", "cpu")


def inspections(model: Model, count: int) -> list[Inspection]:
    inspector = Inspector(model)
    prepared = [inspector.prepare(make_frame(encode(draw(i, i % 10 == 9)), i, f"c{i % 2}")) for i in range(count)]
    return [Inspection(item, verdict) for item, verdict in zip(prepared, inspector.inspect(prepared), strict=True)]


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def until_done(metrics: Metrics, count: int) -> None:
    deadline = time.monotonic() + 300
    while value(metrics, "andon_shadow_frames_total", result="scored") < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_both_models_say_is_counted(model: Model, stricter: Model) -> None:
    metrics = Metrics()
    shadow = Shadow({None: Inspector(stricter)}, metrics, budget=1.0, pending=100)
    sent = inspections(model, 40)
    shadow.write(sent)
    until_done(metrics, 40)
    shadow.close("complete")
    alone = Inspector(stricter)
    expected = [alone.inspect([alone.prepare(item.frame)])[0].outcome for item in sent]
    for camera in ("c0", "c1"):
        for first in ("good", "defect", "uninspectable"):
            for second in ("good", "defect", "uninspectable"):
                pairs = [(item.verdict.outcome, outcome) for item, outcome in zip(sent, expected, strict=True)
                         if item.verdict.camera == camera]  # fmt: skip
                found = value(
                    metrics,
                    "andon_shadow_verdicts_total",
                    camera=camera,
                    model="darkness",
                    verdict=first,
                    shadow=second,
                )
                assert found == pairs.count((first, second))
    differing = sum(item.verdict.outcome != outcome for item, outcome in zip(sent, expected, strict=True))
    assert shadow.differing == differing > 0
    assert value(metrics, "andon_shadow_score_ratio_count", camera="c0", model="darkness") == 20


def test_it_keeps_its_budget_and_counts_what_it_skips(
    model: Model, stricter: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Metrics()
    sent, written, started = inspections(model, 20), 0, time.monotonic()
    shadow = Shadow({None: Inspector(stricter)}, metrics, budget=0.1, pending=4)
    busy: list[float] = []  # seconds for each frame
    monkeypatch.setattr(shadow.metrics.seconds, "observe", busy.append)
    while len(busy) < 6 and time.monotonic() - started < 300:
        shadow.write(sent)
        written += len(sent)
        time.sleep(0.002)
    shadow.close("complete")
    assert len(busy) >= 6
    assert 0 < sum(busy[:-1]) <= 0.1 * (time.monotonic() - started)  # there was no pause after the last one
    assert shadow.skipped > 0
    assert shadow.scored + shadow.skipped == written
    assert value(metrics, "andon_shadow_frames_total", result="skipped") == shadow.skipped


def test_a_run_with_a_shadow_gives_the_same_verdicts(
    model_path: Path, recording: Path, tmp_path: Path, stricter: Model
) -> None:
    other = tmp_path / "stricter.onnx"
    other.write_bytes(build_model(card_json=lambda card: with_threshold(card, 0.75)))
    alone = andon("run", "--no-server", "--model", model_path, "--source", recording)
    beside = andon("run", "--no-server", "--model", model_path, "--source", recording, "--shadow", other)
    assert beside.returncode == 0, beside.stderr
    assert beside.stdout == alone.stdout
    assert {json.loads(line)["model"]["sha256"] for line in beside.stdout.splitlines()} != {stricter.sha256}
    assert f"shadow darkness {stricter.sha256[:12]}, threshold 0.75, with at most 25 % of one core" in beside.stderr
    assert " frames scored, " in beside.stderr


def test_a_shadow_that_is_no_model_is_refused_before_the_first_frame(model_path: Path, recording: Path) -> None:
    done = andon("run", "--no-server", "--model", model_path, "--source", recording, "--shadow", recording / "x.onnx")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("x.onnx: no such model file")
    assert done.stdout == ""
