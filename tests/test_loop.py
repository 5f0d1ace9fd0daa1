"""The loop closes on the sample line: false alarms are labelled, the threshold learns, the line is quieter."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from andon_trainer.sample.render import write_sample

from tests.fixtures.browser import tab
from tests.fixtures.commands import run_command
from tests.fixtures.review_page import Client


@contextmanager
def review(store: Path) -> Iterator[str]:
    """The page as a process, at the URL given."""
    command = [str(Path(sys.executable).parent / "andon-monitor"), "review", "--store", str(store), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r"review page at (\S+)/$", process.stderr.readline().strip())
        assert found is not None
        assert found.group(1).startswith("http://127.0.0.1:")  # nobody else's unless told otherwise
        yield found.group(1)
    finally:
        process.terminate()
        assert process.wait(20) == 0


def truths(stream: Path) -> dict[int, str]:
    """What each frame of the stream really is, by its offset."""
    lines = (stream / "manifest.jsonl").read_text().splitlines()
    return {offset: json.loads(line)["label"] for offset, line in enumerate(lines)}


def watch(model: Path, stream: Path, verdicts: Path, *more: str | Path) -> list[dict[str, Any]]:
    done = run_command(
        "andon-monitor", "run", "--model", model, "--source", stream, "--verdicts", verdicts, "--no-server", *more
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in verdicts.read_text().splitlines()]


def flagged(verdicts: list[dict[str, Any]]) -> set[int]:
    return {verdict["frame"]["offset"] for verdict in verdicts if verdict["verdict"] == "defect"}


def test_false_alarms_that_were_labelled_do_not_come_again(
    sample_folder: Path,
    model_file: Path,
    tmp_path: Path,
    chromium: Any,
) -> None:
    stream, store = sample_folder / "stream", tmp_path / "store"
    truth = truths(stream)
    # A line whose threshold was set too low.
    loud, quiet = tmp_path / "loud.onnx", tmp_path / "quiet.onnx"
    good = tmp_path / "good"  # the images of the fit are refused
    write_sample(good, seed=5, train=31, test_good=0, test_defects=0, stream=0)
    set_low = ["calibrate", model_file, good, "-o", loud, "--false-alarm-rate", "0.25"]
    assert run_command("andon-trainer", *set_low).returncode == 0
    before = watch(loud, stream, tmp_path / "before.jsonl", "--evidence", store, "--set", "evidence.burst=100")
    alarms = flagged(before)
    false_alarms = {offset for offset in alarms if truth[offset] == "good"}
    assert len(false_alarms) >= 3

    # People label every alarm: the first by hand, the others by the same form.
    ids = {verdict["frame"]["offset"]: verdict["id"] for verdict in before}
    first, *others = sorted(alarms)
    with review(store) as url:
        with tab(chromium) as page:
            page.goto(f"{url}/frames/{ids[first]}")
            page.click("text=False alarm" if first in false_alarms else "text=Confirm defect")
            page.wait_for_selector(".tag")
        for offset in others:
            label = "false alarm" if offset in false_alarms else "confirmed"
            assert Client(url).label(ids[offset], label=label) == 200
        _, model_page = Client(url).get("/model")
        assert f"labelled good: {len(false_alarms)}<" in model_page

    exported = run_command("andon-monitor", "export", "--store", store, "-o", tmp_path / "labels")
    assert exported.returncode == 0, exported.stderr
    again = ["calibrate", loud, "--labels", tmp_path / "labels", "-o", quiet, "--false-alarm-rate", "0.05"]
    done = run_command("andon-trainer", *again)
    assert done.returncode == 0, done.stderr
    note = re.search(r"(\d+) of (\d+) false alarms stay, (\d+) of (\d+) confirmed defects would be missed", done.stdout)
    assert note is not None, done.stdout
    stay, all_false, missed, confirmed = (int(number) for number in note.groups())
    assert (all_false, confirmed) == (len(false_alarms), len(alarms - false_alarms))

    after = flagged(watch(quiet, stream, tmp_path / "after.jsonl"))
    assert len(after & false_alarms) == stay < len(false_alarms)
    assert {offset for offset in after if truth[offset] == "good"} <= false_alarms
    assert len((alarms - false_alarms) - after) == missed


@pytest.mark.parametrize("arguments", [[], ["GOOD", "--labels", "LABELS"]])
def test_a_threshold_is_set_on_one_thing(arguments: list[str], model_file: Path, tmp_path: Path) -> None:
    done = run_command("andon-trainer", "calibrate", model_file, *arguments, "-o", tmp_path / "new.onnx")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "either" in done.stderr


def test_labels_of_another_model_or_none_are_refused(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    entry = {"sha256": "0" * 64, "weights_sha256": None, "good": [1.0] * 9, "false_alarms": [], "defects": [],
             "unlabelled": 0}  # fmt: skip
    (tmp_path / "other" / "line.json").write_text(json.dumps([entry]))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "line.json").write_text("[{}]")
    for folder, said in (("other", "another model"), ("damaged", "damaged"), ("none", "cannot be read")):
        done = run_command(
            "andon-trainer", "calibrate", model_file, "--labels", tmp_path / folder, "-o", tmp_path / "new.onnx"
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert said in done.stderr
        assert not (tmp_path / "new.onnx").exists()
