"""`andon-monitor publish` and clients written by others."""

import json
import shutil
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.fixtures.commands import andon
from tests.fixtures.components import skip_or_fail
from tests.fixtures.kafka_line import PATIENCE, Line, Monitor
from tests.fixtures.preloaded import Process
from tests.fixtures.small_model import draw, encode


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
        assert headers["ce_file"] == entry["file"]


def test_images_that_are_dropped_into_a_folder_keep_their_names_up_to_the_verdict(line: Line, tmp_path: Path) -> None:
    folder, done, log = tmp_path / "in", tmp_path / "done", tmp_path / "log"
    (folder / "left").mkdir(parents=True)
    publishing = start_publishing(f"watch:{folder}", "--then", f"move:{done}", "--to", line.uri(line.frames), log=log)
    try:
        names = [f"left/{number}.jpg" for number in range(3)]
        for number, name in enumerate(names):
            (folder / name).write_bytes(encode(draw(number), ".jpg"))
        with line.monitor():
            verdicts = line.read_verdicts(3)
        assert sorted(verdict["frame"]["file"] for verdict in verdicts) == names
        assert {verdict["capture_time_source"] for verdict in verdicts} == {"file"}
        assert {verdict["camera"] for verdict in verdicts} == {"left"}
        assert not any("part" in verdict for verdict in verdicts)
        publishing.send_signal(signal.SIGINT)
        assert publishing.wait(PATIENCE) == 0, log.read_text()
        assert sorted(path.relative_to(done).as_posix() for path in done.rglob("*.jpg")) == names
    finally:
        publishing.kill()


def test_what_cannot_be_published_is_one_line(line: Line, recording: Path) -> None:
    for source, target, message in [
        (recording, line.uri("no.such.topic"), "no such topic"),
        (recording / "nothing", line.uri(line.frames), "no such folder or file"),
        (recording / "nothing", "kafka://127.0.0.1:1/t", "no such folder or file"),  # nobody waits for brokers first
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
    subprocess.run(send, check=True, capture_output=True, timeout=300)
    with line.monitor():
        assert len(line.read_verdicts(1)) == 1
    read = ["kcat", "-C", "-b", line.servers, "-t", line.verdicts, "-e", "-q", "-f", "%k %h %s\n"]
    output = subprocess.run(read, check=True, capture_output=True, text=True, timeout=300).stdout
    key, headers, value = output.strip().split(" ", 2)
    assert key == "left"
    assert "ce_type=andon.verdict" in headers.split(",")
    assert json.loads(value)["verdict"] == "good"


def start_publishing(*arguments: object, log: Path) -> Process:
    """`andon-monitor publish` as a process of its own, its output in a file."""
    with log.open("w") as file:
        return Process("andon_monitor", ["publish", *arguments], file, file)


def test_publishing_waits_out_a_broker_that_went_away(
    fragile: Any, model_path: Path, tmp_path: Path, recording: Path
) -> None:
    line = Line(fragile.servers, "publish-outage", model_path, tmp_path)
    log = tmp_path / "log"
    publishing = start_publishing(
        recording, "--to", line.uri(line.frames), "--rate", 10, "--repeat", 2, "--pending", 8, log=log
    )
    try:
        line.read(line.frames, 5)
        fragile.signal_node(1, signal.SIGKILL)
        Monitor(publishing, log).wait_for("; waiting")
        fragile.start_node(1)
        assert publishing.wait(60) == 0, log.read_text()
    finally:
        publishing.kill()
    assert "80 frames published" in log.read_text()
    published = {dict(record.headers)["ce_id"] for record in line.read(line.frames, 80, extra=0.5)}
    assert len(published) == 80


class MotionJpeg(BaseHTTPRequestHandler):
    """A network camera that shows ten frames to each viewer and then hangs up."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(10):
            jpeg = encode(draw(number), ".jpg")
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")
            time.sleep(0.02)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def test_a_camera_that_hangs_up_is_called_again(line: Line, tmp_path: Path) -> None:
    camera = ThreadingHTTPServer(("127.0.0.1", 0), MotionJpeg)
    threading.Thread(target=camera.serve_forever, daemon=True).start()
    log = tmp_path / "log"
    address = f"http://127.0.0.1:{camera.server_port}/live"
    publishing = start_publishing(address, "--camera", "left", "--to", line.uri(line.frames), log=log)
    try:
        records = line.read(line.frames, 25)
        assert len(records) >= 25, log.read_text()
        assert {record.key for record in records} == {b"left"}
        assert "sends no more frames; trying again" in log.read_text()
        publishing.send_signal(signal.SIGINT)
        assert publishing.wait(20) == 0, log.read_text()
    finally:
        publishing.kill()
        camera.shutdown()
        camera.server_close()
    assert "frames published" in log.read_text()
