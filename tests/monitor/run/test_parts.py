"""A verdict for each part in a run without Kafka."""

import json
from pathlib import Path
from typing import Any

from andon_monitor.review.store import Store

from tests.fixtures.commands import andon, error_of, run_monitor
from tests.fixtures.small_model import draw, encode
from tests.fixtures.webhook_server import WebhookServer

VIEWS = "parts.views={cover: [top, left]}"


def write_line(folder: Path) -> Path:
    """Parts 0 to 9 with two views, the second camera's frames after the first one's; 3 is a defect, 5 has one view."""
    (folder / "frames").mkdir(parents=True)
    lines = []
    for camera in ("top", "left"):
        for number in range(10):
            if (number, camera) == (5, "left"):
                continue
            file = f"frames/{camera}-{number}.png"
            data = encode(draw(number, defect=(number, camera) == (3, "left")))
            (folder / file).write_bytes(b"" if number == 7 else data)
            at = f"2026-01-05T06:{number:02}:{2 if camera == 'left' else 0:02}.000Z"
            part = {"id": f"part {number}", "product": "cover"}
            lines.append(json.dumps({"file": file, "camera": camera, "captured_at": at, "part": part}))
    (folder / "manifest.jsonl").write_text("\n".join(lines))
    return folder


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_folder_has_a_verdict_for_each_part_and_its_summary_counts_them(model_path: Path, tmp_path: Path) -> None:
    line = write_line(tmp_path / "line")
    options = ("--set", VIEWS, "--set", f"output.parts={tmp_path / 'p.jsonl'}", "--summary", tmp_path / "s.json")
    options += ("--evidence", tmp_path / "store")
    done = run_monitor(model_path, line, "--verdicts", tmp_path / "v.jsonl", *options)
    assert done.returncode == 0, done.stderr
    parts = {part["part"]["id"]: part for part in read(tmp_path / "p.jsonl")}
    assert len(parts) == 10
    assert {name: part["verdict"] for name, part in parts.items() if part["verdict"] != "good"} == {
        "part 3": "defect",
        "part 5": "incomplete",
        "part 7": "incomplete",
    }
    assert parts["part 3"]["defects"] == ["left"]
    assert (parts["part 5"]["missing"], parts["part 5"]["cause"]) == (["left"], "end")
    assert parts["part 7"]["uninspectable"] == ["top", "left"]
    ids = {verdict["id"] for verdict in read(tmp_path / "v.jsonl")}
    assert {view["id"] for part in parts.values() for view in part["views"]} == ids
    assert json.loads((tmp_path / "s.json").read_text())["parts"] == {"good": 7, "defect": 1, "incomplete": 2}
    assert "10 parts: 7 good, 1 defect, 2 incomplete" in done.stderr
    assert Store(tmp_path / "store").parts.count() == {"good": 7, "defect": 1, "incomplete": 2}
    first = (tmp_path / "p.jsonl").read_bytes()
    rules = [{"of": "parts", "verdicts": ["defect", "incomplete"]}, {"verdicts": ["uninspectable"]}]
    with WebhookServer() as server:
        actions = [
            {"name": "mes", "uri": server.uri, "rules": [rule | {"payload": "$part $verdict"} for rule in rules]}
        ]
        output = {"actions": actions, "act_on_recordings": True, "outbox": str(tmp_path / "outbox")}
        (tmp_path / "actions.yaml").write_text(json.dumps({"output": output}))
        options += ("--config", tmp_path / "actions.yaml", "--threads", "1")
        done = run_monitor(model_path, line, "--verdicts", tmp_path / "v.jsonl", *options)
        assert done.returncode == 0, done.stderr
        accepted = sorted(one.body.decode() for one in server.wait_accepted(5))
    assert (tmp_path / "p.jsonl").read_bytes() == first
    assert accepted[:2] == ["part 3 defect", "part 5 incomplete"]
    assert accepted[2:] == ["part 7 incomplete", *["part 7 uninspectable"] * 2]


def test_a_rule_on_parts_needs_a_run_that_joins_them(model_path: Path, tmp_path: Path) -> None:
    rule = {"of": "parts", "address": "a"}
    output = {"actions": [{"name": "lamp", "uri": "mqtt://127.0.0.1:1", "rules": [rule]}], "act_on_recordings": True}
    (tmp_path / "actions.yaml").write_text(json.dumps({"output": output}))
    done = run_monitor(model_path, write_line(tmp_path / "line"), "--config", tmp_path / "actions.yaml")
    assert "lamp: of: parts needs output.parts, a .jsonl file" in error_of(done)


def test_settings_of_parts_that_cannot_work_are_one_line(model_path: Path, tmp_path: Path) -> None:
    line = write_line(tmp_path / "line")
    output = ("--set", f"output.parts={tmp_path / 'p.jsonl'}")
    assert "parts.views: not given" in error_of(run_monitor(model_path, line, *output))
    twice = run_monitor(model_path, line, *output, "--set", "parts.views={cover: [top, top]}")
    assert "views of cover: a view is there twice" in error_of(twice)
    live = andon(
        "run", "--no-server", "--model", model_path, "--source", "kafka://localhost:1/t", *output, "--set", VIEWS
    )
    assert "start andon-monitor parts" in live.stderr
    assert list(tmp_path.glob("p.jsonl*")) == []


def test_check_says_what_each_view_needs(model_path: Path, tmp_path: Path) -> None:
    options = ("--set", VIEWS, "--set", "parts.false_alarm_rate=0.001", "--set", "server.enabled=false")
    done = andon("check", "--model", model_path, "--source", write_line(tmp_path / "line"), *options)
    text = " ".join(done.stdout.split())
    assert "cover: 2 views, at most" in text, done.stdout
    assert "for 0.001 calibrate each view for 0.0005" in text
