import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from andon_monitor.common.files import part_of

from tests.fixtures.commands import andon, run_monitor
from tests.fixtures.small_model import draw, encode, parts, write_recording

PROGRAM = [sys.executable, "-m", "andon_monitor"]


def test_a_recording_becomes_verdicts_a_summary_and_its_json(model_path: Path, recording: Path, tmp_path: Path) -> None:
    done = run_monitor(model_path, recording, "--verdicts", tmp_path / "v.jsonl", "--summary", tmp_path / "s.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    verdicts = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    manifest = [json.loads(line) for line in (recording / "manifest.jsonl").read_text().splitlines()]
    assert [v["frame"]["file"] for v in verdicts] == [line["file"] for line in manifest]
    assert [v["camera"] for v in verdicts] == [line["camera"] for line in manifest]
    assert [v["captured_at"] for v in verdicts] == [line["captured_at"] for line in manifest]
    defects = [line["label"] != "good" for line in manifest]
    assert [v["verdict"] == "defect" for v, defect in zip(verdicts, defects, strict=True) if defect] == [True] * 4
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["frames"] == 40
    assert summary["truth"]["defects"] == {"scratch": {"caught": 4, "missed": 0, "not_inspected": 0}}
    assert re.search(r"scratch +4 +4 +0 +0", done.stderr)


def test_verdicts_go_to_standard_output_and_nothing_else_does(model_path: Path, recording: Path) -> None:
    done = run_monitor(model_path, recording)
    assert done.returncode == 0
    assert len([json.loads(line)["id"] for line in done.stdout.splitlines()]) == 40


def test_verdict_files_are_the_same_bytes_for_any_batch_and_thread_settings(
    model_path: Path, recording: Path, tmp_path: Path
) -> None:
    options = [
        ["--threads", "1", "--batch-size", "1"],
        ["--threads", "3", "--batch-size", "16", "--set", "inspection.in_flight=17"],
        ["--set", "model.threads=4", "--set", "inspection.in_flight=9"],
    ]
    files = []
    for i, some in enumerate(options):
        path = tmp_path / f"{i}.jsonl"
        assert run_monitor(model_path, recording, "--verdicts", path, *some).returncode == 0
        files.append(path.read_bytes())
    assert files[0] == files[1] == files[2] != b""


def test_bad_frames_become_verdicts_and_dead_letters_and_the_run_goes_on(model_path: Path, tmp_path: Path) -> None:
    frames = parts(12)
    frames[3], frames[5] = (b"", "good"), (encode(draw(1))[:900], "good")
    source = write_recording(tmp_path / "line", frames)
    done = run_monitor(model_path, source, "--verdicts", tmp_path / "v.jsonl", "--dead-letters", tmp_path / "dead")
    assert done.returncode == 0, done.stderr
    verdicts = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert [v.get("reason") for v in verdicts][:7] == [None, None, None, "empty", None, "undecodable", None]
    assert (tmp_path / "dead" / f"{verdicts[5]['id']}.png").read_bytes() == frames[5][0]
    assert "2 uninspectable (1 empty, 1 undecodable)" in done.stderr


def test_settings_come_from_a_file_named_by_flag_or_environment(
    model_path: Path, recording: Path, tmp_path: Path
) -> None:
    config = tmp_path / "andon.yaml"
    config.write_text(
        f"model: {{path: {model_path}, alias: press}}\nsource: {{uri: {recording}}}\n"
        "server: {enabled: false}\ninspection: {thresholds: {station-1: 0.01}}\nlogging: {format: json}\n"
    )
    by_flag = andon("run", "--config", config)
    by_variable = andon("run", env={**os.environ, "ANDON_CONFIG": str(config)})
    assert by_flag.returncode == by_variable.returncode == 0, by_flag.stderr
    assert by_flag.stdout == by_variable.stdout
    first = json.loads(by_flag.stdout.splitlines()[0])
    assert (first["verdict"], first["threshold"], first["model"]["alias"]) == ("defect", 0.01, "press")
    assert json.loads(by_flag.stderr.splitlines()[0])["message"].startswith("model press ")


@pytest.fixture
def slow_run(model_path: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """A run at the recorded tempo, two frames a second, that has begun: the process, its URL, its verdict file."""
    source = write_recording(tmp_path / "line", parts(40) * 5)
    verdicts = tmp_path / "v.jsonl"
    command = [*PROGRAM, "run", "--model", model_path, "--source", source, "--pace", "recorded", "--port", "0"]
    process = subprocess.Popen(
        [*map(str, command), "--verdicts", str(verdicts)], stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL
    )
    assert process.stderr is not None
    url = re.search(r"http://\S+(?=/metrics)", process.stderr.readline())
    assert url is not None
    part = verdicts.with_name("v.jsonl.part")
    try:
        until(lambda: part.exists() and part.read_text().count("\n") >= 2)
        yield process, url.group(), verdicts
    finally:
        process.kill()
        process.communicate()


def until(condition: object, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_a_recording_finishes_what_is_in_flight_and_is_no_end(
    slow_run: tuple[subprocess.Popen[str], str, Path], number: signal.Signals
) -> None:
    process, _, verdicts = slow_run
    process.send_signal(number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1, said
    assert "stopped by a signal before its end" in said
    assert not verdicts.exists()
    lines = part_of(verdicts).read_text().splitlines()
    assert 2 <= len(lines) < 200
    assert [json.loads(line)["frame"]["offset"] for line in lines] == list(range(len(lines)))
    assert f"{len(lines)} frames in " in said


def test_a_second_signal_ends_at_once(model_path: Path, tmp_path: Path) -> None:
    """Nobody reads its output, so that what is in flight can never be finished."""
    source = write_recording(tmp_path / "line", parts(40) * 20)
    command = [*PROGRAM, "run", "--no-server", "--model", str(model_path), "--source", str(source)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    amounts = [0, 1]

    def stuck() -> bool:
        """Whether the pipe is more than half full and nothing has been added for a while."""
        amounts.append(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0])
        return amounts[-1] > 2**15 and len(set(amounts[-15:])) == 1

    try:
        until(stuck)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=300) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.communicate()


def test_metrics_and_readiness_are_there_while_it_runs(slow_run: tuple[subprocess.Popen[str], str, Path]) -> None:
    _, url, _ = slow_run
    with urllib.request.urlopen(f"{url}/readyz", timeout=300) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{url}/metrics", timeout=300) as answer:
        text = answer.read().decode()
    assert re.search(r'^andon_verdicts_total{camera="station-1",verdict="good"} [1-9]', text, re.MULTILINE)
    assert re.search(r'^andon_provider_info{fallback="false",provider="CPUExecutionProvider"} 1.0$', text, re.MULTILINE)
    assert "\nandon_ready 1.0\n" in text
