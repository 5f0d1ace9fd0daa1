import re
import socket
from pathlib import Path

from tests.fixtures.commands import andon, error_of
from tests.fixtures.small_model import build_model, draw, encode, write_recording


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


def test_check_shows_no_password() -> None:
    done = andon("check", "--source", "rtsp://user:hunter2@127.0.0.1:1/x")
    assert done.returncode == 1
    assert "rtsp://127.0.0.1:1/x" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


def test_a_model_that_is_not_good_enough_is_a_warning_at_each_threshold_in_use(tmp_path: Path, recording: Path) -> None:
    probes = [{"kind": "made-up", "name": "2 %", "scores": [0.7] * 20}]
    path = tmp_path / "part.onnx"
    path.write_bytes(build_model(lambda card: {**card, "probes": probes}))
    sets = ["--set", "server.port=0", "--set", "inspection.thresholds={left: 0.5}"]
    done = andon("check", "--model", path, "--source", recording, *sets)
    assert done.returncode == 0, done.stdout
    assert re.search(r"WARNING +fitness +NOT GOOD ENOUGH TO RUN: 0 of 20 made-up defects are found", done.stdout)
    assert re.search(r"ok +fitness for camera left +Good enough to run: 20 of 20", done.stdout)
