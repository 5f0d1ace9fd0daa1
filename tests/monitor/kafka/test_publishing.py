"""`andon-monitor publish` and clients written by others."""

import json
import shutil
import subprocess
from pathlib import Path

from tests.conftest import skip_or_fail
from tests.monitor.kafka.line import Line
from tests.monitor.small_model import andon, draw, encode


def test_a_folder_becomes_frames_that_are_cloud_events(line: Line, recording: Path) -> None:
    done = andon("publish", recording, "--to", line.uri(line.frames), "--stamp", "recorded", "--pending", "4")
    assert done.returncode == 0, done.stderr
    assert "40 frames published" in done.stderr
    records = line.read(line.frames, 40, extra=0.3)
    assert len(records) == 40
    manifest = [json.loads(text) for text in (recording / "manifest.jsonl").read_text().splitlines()]
    sent = {record.value: record for record in records}
    for entry in manifest:
        record = sent[(recording / entry["file"]).read_bytes()]
        headers = {name: value.decode() for name, value in record.headers}
        assert record.key.decode() == entry["camera"]
        assert headers["ce_type"] == "andon.frame"
        assert headers["ce_time"] == entry["captured_at"]
        assert headers["content-type"] == "image/png"


def test_what_cannot_be_published_is_one_line(line: Line, recording: Path) -> None:
    for source, target, message in [
        (recording, line.uri("no.such.topic"), "no such topic"),
        (recording / "nothing", line.uri(line.frames), "no such folder or file"),
    ]:
        done = andon("publish", source, "--to", target)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1


def test_another_client_sends_frames_and_reads_verdicts(line: Line, tmp_path: Path) -> None:
    if shutil.which("kcat") is None:
        skip_or_fail("no kcat here")
    image = tmp_path / "part.png"
    image.write_bytes(encode(draw(1)))
    send = ["kcat", "-P", "-b", line.servers, "-t", line.frames, "-k", "left", str(image)]
    subprocess.run(send, check=True, capture_output=True, timeout=30)
    with line.monitor():
        assert len(line.read_verdicts(1)) == 1
    read = ["kcat", "-C", "-b", line.servers, "-t", line.verdicts, "-e", "-q", "-f", "%k %h %s\n"]
    output = subprocess.run(read, check=True, capture_output=True, text=True, timeout=30).stdout
    key, headers, value = output.strip().split(" ", 2)
    assert key == "left"
    assert "ce_type=andon.verdict" in headers.split(",")
    assert json.loads(value)["verdict"] == "good"
