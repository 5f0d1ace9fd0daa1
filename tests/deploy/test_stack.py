"""The shipped rules, routes and dashboards on a real monitor, Prometheus and Alertmanager. The tests are one story."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from tests.fixtures.dashboards import NAMES, load, queries
from tests.fixtures.deploy import DEPLOY
from tests.fixtures.grafana import JSON, interpolate
from tests.fixtures.kafka_line import PATIENCE
from tests.fixtures.prometheus import wait_until
from tests.fixtures.small_model import build_model, tell_kinds
from tests.fixtures.stack import CAMERAS, FRAMES_PER_SECOND, Stack, running

RULES = [
    rule
    for path in sorted((DEPLOY / "prometheus" / "rules").iterdir())
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    (folder / "part.onnx").write_bytes(tell_kinds(build_model()))
    with running(folder, folder / "part.onnx") as stack:
        verdicts = "sum(andon_verdicts_total) or vector(0)"
        enough = 10 * FRAMES_PER_SECOND * len(CAMERAS)
        wait_until(
            lambda: bool(found := stack.prometheus.query(verdicts)) and found[0][1] > enough,
            PATIENCE,
            lambda: f"too few verdicts: {stack.prometheus.query(verdicts)}",
        )
        yield stack


def opened(expression: str, board: JSON) -> str:
    """All lines, cameras and models chosen, as the dashboard opens; Prometheus scrapes every second here."""
    return interpolate(expression, board, {}, rate_interval=10, seconds=300)


# Panels that show nothing in this stack: its frames come from no network camera, no parts are joined, nothing acts.
WITHOUT_DATA = {"line": {"Parts", "Views missing"}, "service": {"Network cameras", "Actions"}}


def test_nothing_fires_on_a_healthy_stream(stack: Stack) -> None:
    """Not even begins to: rules that wait for minutes count as well."""
    wait_until(
        lambda: set(stack.prometheus.active()) == {"Watchdog"}, PATIENCE, lambda: f"active {stack.prometheus.active()}"
    )
    assert stack.messages() == []


@pytest.mark.parametrize("name", NAMES)
def test_every_query_of_every_panel_has_data(stack: Stack, name: str) -> None:
    board = load(name)
    asked = [*queries(board)]
    assert len(asked) >= len(board["panels"])

    def empty() -> list[tuple[str, str]]:
        return [(title, text) for title, text in asked if not stack.prometheus.query(opened(text, board))]

    def titles() -> set[str]:
        return {title for title, _ in empty()}

    expected = WITHOUT_DATA.get(name, set())
    wait_until(lambda: titles() == expected, PATIENCE, lambda: f"no data for {empty()}")


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_has_values(stack: Stack, name: str) -> None:
    board = load(name)
    for variable in board["templating"]["list"]:
        match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
        assert match is not None
        assert stack.prometheus.get(f"label/{match[2]}/values", **{"match[]": opened(match[1], board)}), variable[
            "name"
        ]


OF_CAMERAS = ("andon_source_",)  # metrics of a monitor that is connected to a camera
OF_PARTS = ("andon_parts", "andon_part_missing_views")  # metrics where views are joined
OF_ACTIONS = ("andon_action", "andon_capture_to_action")  # metrics where machines act on verdicts


def test_every_rule_is_evaluated_and_what_it_looks_at_is_there(stack: Stack) -> None:
    evaluated = [rule for group in stack.prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(evaluated) == len(RULES)
    assert [rule for rule in evaluated if rule["health"] != "ok" or rule.get("lastError")] == []
    for rule in RULES:
        if "record" in rule:
            assert stack.prometheus.query(rule["record"]), rule["record"]
        # On a healthy line an alert's expression has no result, so what it is made of must have: its selectors, less
        # the labels that only a fault has.
        metrics = r"\b(?:andon_|process_|camera(?:_model)?(?:_signal)?:|job(?:_topic)?:|up\b)[\w:]*"
        names = re.findall(metrics, rule["expr"])
        assert names or rule.get("alert") == "Watchdog"
        for name in names:
            # These monitors read topics, nobody joins parts, and no machine acts.
            if not name.startswith((*OF_CAMERAS, *OF_PARTS, *OF_ACTIONS)):
                assert stack.prometheus.query(name), (rule, name)


def test_dots_on_the_charts_are_ids_of_frames(stack: Stack) -> None:
    now = time.time()
    found = stack.prometheus.get(
        "query_exemplars", query="andon_score_ratio_bucket", start=str(now - 60), end=str(now + 1)
    )
    ids = [exemplar["labels"]["frame_id"] for series in found for exemplar in series["exemplars"]]
    assert ids
    assert all(re.fullmatch("[0-9a-f]{32}", frame) for frame in ids)


def test_a_silent_camera_is_one_message_about_that_camera(stack: Stack) -> None:
    stack.cameras.silent.add("left")
    message = stack.wait_for_message("CameraSilent")
    assert "firing critical CameraSilent: Camera left is silent" in message
    assert message.endswith("/runbook.html#camerasilent")
    assert len(stack.messages()) == 1
    stack.cameras.silent.clear()
    stack.wait_for_message("resolved critical CameraSilent: Camera left")


def test_a_burst_of_defects_is_a_message_about_its_camera_and_not_about_the_light(stack: Stack) -> None:
    stack.cameras.defects.add("right")
    stack.wait_for_message("firing critical DefectBurst: Camera right sees defect after defect")
    stack.wait_for_states(lambda states: states == {"left": 0, "right": 1, "top": 0})
    stack.cameras.defects.clear()
    told = [line for line in stack.messages() if "Silent" not in line]
    assert all("DefectBurst: Camera right" in line or "DefectRateUp" in line for line in told), told


def test_a_frozen_picture_is_a_message_about_its_camera(stack: Stack) -> None:
    stack.cameras.frozen.add("top")
    message = stack.wait_for_message("FrozenPicture")
    assert "firing critical FrozenPicture: Camera top sends the same picture again and again" in message
    stack.wait_for_states(lambda states: 20 <= states["top"] < 30 and states["left"] < 20)
    stack.cameras.frozen.clear()
    stack.wait_for_message("resolved critical FrozenPicture: Camera top")


def suppressed(stack: Stack) -> set[str]:
    """Names of the dead broker's alerts that Alertmanager sends to nobody, because of others."""
    with urllib.request.urlopen(f"{stack.alertmanager}/api/v2/alerts", timeout=10) as answer:
        alerts = [alert for alert in json.load(answer) if alert["labels"].get("job") == "andon-dead"]
    active = {alert["labels"]["alertname"] for alert in alerts if alert["status"]["state"] != "suppressed"}
    return {alert["labels"]["alertname"] for alert in alerts} - active


def test_a_dead_broker_is_one_message_and_not_forty(stack: Stack) -> None:
    """The alerts that a dead broker brings, as Prometheus would post them."""
    common = {"site": "test", "job": "andon-dead"}
    labels = [
        {"alertname": "KafkaDown", "severity": "critical", "instance": "m1"},
        {"alertname": "KafkaDown", "severity": "critical", "instance": "m2"},
        {"alertname": "AllCamerasSilent", "severity": "critical"},
        {"alertname": "NoPartitions", "severity": "critical"},
        {"alertname": "LagGrowing", "severity": "warning"},
        *({"alertname": "CameraSilent", "severity": "critical", "camera": str(i)} for i in range(40)),
    ]
    ends = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    alerts = [{"labels": common | some, "annotations": {"summary": "dead broker"}, "endsAt": ends} for some in labels]
    before = len(stack.messages())
    request = urllib.request.Request(
        f"{stack.alertmanager}/api/v2/alerts", json.dumps(alerts).encode(), {"content-type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=10)
    stack.wait_for_message("dead broker")
    inhibited = {some["alertname"] for some in labels} - {"KafkaDown"}
    wait_until(lambda: suppressed(stack) == inhibited, PATIENCE, lambda: f"suppressed are {suppressed(stack)}")
    told = [line for line in stack.messages()[before:] if "dead broker" in line]
    assert {line.split(": ")[1] for line in told} == {"firing critical KafkaDown"}
    assert len(told) == 2  # one message with a line for each monitor
