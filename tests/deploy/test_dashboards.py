"""The dashboards of lines that are healthy, half dead and dead: every tile and cell, as Grafana shows it."""

import functools
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.fixtures.dashboards import NAMES, load
from tests.fixtures.deploy import run
from tests.fixtures.grafana import JSON, Tile, Viewer, configured, interpolate, words
from tests.fixtures.kafka_line import PATIENCE
from tests.fixtures.made_lines import MadeLine, Watch, make, watched
from tests.fixtures.prometheus import Prometheus, wait_until

BOARDS = {name: load(name) for name in NAMES}
UNKNOWN_LINE = "andon-never"
GREEN, RED, GREY = {"green", "dark-green"}, {"red", "dark-red"}, {"#6e6e6e"}
WORDS_OF_HEALTH = {"GOOD", "UP", "yes"}


@functools.cache
def made_lines() -> dict[str, MadeLine]:
    """By job: the histories of lines in every state; they take half a second to make."""
    several = [make(health, count) for health in ("healthy", "half", "dead") for count in (3, 40)]
    return {line.job: line for line in (*several, make("gone", 3), make("dying", 3, takt=0))}


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    with watched(tmp_path_factory.mktemp("made"), [*made_lines().values()]) as watch:
        yield watch


def see(watch: Watch, job: str) -> Viewer:
    return Viewer(watch.prometheus, watch.settled, {"line": job})


def panel(name: str, title: str) -> tuple[JSON, JSON]:
    board = BOARDS[name]
    (found,) = (panel for panel in board["panels"] if panel["title"] == title)
    return board, found


def tiles(watch: Watch, job: str, name: str, title: str) -> dict[str, Tile]:
    return {tile.name: tile for tile in see(watch, job).tiles(*panel(name, title))}


def nothing_is_green(watch: Watch, job: str) -> None:
    for name, board in BOARDS.items():
        for title, tile in words(see(watch, job), board):
            assert tile.color not in GREEN, (name, title, tile)
            assert tile.text not in WORDS_OF_HEALTH, (name, title, tile)


def wait_until_new(prometheus: Prometheus, series: str, condition: str, since: float, count: int) -> None:
    """Until so many series meet a condition with a sample that is newer than a time."""
    asked = f"{series} {condition} and timestamp({series}) > {since!r}"
    wait_until(lambda: len(prometheus.query(asked)) == count, PATIENCE, lambda: f"{prometheus.query(series)}")


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("name", ["line", "wall", "wall-1440"])
def test_a_healthy_line_is_green_and_complete(watch: Watch, name: str, count: int) -> None:
    line = made_lines()[f"andon-healthy-{count}"]
    cameras = tiles(watch, line.job, name, "Cameras")
    assert [*cameras] == [*line.cameras]
    assert {(tile.text, tile.color) for tile in cameras.values()} == {("GOOD", "dark-green")}
    monitors = tiles(watch, line.job, name, "Monitors")
    assert {key: tile.text for key, tile in monitors.items()} == {"running": "2", "missing": "0"}
    assert monitors["missing"].color in GREEN
    assert tiles(watch, line.job, name, "Cameras sending")["sending"].text == str(count)
    alerts = tiles(watch, line.job, name, "Alerts")["firing"]
    assert (alerts.text, alerts.color) == ("0", "dark-green"), watch.prometheus.active()
    rate = tiles(watch, line.job, name, "Verdicts a minute")["verdicts"]
    assert 30 * count < float(rate.text) < 70 * count  # 60, less what Prometheus loses at the ends of its window
    assert rate.color not in GREEN


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("name", ["line", "wall", "wall-1440"])
def test_losses_of_a_half_dead_line_are_red(watch: Watch, name: str, count: int) -> None:
    line = made_lines()[f"andon-half-{count}"]
    cameras = tiles(watch, line.job, name, "Cameras")
    assert [(tile.text, tile.color) for tile in cameras.values()][:3] == [
        ("OFFLINE", "dark-red"),
        ("FROZEN", "dark-orange"),
        ("DEFECT", "red"),
    ]
    assert {(tile.text, tile.color) for tile in [*cameras.values()][3:]} <= {("GOOD", "dark-green")}
    for title, there, number in (("Monitors", "running", 1), ("Cameras sending", "sending", count - 1)):
        found = tiles(watch, line.job, name, title)
        assert (found["missing"].text, found["missing"].color) == ("1", "dark-red")
        assert found[there].text == str(number)
        assert found[there].color not in GREEN
    assert tiles(watch, line.job, name, "Alerts")["firing"].color in RED


@pytest.mark.parametrize("job", ["andon-dead-3", "andon-dead-40", "andon-gone-3"])
def test_on_a_dead_line_nothing_is_green_and_nothing_says_good(watch: Watch, job: str) -> None:
    nothing_is_green(watch, job)
    for name in ("line", "wall", "wall-1440"):
        cameras = tiles(watch, job, name, "Cameras")
        assert [*cameras] == [*made_lines()[job].cameras]
        assert {(tile.text, tile.color) for tile in cameras.values()} == {("NO MONITOR", "dark-red")}
        for title, there in (("Monitors", "running"), ("Cameras sending", "sending")):
            found = tiles(watch, job, name, title)
            assert (found[there].text, found[there].color) == ("0", "dark-red")
            assert found["missing"].color in RED
        assert tiles(watch, job, name, "Alerts")["firing"].color in RED
        (rate,) = tiles(watch, job, name, "Verdicts a minute").values()
        assert (rate.text, {rate.color}) == ("NO DATA", GREY)


def test_a_line_that_nothing_is_known_of_is_grey(watch: Watch) -> None:
    nothing_is_green(watch, UNKNOWN_LINE)
    for name, board in BOARDS.items():
        for title, tile in words(see(watch, UNKNOWN_LINE), board):
            assert title == "As of" or (tile.text, {tile.color}) == ("NO DATA", GREY), (name, title, tile)


def test_a_line_that_has_just_died_says_so_at_once(watch: Watch) -> None:
    prometheus = watch.prometheus
    line = made_lines()["andon-dying-3"]
    latency = tiles(watch, line.job, "service", "Latency of the takt")["share"]
    assert (latency.text, {latency.color}) == ("NO TAKT SET", GREY)
    assert {tile.text for tile in tiles(watch, line.job, "wall", "Cameras").values()} == {"GOOD"}
    for replica in line.replicas:
        replica.dying.set()
    since = time.time()
    wait_until_new(prometheus, f'up{{job="{line.job}"}}', "== 0", since, len(line.replicas))
    since = time.time()
    wait_until_new(prometheus, f'camera:andon_state:code{{job="{line.job}"}}', "== 1000", since, len(line.cameras))
    wait_until_new(prometheus, f'ALERTS{{alertname="NoMonitor", job="{line.job}"}}', "== 1", since, 1)
    nothing_is_green(Watch(prometheus, time.time()), line.job)


def test_all_lines_are_those_of_andon_and_each_camera_says_its_line(watch: Watch) -> None:
    viewer = Viewer(watch.prometheus, watch.settled)
    cameras = [tile.name for tile in viewer.tiles(*panel("wall", "Cameras"))]
    assert len({*cameras}) == len(cameras)
    assert {*cameras} == {f"{job} {camera}" for job, line in made_lines().items() for camera in line.cameras}
    known = {line.text for row in viewer.rows(*panel("service", "Replicas")) for line in [row["Line"]]}
    assert known == {*made_lines()}  # Prometheus has a job of others, too


@pytest.mark.parametrize(
    ("job", "states"),
    [
        ("andon-healthy-3", {"m1:9464": "UP", "m2:9464": "UP", "p1:9464": "UP"}),
        ("andon-half-3", {"m1:9464": "UP", "m2:9464": "DOWN", "p1:9464": "UP"}),
        ("andon-dead-3", {"m1:9464": "DOWN", "m2:9464": "DOWN", "p1:9464": "DOWN"}),
        ("andon-gone-3", {"m1:9464": "GONE", "m2:9464": "GONE", "p1:9464": "GONE"}),
    ],
)
def test_a_dead_replica_is_a_red_row_above_the_others(watch: Watch, job: str, states: dict[str, str]) -> None:
    for title, columns in (
        ("Replicas", "Replica State Ready Kafka Partitions Model_files_in_use Up_for Line"),
        ("What runs where", "Replica State Andon ONNX_Runtime Provider Instead_of_another_one Line"),
    ):
        rows = see(watch, job).rows(*panel("service", title))
        assert {row["Replica"].text: row["State"].text for row in rows} == states
        shown = [row["State"].text for row in rows]
        assert shown == sorted(shown, key="GONE DOWN UP".find)
        for row in rows:
            assert [*row] == [name.replace("_", " ") for name in columns.split()]
            assert all((cell.color in RED) == (row["State"].text != "UP") for cell in row.values()), row


def test_the_table_of_last_defects_has_all_columns_and_the_newest_first(watch: Watch) -> None:
    for job in ("andon-healthy-3", "andon-half-3", "andon-dead-3"):
        rows = see(watch, job).rows(*panel("line", "Last defects"))
        assert {row["Camera"].text for row in rows} == {*made_lines()[job].cameras}
        assert all([*row] == ["Camera", "Now", "Last defect", "Defects", "Frames", "Line"] for row in rows)
    first, *others = see(watch, "andon-half-3").rows(*panel("line", "Last defects"))
    assert first["Camera"].text == "station-03"
    assert "ago" in first["Last defect"].text
    assert {row["Last defect"].text for row in others} == {"none"}
    assert re.fullmatch(r"\d,\d{3}", first["Frames"].text)


def test_lamps_tell_what_is_not_used_from_what_is_not_known(watch: Watch) -> None:
    (camera,) = tiles(watch, "andon-healthy-3", "service", "Network cameras").values()
    assert (camera.text, {camera.color}) == ("NOT USED", GREY)
    (brokers,) = tiles(watch, "andon-healthy-3", "service", "Brokers").values()
    assert (brokers.text, brokers.color) == ("UP", "dark-green")
    (waiting,) = tiles(watch, "andon-healthy-3", "service", "Frames that wait").values()
    assert waiting.text == "6 frames"


def test_a_limit_that_is_not_set_is_not_drawn(watch: Watch) -> None:
    for job, drawn in (("andon-healthy-3", True), ("andon-dying-3", False)):
        answers = see(watch, job).ask(*panel("service", "Latency from capture to verdict"))
        assert any(one.name == "takt (limit)" for answer in answers for one in answer) == drawn


def test_panels_without_data_say_why(watch: Watch) -> None:
    for title, reason in (
        ("Kinds of defects", "classify"),
        ("Flagged by one of model and shadow", "shadow.path"),
        ("Scores of the shadow against its threshold", "shadow.path"),
    ):
        assert reason in (see(watch, "andon-healthy-3").message(*panel("quality", title)) or "")
    for board in BOARDS.values():
        for found in board["panels"]:
            message = see(watch, UNKNOWN_LINE).message(board, found)
            assert message is None or message == "NO DATA" or message.endswith("."), (found["title"], message)


def test_annotations_name_only_labels_that_are_there(watch: Watch) -> None:
    for name, board in BOARDS.items():
        for annotation in board["annotations"]["list"]:
            target = {
                "expr": annotation["expr"],
                "refId": "A",
                "legendFormat": annotation["textFormat"],
                "instant": True,
            }
            found = Viewer(watch.prometheus, watch.settled).ask(board, {"targets": [target]})[0]
            assert found or annotation["name"] != "Alerts", name
            for one in found:
                labels = re.findall(r"{{(\w+)}}", annotation["titleFormat"] + annotation["textFormat"])
                assert all(one.labels.get(label, "").strip() for label in labels), one


@pytest.mark.parametrize("name", NAMES)
def test_what_is_now_is_asked_now_and_grey_without_data(name: str) -> None:
    for found in BOARDS[name]["panels"]:
        now = found["type"] in ("stat", "gauge", "bargauge", "table")
        assert all((target["instant"], target["range"]) == (now, not now) for target in found["targets"])
        defaults = found["fieldConfig"]["defaults"]
        assert defaults["noValue"]
        assert {defaults["thresholds"]["steps"][0]["color"]} == GREY, found["title"]
        colours = [
            override["properties"][0]["value"]["fixedColor"]
            for override in found["fieldConfig"]["overrides"]
            if override["properties"][0]["id"] == "color" and "limit" not in str(override["matcher"]["options"])
        ]
        assert not RED & {*colours}, found["title"]
        assert found["type"] != "timeseries" or colours, found["title"]


@pytest.mark.parametrize(("name", "height"), [("line", 1080), ("wall", 1080), ("wall-1440", 1440)])
def test_a_page_for_the_wall_fits_its_screen(name: str, height: int) -> None:
    """Rows are 30 pixels and 8 between them; above them is the line of variables, if kiosk mode shows it."""
    rows = max(found["gridPos"]["y"] + found["gridPos"]["h"] for found in BOARDS[name]["panels"])
    assert height - 100 <= rows * 38 + 60 <= height


@pytest.mark.parametrize(
    "names",
    [
        ("station-01", "station-02", "station-03"),
        ("m1:9464", "m2:9464", "10.0.0.3:9464"),
        ("left", "right", "top"),
        ("cam1 part", "cam2 part", "cam3 part"),
    ],
)
def test_a_few_series_have_different_colours(names: tuple[str, ...]) -> None:
    _, rate = panel("line", "Defect rate")
    assert len({configured(rate, name)["color"]["fixedColor"] for name in names}) == len(names)


def test_a_model_that_takes_another_one_s_place_is_marked_once(tmp_path: Path) -> None:
    """By a hot swap and by a restart; not the first one, and not one that a recipe opens again."""
    (marks,) = (one for one in BOARDS["line"]["annotations"]["list"] if one["name"] == "New models")
    info = 'andon_model_info{{job="andon", instance="{}", model="{}", recipe="{}", sha256="{}"}}'
    series = [
        {"series": info.format("m1", "part", "", "aa"), "values": "1x20 stale"},
        {"series": info.format("m1", "part", "", "bb"), "values": "_x20 1x60"},
        {"series": info.format("m2", "part", "", "aa"), "values": "1x24 stale"},
        {"series": info.format("m2", "part", "", "bb"), "values": "_x26 1x54"},
        {"series": info.format("m3", "lid", "lid", "cc"), "values": "1x20 stale _x39 1x20"},
    ]
    expression = interpolate(marks["expr"], BOARDS["line"], {}, rate_interval=60)
    new = {"labels": '{job="andon", model="part", sha256="bb"}', "value": 1}
    cases: list[tuple[str, list[JSON]]] = [("2m", []), ("6m", [new]), ("9m", []), ("16m", [])]
    test = {
        "interval": "15s",
        "input_series": series,
        "promql_expr_test": [
            {"expr": f"count by (job, model, sha256) ({expression})", "eval_time": at, "exp_samples": wanted}
            for at, wanted in cases
        ],
    }
    (tmp_path / "marks.yml").write_text(yaml.safe_dump({"evaluation_interval": "15s", "tests": [test]}))
    run("promtool", "test", "rules", tmp_path / "marks.yml")
