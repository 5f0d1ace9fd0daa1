import json
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.inspection.inspector import Inspection, Inspector
from andon_monitor.inspection.part import Part
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.file import Model
from andon_monitor.settings.groups import StatisticsSettings
from andon_monitor.statistics.charts import ControlCharts, cusum_of
from andon_monitor.telemetry.metrics import MAX_CAMERAS, Metrics

from tests.fixtures.small_model import build_model, draw, encode, make_frame

RATES = {"normal_defect_rate": 0.02, "raised_defect_rate": 0.06}


def inspect(model: Model, defects: Sequence[bool], camera: str = "left") -> list[Inspection]:
    inspector = Inspector(model)
    frames = [make_frame(encode(draw(i, defect)), i, camera) for i, defect in enumerate(defects)]
    prepared = [inspector.prepare(frame) for frame in frames]
    return [Inspection(p, v) for p, v in zip(prepared, inspector.inspect(prepared), strict=True)]


def open_charts(model: Model, path: Path | None = None, **settings: float) -> tuple[ControlCharts, Metrics]:
    metrics = Metrics()
    return ControlCharts(StatisticsSettings(state_file=path, **RATES | settings), [Inspector(model)], metrics), metrics


def shown(metrics: Metrics, name: str, model: str = "darkness", **labels: str) -> float | None:
    if "limit" not in name:
        labels["model"] = model
    return metrics.registry.get_sample_value(name, labels)


def test_each_camera_has_charts_of_its_own(model: Model) -> None:
    charts, metrics = open_charts(model)
    charts.write([*inspect(model, [True] * 4, "left"), *inspect(model, [False] * 4, "right")])
    assert shown(metrics, "andon_defect_cusum", camera="left") == pytest.approx(4 * 1.0986, abs=0.1)
    assert shown(metrics, "andon_defect_cusum", camera="right") == 0
    assert shown(metrics, "andon_defect_cusum_limit") == 6
    assert shown(metrics, "andon_drift_limit") == 1
    assert shown(metrics, "andon_drift_score", camera="right", signal="brightness") != 0


def test_charts_go_on_after_a_restart_as_if_there_had_been_none(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "state" / "charts.json"
    parts = inspect(model, [False, True, False, False, True, False])
    whole, in_one_go = open_charts(model)
    whole.write(parts)
    first, _ = open_charts(model, path)
    first.write(parts[:3])
    first.close("complete")
    second, after = open_charts(model, path)
    assert shown(after, "andon_defect_cusum", camera="left") > 0  # before the first frame
    second.write(parts[3:])
    for name, labels in (("andon_defect_cusum", {}), ("andon_drift_score", {"signal": "score"})):
        assert shown(after, name, camera="left", **labels) == shown(in_one_go, name, camera="left", **labels)


def test_the_file_is_whole_at_any_moment(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "charts.json"
    charts, _ = open_charts(model, path)
    charts.write(inspect(model, [True]))
    charts.close("failed")  # a run that failed keeps its charts too
    assert set(json.loads(path.read_text())["models"]["darkness"]["cameras"]["left"]) == {"cusum", "drift"}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not readable"),
        (b"{", "not readable"),
        (b"[]", "not readable"),
        (b"[" * 200_000, "not readable"),
        (b'{"version": 2, "models": {"darkness": {"cameras": {"left": {"cusum": "high"}}}}}', "not readable"),
        (b'{"version": 1, "model": "another", "cameras": {}}', "from another model or other settings"),
    ],
)
def test_a_file_that_does_not_fit_is_said_and_the_charts_start_over(
    model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, said: str
) -> None:
    path = tmp_path / "charts.json"
    path.write_bytes(content)
    with caplog.at_level(logging.INFO, "andon"):
        charts, metrics = open_charts(model, path)
    assert said in caplog.text
    assert "the charts start empty" in caplog.text
    charts.write(inspect(model, [False]))
    assert shown(metrics, "andon_defect_cusum", camera="left") == 0


def test_a_pipe_or_a_giant_file_in_the_place_of_the_charts_is_said(
    model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "giant").open("wb") as file:
        file.truncate(2**40)  # sparse
    for name, said in (("pipe", "not a file"), ("giant", f"a file of {2**40} bytes")):
        open_charts(model, tmp_path / name)
        assert said in caplog.text


def test_other_rates_start_over(model: Model, tmp_path: Path) -> None:
    charts, _ = open_charts(model, tmp_path / "c.json")
    charts.write(inspect(model, [True]))
    charts.close("complete")
    _, metrics = open_charts(model, tmp_path / "c.json", raised_defect_rate=0.1)
    assert shown(metrics, "andon_defect_cusum", camera="left") is None


def test_a_file_that_cannot_be_written_does_not_end_the_line(
    model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    charts, metrics = open_charts(model, tmp_path / "file" / "charts.json")
    charts.write(inspect(model, [True]))
    charts.close("complete")
    charts.close("complete")
    assert caplog.text.count("the charts will start empty after a restart") == 1
    assert shown(metrics, "andon_defect_cusum", camera="left") > 0


def test_invented_cameras_share_one_chart(model: Model) -> None:
    charts, _ = open_charts(model)
    (part,) = inspect(model, [True])
    for i in range(MAX_CAMERAS + 10):
        charts.write([Inspection(part.prepared, replace(part.verdict, camera=str(i)))])
    assert len(charts._charts) == MAX_CAMERAS + 1


def test_what_is_usual_follows_the_model_and_never_lies_below_its_false_alarms(model: Model) -> None:
    assert model.card.calibration.false_alarm_rate == 0.01
    cusum = cusum_of(StatisticsSettings(), 0.01)
    assert (cusum.normal, cusum.raised) == (0.02, 0.06)
    with pytest.raises(UsageError, match=r"normal_defect_rate: 0\.001 is below the model's false-alarm rate 0\.01"):
        cusum_of(StatisticsSettings(normal_defect_rate=0.001), 0.01)


def test_a_swapped_in_model_starts_the_charts_over_with_its_first_verdict(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "charts.json"
    other = Model.from_bytes(build_model(card_json=lambda card: card | {"name": "other"}), "other.onnx", "cpu")
    charts, metrics = open_charts(model, path)
    charts.write([*inspect(model, [True] * 3, "left"), *inspect(model, [True] * 3, "right")])
    charts.follow(Inspector(other), "darkness")
    charts.write(inspect(model, [True], "left"))  # it was under way when the model was swapped
    assert shown(metrics, "andon_defect_cusum", camera="left") == pytest.approx(4 * 1.0986, abs=0.1)
    charts.write(inspect(other, [True], "left"))
    assert shown(metrics, "andon_defect_cusum", camera="left") is None  # the old one's are gone
    assert shown(metrics, "andon_defect_cusum", "other", camera="left") == pytest.approx(1.0986, abs=0.1)
    assert shown(metrics, "andon_defect_cusum", "other", camera="right") == 0  # before its next frame comes
    charts.write(inspect(other, [False], "right"))
    alone, under_other = open_charts(other)
    alone.write([*inspect(other, [True], "left"), *inspect(other, [False], "right")])
    for camera in ("left", "right"):
        for signal in ("score", "brightness", "sharpness"):
            labels = {"camera": camera, "signal": signal, "model": "other"}
            assert shown(metrics, "andon_drift_score", **labels) == shown(under_other, "andon_drift_score", **labels)
    charts.close("complete")
    saved = json.loads(path.read_text())["models"]
    assert {name: entry["sha256"] for name, entry in saved.items()} == {"other": other.sha256}


def test_a_model_that_the_settings_do_not_fit_is_not_followed(model: Model) -> None:
    def calibrated(card: dict[str, Any]) -> dict[str, Any]:
        calibration = calibrate(card["calibration"]["scores"], 0.5)
        return card | {"calibration": json.loads(calibration.model_dump_json())}

    flags_more = build_model(card_json=calibrated)
    charts, metrics = open_charts(model)
    with pytest.raises(UsageError, match=r"normal_defect_rate: 0\.02 is below the model's false-alarm rate 0\.5"):
        charts.follow(Inspector(Model.from_bytes(flags_more, "other.onnx", "cpu")))
    charts.write(inspect(model, [True] * 2))
    assert shown(metrics, "andon_defect_cusum", camera="left") == pytest.approx(2 * 1.0986, abs=0.1)


def test_the_frames_of_one_part_are_one_vote(model: Model) -> None:
    """Parts that are seen in three frames each: the chart is that of one frame each, a defect if any of them is."""
    thrice, once = open_charts(model), open_charts(model)
    defects = [False, True, False, False, True, False]
    for number, defect in enumerate(defects):
        part = Part(id=f"serial {number}")
        for one, shown_as in ((thrice, [False, defect, False]), (once, [defect])):
            for inspection in inspect(model, shown_as):
                one[0].write([replace(inspection, verdict=replace(inspection.verdict, part=part))])
    expected = shown(once[1], "andon_defect_cusum", camera="left")
    assert shown(thrice[1], "andon_defect_cusum", camera="left") == expected
    assert expected > 0
