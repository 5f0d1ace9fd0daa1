import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.commands import andon
from tests.fixtures.small_model import build_model, draw, encode, parts, write_recording

PROGRAM = [sys.executable, "-m", "andon_monitor"]


def run(model_path: Path, source: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return andon("run", "--no-server", "--model", model_path, "--source", source, *arguments)


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error; there must be no traceback and no second one."""
    lines = [line for line in done.stderr.splitlines() if not re.match(r"\d\d:\d\d:\d\d (INFO|WARNING) ", line)]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def test_a_recording_becomes_verdicts_a_summary_and_its_json(model_path: Path, recording: Path, tmp_path: Path) -> None:
    done = run(model_path, recording, "--verdicts", tmp_path / "v.jsonl", "--summary", tmp_path / "s.json")
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
    done = run(model_path, recording)
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
        assert run(model_path, recording, "--verdicts", path, *some).returncode == 0
        files.append(path.read_bytes())
    assert files[0] == files[1] == files[2] != b""


def test_bad_frames_become_verdicts_and_dead_letters_and_the_run_goes_on(model_path: Path, tmp_path: Path) -> None:
    frames = parts(12)
    frames[3], frames[5] = (b"", "good"), (encode(draw(1))[:900], "good")
    source = write_recording(tmp_path / "line", frames)
    done = run(model_path, source, "--verdicts", tmp_path / "v.jsonl", "--dead-letters", tmp_path / "dead")
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


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of things that cannot be used."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "text.onnx").write_text("no model")
    (folder / "cut.onnx").write_bytes(build_model()[:400])
    (folder / "newer.onnx").write_bytes(build_model(card_json=lambda card: card | {"card_version": 2}))
    (folder / "off.onnx").write_bytes(build_model(golden=lambda g: type(g)(g.frames, g.scores + 1)))
    (folder / "empty").mkdir()
    write_recording(folder / "bad", [(b"bad", "good")])
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--model", "none.onnx"], 2, "none.onnx: no such model file"),
        (["--model", "{dir}/text.onnx"], 2, "text.onnx: not a readable ONNX file"),
        (["--model", "{dir}/cut.onnx"], 2, "cut.onnx: not a readable ONNX file"),
        (["--model", "{dir}/newer.onnx"], 2, "newer.onnx: model card version 2, this program reads version 1"),
        (["--model", "{dir}/off.onnx"], 2, "off.onnx: self-test failed: scores of its golden frames differ by"),
        (["--source", "no/where"], 2, "no/where: no such folder or file"),
        (["--source", "{dir}/empty"], 2, "empty: no images in it"),
        (["--verdicts", "/dev/full"], 1, "/dev/full: cannot be written (No space left on device)"),
        (["--verdicts", "{dir}/text.onnx/v.jsonl"], 2, "v.jsonl: cannot be written"),
        (["--dead-letters", "{dir}/text.onnx/dead", "--source", "{dir}/bad"], 1, ".png: cannot be written"),
        (["--summary", "/dev/full"], 1, "/dev/full: cannot be written (No space left on device)"),
        (["--provider", "gpu"], 2, "model.provider: 'gpu' should be 'auto', 'cpu', 'cuda' or 'tensorrt'"),
        (["--port", "many"], 2, "server.port: 'many' should be a valid integer"),
        (["--sauce", "x"], 2, "No such option: --sauce"),
        (["--set", "server.prt=1"], 2, "--set server.prt: unknown setting; did you mean server.port?"),
        (["--set", "server.port"], 2, "--set server.port: right is --set key=value"),
        (["--config", "none.yaml"], 2, "none.yaml: cannot be read"),
        (["--batch-size", "64"], 2, "inspection: in_flight 32 is smaller than batch_size 64"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code_and_leaves_nothing(
    model_path: Path, recording: Path, tmp_path: Path, bad: Path, arguments: list[str], code: int, message: str
) -> None:
    verdicts = tmp_path / "verdicts.jsonl"
    given = [argument.format(dir=bad) for argument in arguments]
    done = run(model_path, recording, "--verdicts", verdicts, *given)
    assert done.returncode == code, done.stderr
    if "--summary" not in arguments:
        assert message in error_of(done)
        assert not verdicts.exists()
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not verdicts.with_name("verdicts.jsonl.part").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "source.uri: not given; give --source"),
        (["run", "--source", str(Path(__file__).parent.parent)], "no images in it"),
        (["go"], "No such command 'go'"),
    ],
)
def test_what_is_missing_is_said(arguments: list[str], message: str) -> None:
    done = andon(*arguments, *(["--no-server"] if arguments[0] == "run" else []))
    assert done.returncode == 2
    assert message in error_of(done)


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


def until(condition: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_what_is_in_flight(
    slow_run: tuple[subprocess.Popen[str], str, Path], number: signal.Signals
) -> None:
    process, _, verdicts = slow_run
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "stopped by a signal" in said
    lines = verdicts.read_text().splitlines()
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
        assert process.wait(timeout=10) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.communicate()


def test_metrics_and_readiness_are_there_while_it_runs(slow_run: tuple[subprocess.Popen[str], str, Path]) -> None:
    _, url, _ = slow_run
    with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert re.search(r'^andon_verdicts_total{camera="station-1",verdict="good"} [1-9]', text, re.MULTILINE)
    assert re.search(r'^andon_provider_info{fallback="false",provider="CPUExecutionProvider"} 1.0$', text, re.MULTILINE)
    assert "\nandon_ready 1.0\n" in text


def test_a_port_in_use_is_one_clear_line(model_path: Path, recording: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = andon("run", "--model", model_path, "--source", recording, "--port", str(port))
        checked = andon("check", "--model", model_path, "--source", recording, "--set", f"server.port={port}")
    assert done.returncode == 2
    assert error_of(done).startswith(f"server 127.0.0.1:{port}: Address already in use; give another --port")
    assert checked.returncode == 1
    assert re.search(rf"FAILED +server +server 127.0.0.1:{port}: Address already in use", checked.stdout)


def test_check_says_what_would_work(model_path: Path, recording: Path, tmp_path: Path) -> None:
    outputs = ["--set", f"output.verdicts={tmp_path}/out/v.jsonl", "--set", f"output.summary={tmp_path}/s.json"]
    before = sorted(tmp_path.iterdir())
    done = andon("check", "--model", model_path, "--source", recording, "--set", "server.port=0", *outputs)
    assert done.returncode == 0, done.stdout
    assert "7 of 7 checks passed" in done.stdout
    assert re.search(r"ok +model +darkness [0-9a-f]{12}, 32 x 32 x 1, threshold .* self-test passed", done.stdout)
    assert re.search(r"ok +provider +CPUExecutionProvider", done.stdout)
    assert re.search(r"ok +source +.*, 40 frames, first from camera station-1", done.stdout)
    assert re.search(r"inspection.batch_size +8 ", done.stdout)
    assert sorted(tmp_path.iterdir()) == before


def test_check_names_everything_that_would_not_work(model_path: Path, tmp_path: Path) -> None:
    small = write_recording(tmp_path / "small", [(encode(draw(1)[:40]), "good")])
    options = [f"output.summary={model_path}/s.json", "output.verdicts=kafka://b/t", "model.provider=cuda"]
    sets = [part for option in options for part in ("--set", option)]
    done = andon("check", "--model", model_path, "--source", small, *sets, "--set", "server.port=0")
    assert done.returncode == 1
    assert "3 of 7 checks passed" in done.stdout
    assert re.search(r"FAILED +provider +CPUExecutionProvider, cuda is not available here", done.stdout)
    assert re.search(r"FAILED +source .*its first frame is wrong_shape: 64 x 40 pixels", done.stdout)
    assert re.search(r"FAILED +output.summary .*cannot be written", done.stdout)
    assert re.search(r"FAILED +kafka .*'b' is not host:port", done.stdout)
    assert andon("check").returncode == 1


def test_a_run_without_a_model_says_what_to_give(recording: Path) -> None:
    done = andon("run", "--no-server", "--source", recording)
    assert done.returncode == 2
    assert error_of(done).startswith("model.path: not given; give --model part.onnx")


def test_check_shows_no_password() -> None:
    done = andon("check", "--source", "rtsp://user:secret@127.0.0.1:1/x")
    assert done.returncode == 1
    assert "rtsp://user:***@127.0.0.1:1/x" in done.stdout
    assert "secret" not in done.stdout + done.stderr


def test_a_reader_that_goes_away_is_one_line(model_path: Path, tmp_path: Path) -> None:
    source = write_recording(tmp_path / "line", parts(10))
    command = [*PROGRAM, "run", "--no-server", "--model", str(model_path), "--source", str(source)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(timeout=30) == 1
    assert said.splitlines()[-1] == "error: standard output: cannot be written (Broken pipe)"
    assert "Traceback" not in said


def test_help_and_version_need_no_heavy_module() -> None:
    code = (
        "import sys, andon_monitor.cli.main as c; sys.argv = ['andon-monitor', 'ARGUMENT']\n"
        "try: c.main()\nexcept SystemExit as e: code = e.code\n"
        "print(code, {'numpy', 'onnxruntime', 'cv2', 'pydantic_settings', 'starlette'} & set(sys.modules))"
    )
    for argument, text in (("--help", "Usage: andon-monitor"), ("--version", "andon 0.")):
        done = subprocess.run(
            [sys.executable, "-c", code.replace("ARGUMENT", argument)], capture_output=True, text=True, timeout=60
        )
        assert text in done.stdout, done.stderr
        assert done.stdout.splitlines()[-1] == "0 set()"
