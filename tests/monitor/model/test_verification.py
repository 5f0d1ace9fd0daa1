"""Files that take time or memory without end, or crash: ended in a process apart, and with one line at the start."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from andon_monitor.errors import ModelError, UsageError
from andon_monitor.model.file import Model
from andon_monitor.model.limits import LoadLimits, private_bytes
from andon_monitor.model.runtime import onnxruntime
from andon_monitor.model.session import uses_gpu
from andon_monitor.model.verification import verify_apart

from tests.fixtures.commands import andon
from tests.fixtures.hostile_models import hungry, slow
from tests.fixtures.small_model import build_model

LIMITS = LoadLimits()


def test_a_sound_file_passes_and_a_bad_one_is_refused_in_the_same_words() -> None:
    verify_apart(build_model(), "part.onnx", "cpu", LIMITS)
    bad = build_model(golden=lambda golden: type(golden)(golden.frames, golden.scores + 1))
    with pytest.raises(ModelError, match=r"^part\.onnx: self-test failed: scores of its golden frames differ by "):
        verify_apart(bad, "part.onnx", "cpu", LIMITS)
    with pytest.raises(ModelError, match=r"^part\.onnx: not a readable ONNX file"):
        verify_apart(b"", "part.onnx", "cpu", LIMITS)


def test_a_file_that_takes_too_long_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"part\.onnx: opening it took more than 3 s \(model\.load_timeout\)"):
        verify_apart(slow(), "part.onnx", "cpu", LoadLimits(seconds=3))
    assert time.monotonic() - started < 60


def test_a_file_that_fills_memory_is_ended_and_this_process_does_not_grow() -> None:
    before = private_bytes()
    with pytest.raises(ModelError, match=r"took more than 512 MiB of memory \(model\.max_load_bytes\)"):
        verify_apart(hungry(), "part.onnx", "cpu", LIMITS)
    assert private_bytes() - before < 50 * 2**20


def test_auto_without_a_gpu_has_the_limits_of_the_cpu() -> None:
    assert "CUDAExecutionProvider" not in onnxruntime.get_available_providers()
    assert LIMITS.excess(time.monotonic(), LIMITS.max_bytes + 1, uses_gpu("auto")) is not None


def test_a_run_that_ends_does_not_wait() -> None:
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(ModelError, match="not verified, because the run ends"):
        verify_apart(slow(), "part.onnx", "cpu", LIMITS, stopped)


def test_the_process_apart_gets_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings in it would be refused where they are wrong."""
    monkeypatch.setenv("ANDON_KAFKA_PASSWORD", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    verify_apart(build_model(), "part.onnx", "cpu", LIMITS)


@pytest.mark.parametrize(
    ("make", "setting", "said"),
    [
        (slow, "model.load_timeout=2", "opening it took more than 2 s (model.load_timeout)"),
        (
            hungry,
            "model.max_load_bytes=300000000",
            "opening it took more than 286 MiB of memory",
        ),
    ],
)
def test_at_the_start_it_is_one_line_and_exit_code_2(
    make: Callable[[], bytes], setting: str, said: str, tmp_path: Path, recording: Path
) -> None:
    path = tmp_path / "part.onnx"
    path.write_bytes(make())
    for extra in (["--model", path], ["--model", tmp_path / "sound.onnx", "--shadow", path]):
        (tmp_path / "sound.onnx").write_bytes(build_model())
        done = andon("run", "--no-server", "--source", recording, *extra, "--set", setting)
        assert done.returncode == 2
        assert done.stdout == ""
        assert f"error: {path}: {said}" in done.stderr
        assert "Traceback" not in done.stderr


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(UsageError, match=r"cannot be read \((not a file|Is a directory)\)"):
            Model.load(path)
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(2**40)
    with pytest.raises(UsageError, match="a model file has at most 536870912"):
        Model.load(tmp_path / "sparse")
