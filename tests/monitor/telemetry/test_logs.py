import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.telemetry import logs, standard_error

from tests.fixtures.commands import andon
from tests.fixtures.small_model import draw, encode, write_recording


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


def test_json_logs_are_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "json")
    logging.getLogger("andon").info("model %s", "\n“x”")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("andon").exception("failed")
    logging.getLogger("andon").debug("not this")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("info", "andon", "model \n“x”")
    assert "ValueError: why" in second["traceback"]


def test_libraries_that_log_messages_are_kept_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("debug", "human")
    logging.getLogger("kafka.producer").debug("value: %s", "a whole image")
    assert capsys.readouterr().err == ""


FORGED = "left\n12:00:00 INFO all good\x1b[2J\r\x85\u2028\u202e\x00"


def test_a_message_is_one_line_and_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    for style in ("human", "json"):
        logs.set_up("info", style)
        logging.getLogger("andon").warning("camera %s", FORGED)
        line = capsys.readouterr().err
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
        assert "\u202e" not in line
    assert json.loads(line)["message"] == f"camera {FORGED}"


def test_no_line_of_a_traceback_looks_like_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "human")
    try:
        raise ValueError(FORGED)
    except ValueError:
        logging.getLogger("andon").exception("failed")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("ERROR failed")
    assert all(line.startswith("    ") for line in lines[1:])


def test_addresses_in_messages_show_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "human")
    logging.getLogger("andon").warning("cannot open %s", "rtsp://u:hunter2@h/x?token=hunter2")
    assert capsys.readouterr().err.endswith("cannot open rtsp://h/x\n")


def test_a_library_that_floods_the_log_is_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "human")
    for _ in range(1000):
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
        logging.getLogger("andon").warning("ours")
    said = capsys.readouterr().err
    assert said.count("Invalid") == logs.LIBRARY_RECORDS
    assert said.count("ours") == 1000


def run_json(code: str) -> tuple[int, list[dict[str, Any]]]:
    """Run code in a process that logs JSON; its exit code and what is on standard error, each line parsed."""
    program = f"from andon_monitor.telemetry import logs\nlogs.start('info', 'json')\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120, check=False)
    return done.returncode, [json.loads(line) for line in done.stderr.decode().splitlines()]


def test_whatever_writes_to_standard_error_json_is_what_comes_out() -> None:
    code = """
import os, subprocess, sys, warnings
os.write(2, b"Corrupt JPEG data: premature end\\nsecond \\x1b[31mred\\x1b[0m \\xff rtsp://u:hunter2@h/x\\n")
print("printed", file=sys.stderr)
warnings.warn("warned")
subprocess.run(["sh", "-c", "echo of a child >&2"])
logs.log.info("ours")
if os.fork() == 0:
    os.write(2, b"of a fork\\n")
    logs.log.info("logged in a fork")
    os._exit(0)
os.wait()
os.write(2, b"without an end of line")
"""
    status, records = run_json(code)
    assert status == 0
    messages = [record["message"] for record in records]
    for said in ("Corrupt JPEG data: premature end", "second red \ufffd rtsp://***", "printed", "of a child",
                 "of a fork", "ours", "logged in a fork", "without an end of line"):  # fmt: skip
        assert messages.count(said) == 1, said
    assert any("warned" in message for message in messages)
    assert all(record.keys() >= {"time", "level", "logger", "message"} for record in records)


@pytest.mark.parametrize(
    ("code", "status", "last"),
    [
        ("raise ValueError('a\\nb')", 1, "ended by an error"),
        ("import os; os.write(2, b'last words'); os._exit(70)", 70, "last words"),
        ("import os; os.write(2, b'last words\\n'); os.abort()", -6, "last words"),
        ("import os, signal; os.write(2, b'last words'); os.kill(os.getpid(), signal.SIGKILL)", -9, "last words"),
        ("import faulthandler; faulthandler._sigsegv()", -11, "Segmentation fault"),
        ("import os, signal; os.write(2, b'last words'); os.killpg(0, signal.SIGTERM)", -15, "last words"),
    ],
)
def test_the_last_words_of_a_process_are_not_lost(code: str, status: int, last: str) -> None:
    code = f"import os; os.setpgid(0, 0)\n{code}" if "killpg" in code else code
    ended, records = run_json(code)
    assert ended == status
    assert any(last in record["message"] for record in records)


def test_what_libraries_write_is_bounded() -> None:
    status, records = run_json(
        "import os\nfor i in range(100_000): os.write(2, b'line %d\\n' % i)\nlogs.log.info('ours')"
    )
    assert status == 0
    ours = [record for record in records if record["logger"] == "andon"]
    assert len(ours) == 1
    assert len(records) <= 10 * standard_error.LINES_PER_PERIOD
    messages = [record["message"] for record in records]
    assert messages[-1] == "line 99999" or "line 99999" in messages  # the last words
    assert any("left out" in message for message in messages)
    _, records = run_json("import os\nos.write(2, b'x' * 1_000_000)")
    assert all(len(record["message"]) <= standard_error.MAX_LINE_BYTES for record in records)
    assert len(records) <= standard_error.LINES_PER_PERIOD + standard_error.LAST_WORDS + 1


def test_a_run_writes_nothing_but_json(model_path: Path, tmp_path: Path) -> None:
    """With frames that make decoders complain, from start to summary."""
    jpeg = encode(draw(1), ".jpg")
    damaged = jpeg[: len(jpeg) // 2] + bytes(20) + jpeg[len(jpeg) // 2 + 20 :]
    frames = [(encode(draw(0)), "good"), (damaged, "good"), (jpeg[:-300], "good"), (jpeg, "good")] * 5
    source = write_recording(tmp_path / "line", frames, cameras=("a\n{}", "b"))
    options = ("--verdicts", tmp_path / "v.jsonl", "--port", "0", "--log-format", "json")
    done = andon("run", "--model", model_path, "--source", source, *options)
    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 0, done.stderr
    assert "20 frames in" in records[-1]["message"]


@pytest.mark.parametrize(
    "arguments", [("--model", "none.onnx", "--source", "."), ("--set", "server.prt=1"), ("--source", "rtsp://u:p@[x")]
)
def test_an_error_is_json_too(arguments: tuple[str, ...]) -> None:
    done = andon("run", "--log-format", "json", "--no-server", *arguments)
    assert done.returncode == 2
    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert [record["level"] for record in records].count("error") == 1
