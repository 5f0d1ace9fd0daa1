"""Without onnxruntime, or with both of its builds, one line says what to install."""

import subprocess
import sys
from pathlib import Path

COMMAND = "from andon_monitor.cli.main import main; main()"


def start(code: str, model: Path, path: Path) -> "subprocess.CompletedProcess[str]":
    """`andon-monitor check` after `code`, with the distributions in the folder `path` as well."""
    arguments = ["andon-monitor", "check", "--model", str(model)]
    before = f"import sys; sys.path.insert(0, {str(path)!r}); sys.argv = {arguments}"
    command = [sys.executable, "-c", f"{before}\n{code}\n{COMMAND}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_no_runtime_is_one_line(tmp_path: Path) -> None:
    done = start("sys.modules['onnxruntime'] = None", tmp_path / "part.onnx", tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: onnxruntime is not installed; run pip install 'andon[cpu]', or 'andon[gpu]' for an NVIDIA GPU"
    ]


def test_two_runtimes_are_one_line(tmp_path: Path) -> None:
    for name in ("onnxruntime", "onnxruntime_gpu"):
        folder = tmp_path / f"{name}-1.30.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.30.0\n")
    done = start("", tmp_path / "part.onnx", tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "onnxruntime and onnxruntime-gpu are both installed" in done.stderr
    assert "pip uninstall onnxruntime onnxruntime-gpu" in done.stderr
