"""`andon-monitor compare` on real recordings with real models, as a user runs it."""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.fixtures.commands import andon


def test_what_changes_is_counted_listed_and_shown(line: Path, model_path: Path, lower: Path, tmp_path: Path) -> None:
    outputs = {kind: tmp_path / f"out.{kind}" for kind in ("json", "junit", "report")}
    options = [part for kind, path in outputs.items() for part in (f"--{kind}", path)]
    done = andon("compare", line, "--model", lower, "--baseline", model_path, *options)
    assert done.returncode == 0, done.stderr
    facts = json.loads(outputs["json"].read_text())
    verdicts = {}
    for model in (model_path, lower):
        run = andon("run", "--no-server", "--model", model, "--source", line)
        verdicts[model] = [json.loads(text) for text in run.stdout.splitlines()]
    expected = [
        new["frame"]["file"]
        for old, new in zip(verdicts[model_path], verdicts[lower], strict=True)
        if old["verdict"] != new["verdict"]
    ]
    assert [change["file"] for change in facts["changed_frames"]] == expected != []
    assert {change["change"] for change in facts["changed_frames"]} == {"new false alarm"}
    assert facts["model"]["false_alarms"]["flagged"] == len(expected)
    assert facts["model"]["false_alarms"]["count"] == 36
    assert facts["model"]["detection"] == facts["baseline"]["detection"]
    assert facts["model"]["labels"]["scratch"]["flagged"] == 4
    assert f"{len(expected)} of 40 verdicts change" in done.stdout
    page = outputs["report"].read_text()
    assert page.count("<figure") == len(expected)
    assert page.count("data:image/jpeg") == 3 * len(expected)  # the frame, and what each model sees
    assert not re.search(r"(src|href)=\"(?!data:)", page)  # it needs no other file
    suite = ElementTree.parse(outputs["junit"]).getroot()[0]
    assert suite.get("failures") == "0"


def test_products_are_counted_apart(recording: Path, model_path: Path, lower: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(recording, tmp_path / "products")
    lines = [json.loads(text) for text in (folder / "manifest.jsonl").read_text().splitlines()]
    for i, entry in enumerate(lines):
        entry["part"] = {"id": str(i), "product": ("base", "cover")[i % 2]} if i else {"id": "0"}
    (folder / "manifest.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in lines))
    report, figures = tmp_path / "out.html", tmp_path / "out.json"
    options = ["--baseline", model_path, "--json", figures, "--report", report]
    done = andon("compare", folder, "--model", lower, *options)
    assert done.returncode == 0, done.stderr
    facts = json.loads(figures.read_text())
    products = facts["products"]
    assert {name: found["frames"] for name, found in products.items()} == {"base": 19, "cover": 20, "other": 1}
    assert sum(found["changed"] for found in products.values()) == len(facts["changed_frames"]) > 0
    for side in ("model", "baseline"):
        assert (
            sum(found[side]["verdicts"]["defect"] for found in products.values()) == facts[side]["verdicts"]["defect"]
        )
    assert all(change["part"]["id"] for change in facts["changed_frames"])
    assert "cover" in done.stdout
    assert "<th>cover</th>" in report.read_text()


def test_a_model_is_compared_with_the_verdicts_of_the_line(line: Path, model_path: Path, tmp_path: Path) -> None:
    verdicts = tmp_path / "v.jsonl"
    andon("run", "--no-server", "--model", model_path, "--source", line, "--verdicts", verdicts)
    done = andon("compare", line, "--model", model_path, "--baseline", verdicts, "--max-changed", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of 40 verdicts change" in done.stdout
    verdicts.write_text("".join(verdicts.read_text().splitlines(keepends=True)[:30]))
    done = andon("compare", line, "--model", model_path, "--baseline", verdicts, "--json", tmp_path / "c.json")
    facts = json.loads((tmp_path / "c.json").read_text())
    assert (facts["frames"], facts["without_recorded_verdict"]) == (30, 10)


def test_a_threshold_alone_is_compared_with_and_without_a_model(line: Path, model_path: Path, tmp_path: Path) -> None:
    verdicts = tmp_path / "v.jsonl"
    andon("run", "--no-server", "--model", model_path, "--source", line, "--verdicts", verdicts)
    found = []
    sides: tuple[list[str | Path], ...] = (
        ["--model", model_path, "--threshold", "0.8"],
        ["--baseline", model_path, "--threshold", "0.8"],
        ["--baseline", verdicts, "--threshold", "0.8"],
        ["--model", model_path, "--false-alarm-rate", "0.2"],
        ["--baseline", verdicts, "--false-alarm-rate", "0.2"],
    )
    for options in sides:
        done = andon("compare", line, *options, "--json", tmp_path / "c.json")
        assert done.returncode == 0, done.stderr
        facts = json.loads((tmp_path / "c.json").read_text())
        assert facts["baseline"]["verdicts"]["defect"] == 4
        found.append([change["file"] for change in facts["changed_frames"]])
    assert found[0] == found[1] == found[2] != []
    assert found[3] == found[4] != []  # a p-value of at most the rate is a score above the rate's threshold


def test_broken_limits_are_exit_code_1_and_failures(line: Path, model_path: Path, lower: Path, tmp_path: Path) -> None:
    limits = [
        "--max-new-false-alarms",
        "0",
        "--max-false-alarms",
        "0.001",
        "--max-changed",
        "0.5",
        "--min-detection",
        "1",
    ]
    junit = tmp_path / "j.xml"
    done = andon(
        "compare", line, "--model", lower, "--baseline", model_path, "--junit", junit, *limits, "--min-detection", "1"
    )
    assert done.returncode == 1
    assert done.stdout.count("BROKEN") == 2
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("5", "2")
    failed = [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None]
    assert failed == ["false alarms: at most 0.100%", "new false alarms: at most 0"]


def test_labels_may_come_later(line: Path, model_path: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    first = {"frame": {"topic": "line", "partition": 0, "offset": 0}, "label": "dent"}
    labels.write_text(json.dumps(first) + "\n" + json.dumps({"file": "frames/000001.png", "label": "dent"}) + "\n")
    done = andon("compare", line, "--model", model_path, "--labels", labels, "--json", tmp_path / "c.json")
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "c.json").read_text())
    assert facts["baseline"] is None
    assert facts["model"]["labels"]["dent"]["count"] == 2


def test_a_window_and_a_camera_are_compared(line: Path, model_path: Path, lower: Path, tmp_path: Path) -> None:
    window = ["--camera", "station-2", "--from", "+5", "--until", "2026-01-05T06:00:15Z"]
    json_file = tmp_path / "c.json"
    done = andon("compare", line, "--model", lower, "--baseline", model_path, *window, "--json", json_file)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "c.json").read_text())["frames"] == 10


def test_a_damaged_recording_is_compared_as_far_as_it_goes(line: Path, model_path: Path, tmp_path: Path) -> None:
    line.write_bytes(line.read_bytes()[:-100])
    done = andon("compare", line, "--model", model_path, "--junit", tmp_path / "j.xml")
    assert done.returncode == 1
    assert "its end is missing" in done.stderr
    assert ElementTree.parse(tmp_path / "j.xml").getroot()[0].get("errors") == "1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--model: not given"),
        (["--baseline", "part.onnx"], "--model: not given"),
        (["--model", "none.onnx"], "none.onnx: no such model file"),
        (["--model", "part.onnx", "--baseline", "recorded"], "verdicts in line.mcap: no verdicts in it"),
        (["--model", "part.onnx", "--baseline", "v.jsonl"], "--baseline v.jsonl: cannot be read"),
        (
            ["--model", "part.onnx", "--baseline", "bad.jsonl"],
            "bad.jsonl: verdict 1 is not one that andon-monitor writes",
        ),
        (["--model", "part.onnx", "--labels", "bad.jsonl"], 'bad.jsonl line 1: expected {"frame": '),
        (["--model", "part.onnx", "--false-alarm-rate", "2"], "--false-alarm-rate: 2 should be above 0 and below 1"),
        (["--model", "part.onnx", "--max-changed", "0.1"], "--max-changed: 0.1 needs a --baseline"),
        (
            ["--model", "part.onnx", "--camera", "x"],
            "--camera x: not in line.mcap; its cameras are station-1, station-2",
        ),
        (["--model", "part.onnx", "--report", "."], "a folder; give the name of a file"),
    ],
)
def test_a_mistake_is_one_line(
    line: Path, model_path: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "bad.jsonl").write_text("{}\n")
    done = andon("compare", "line.mcap", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
