import math
import re
from typing import get_type_hints

import pytest
from andon_monitor.inspection.frames import OUTCOMES, REASONS, Frame
from andon_monitor.inspection.inspector import Inspector, Rules
from andon_monitor.model.file import Model
from andon_monitor.run.pipeline import Pipeline
from andon_monitor.telemetry import metrics as metrics_module
from andon_monitor.telemetry.catalogue import CATALOGUE
from andon_monitor.telemetry.metrics import Metrics, ShadowMetrics
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from tests.fixtures.list_ends import ListSink, ListSource
from tests.fixtures.small_model import START, draw, encode, make_frame

CONTRACT = [
    "andon_frames_total",
    "andon_verdicts_total",
    "andon_uninspectable_total",
    "andon_dead_letters_total",
    "andon_score_ratio_bucket",
    "andon_threshold",
    "andon_decode_seconds_bucket",
    "andon_queue_wait_seconds_bucket",
    "andon_inference_seconds_bucket",
    "andon_batch_size_bucket",
    "andon_end_to_end_seconds_bucket",
    "andon_consumer_lag_records",
    "andon_last_frame_timestamp_seconds",
    "andon_model_info",
    "andon_provider_info",
    "andon_drift_score",
    "andon_drift_limit",
    "andon_defect_cusum",
    "andon_defect_cusum_limit",
    "andon_takt_seconds",
    "andon_silence_seconds",
    "andon_build_info",
    "andon_repeated_frames",
    "andon_repeated_frames_limit",
]


def run(model: Model, frames: list[Frame], rules: Rules | None = None, live: bool = False) -> Metrics:
    metrics = Metrics()
    metrics.consumer_lag_records.labels("andon.frames", "0").set(0)
    inspector = Inspector(model, rules)
    metrics.use_model(inspector)
    Pipeline(ListSource(frames, live), inspector, [ListSink()], metrics).run()
    return metrics


@pytest.fixture
def frames() -> list[Frame]:
    data = [encode(draw(i)) for i in range(6)] + [encode(draw(1, defect=True)), b"", b"?"]
    return [make_frame(item, i, camera="a" if i % 2 else "b") for i, item in enumerate(data)]


def test_every_name_of_the_contract_is_there_with_a_help_text(model: Model, frames: list[Frame]) -> None:
    text = generate_latest(run(model, frames).registry).decode()
    for name in CONTRACT:
        assert re.search(rf"^{name}[{{ ]", text, re.MULTILINE), name
    ours = set(re.findall(r"^# TYPE (andon_\w+)", text, re.MULTILINE))
    helped = set(re.findall(r"^# HELP (andon_\w+) \w.*\.$", text, re.MULTILINE))
    assert len(ours) >= len(CONTRACT)
    assert ours == helped
    assert "_created" not in text


def test_the_types_that_are_declared_are_those_of_the_catalogue() -> None:
    declared = {
        (owner, name): kind.__name__
        for owner in (Metrics, ShadowMetrics)
        for name, kind in get_type_hints(owner).items()
    }
    built = {
        (ShadowMetrics if metric.component == "shadow" else Metrics, metric.attribute): metric.kind.capitalize()
        for metric in CATALOGUE
    }
    assert declared == built


def test_the_catalogue_has_every_metric_that_is_exposed_and_no_other() -> None:
    metrics = Metrics()
    ShadowMetrics(metrics.registry)
    text = generate_latest(metrics.registry).decode()
    ours = set(re.findall(r"^# TYPE (andon_\w+)", text, re.MULTILINE))
    assert ours == {metric.exposed_name for metric in CATALOGUE}


def test_what_was_counted_is_what_happened(model: Model, frames: list[Frame]) -> None:
    value = run(model, frames, Rules(alias="press")).registry.get_sample_value
    assert value("andon_frames_total", {"camera": "a"}) == 4
    assert value("andon_frames_total", {"camera": "b"}) == 5
    counts = {
        (camera, outcome): value("andon_verdicts_total", {"camera": camera, "verdict": outcome})
        for camera in "ab"
        for outcome in OUTCOMES
    }
    assert counts == {
        ("a", "good"): 3,
        ("a", "defect"): 0,
        ("a", "uninspectable"): 1,
        ("b", "good"): 3,
        ("b", "defect"): 1,
        ("b", "uninspectable"): 1,
    }
    assert value("andon_uninspectable_total", {"camera": "a", "reason": "empty"}) == 1
    assert value("andon_uninspectable_total", {"camera": "b", "reason": "undecodable"}) == 1
    assert value("andon_score_ratio_bucket", {"camera": "b", "model": "press", "le": "1.0"}) == 3
    assert value("andon_score_ratio_count", {"camera": "b", "model": "press"}) == 4
    assert value("andon_threshold", {"camera": "a", "model": "press"}) == model.card.threshold
    assert value("andon_last_frame_timestamp_seconds", {"camera": "a"}) == START + 7
    assert value("andon_decode_seconds_count") == 9
    assert value("andon_queue_wait_seconds_count") == 9
    assert value("andon_batch_size_sum") == 9
    assert value("andon_end_to_end_seconds_count") == 9
    assert value("andon_in_flight_frames") == 0
    assert value("andon_in_flight_bytes") == 0


def test_labels_exist_before_they_are_needed(model: Model, frames: list[Frame]) -> None:
    value = run(model, frames[:1]).registry.get_sample_value
    for reason in REASONS:
        assert value("andon_uninspectable_total", {"camera": "b", "reason": reason}) == 0
        assert value("andon_dead_letters_total", {"reason": reason}) == 0
    assert value("andon_verdicts_total", {"camera": "b", "verdict": "defect"}) == 0


def test_a_cameras_series_are_all_there_from_its_first_frame_on(model: Model, frames: list[Frame]) -> None:
    """And none is added later, whatever happens: the cost of a scrape depends on the cameras alone."""

    def series(frames: list[Frame]) -> int:
        text = generate_latest(run(model, frames).registry).decode()
        return sum('camera="a"' in line for line in text.splitlines())

    assert series(frames[1:2]) == series(frames) == 43


def test_an_expected_camera_is_there_before_it_sends_anything() -> None:
    metrics = Metrics()
    metrics.expect(("left",), silence=30, takt=1.5)
    value = metrics.registry.get_sample_value
    assert value("andon_last_frame_timestamp_seconds", {"camera": "left"}) == 0
    assert value("andon_verdicts_total", {"camera": "left", "verdict": "defect"}) == 0
    assert (value("andon_silence_seconds"), value("andon_takt_seconds")) == (30, 1.5)


def test_the_newest_defect_has_its_time(model: Model, frames: list[Frame]) -> None:
    value = run(model, frames).registry.get_sample_value
    assert value("andon_last_defect_timestamp_seconds", {"camera": "b"}) == START + 6
    assert value("andon_last_defect_timestamp_seconds", {"camera": "a"}) == 0


def test_without_kafka_there_is_no_broker_to_be_down() -> None:
    assert "andon_kafka_up NaN" in generate_latest(Metrics().registry).decode()


def test_an_operators_threshold_shows(model: Model, frames: list[Frame]) -> None:
    value = run(model, frames, Rules(thresholds={"a": 9.0})).registry.get_sample_value
    assert value("andon_threshold", {"camera": "a", "model": "darkness"}) == 9.0
    assert value("andon_threshold", {"camera": "b", "model": "darkness"}) == model.card.threshold


def test_model_and_provider_say_what_is_really_in_use(model_bytes: bytes) -> None:
    metrics = Metrics()
    fell_back = Model.from_bytes(model_bytes, "m", "cuda")
    before = Inspector(fell_back, Rules(alias="press"))
    metrics.use_model(before)
    labels = {"provider": "CPUExecutionProvider", "fallback": "true"}
    assert metrics.registry.get_sample_value("andon_provider_info", labels) == 1
    text = generate_latest(metrics.registry).decode()
    assert re.search(rf'^andon_model_info{{.*model="press".*sha256="{fell_back.sha256}"', text, re.MULTILINE)
    metrics.use_model(Inspector(Model.from_bytes(model_bytes, "m", "cpu"), Rules(alias="next")), before)
    assert generate_latest(metrics.registry).decode().count("\nandon_model_info{") == 1  # the old one is gone


def test_a_process_without_charts_shows_no_limit_of_them() -> None:
    """The lowest limit of a line is what counts in the rules: the service of parts must not have it."""
    value = Metrics().registry.get_sample_value
    for name in ("andon_defect_cusum_limit", "andon_drift_limit", "andon_repeated_frames_limit"):
        assert math.isnan(value(name) or 0.0), name


def test_latency_of_live_frames_counts_from_their_capture(model: Model) -> None:
    old = make_frame(encode(draw(1)))  # captured years ago
    value = run(model, [old], live=True).registry.get_sample_value
    assert value("andon_end_to_end_seconds_bucket", {"le": "3600.0"}) == 0
    assert run(model, [old]).registry.get_sample_value("andon_end_to_end_seconds_bucket", {"le": "60.0"}) == 1


def test_exemplars_name_the_frame_in_openmetrics(model: Model, frames: list[Frame]) -> None:
    metrics = run(model, frames)
    assert re.search(
        r'andon_score_ratio_bucket{.*} \d+\.0 # {frame_id="[0-9a-f]{32}"}',
        generate_openmetrics(metrics.registry).decode(),
    )
    assert re.search(
        r'andon_verdicts_total{camera="b",verdict="defect"} 1\.0 # {frame_id="[0-9a-f]{32}"}',
        generate_openmetrics(metrics.registry).decode(),
    )
    assert "frame_id" not in generate_latest(metrics.registry).decode()


def test_invented_camera_names_do_not_add_series_without_end(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "MAX_CAMERAS", 3)
    frames = [make_frame(b"", i, camera=f"invented-{i}") for i in range(10)]
    value = run(model, frames).registry.get_sample_value
    assert value("andon_frames_total", {"camera": "invented-2"}) == 1
    assert value("andon_frames_total", {"camera": "invented-3"}) is None
    assert value("andon_frames_total", {"camera": "other"}) == 7
    assert value("andon_verdicts_total", {"camera": "other", "verdict": "uninspectable"}) == 7


def test_metrics_live_on_a_registry_of_their_own() -> None:
    registry = CollectorRegistry()
    assert Metrics(registry).registry is registry
    Metrics()  # a second one in the same process collides with nothing
    assert registry.get_sample_value("process_resident_memory_bytes") is not None
