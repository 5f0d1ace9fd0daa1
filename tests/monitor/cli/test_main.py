import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.commands import andon, error_of, run_monitor
from tests.fixtures.small_model import build_model, parts, write_recording

PROGRAM = [sys.executable, "-m", "andon_monitor"]


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
        (["--port", "many"], 2, "server.port: should be a valid integer"),
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
    done = run_monitor(model_path, recording, "--verdicts", verdicts, *given)
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
        (["run"], "model.path: not given; give --model"),
        (["run", "--model", "MODEL"], "source.uri: not given; give --source"),
        (["run", "--model", "MODEL", "--source", str(Path(__file__).parent.parent)], "no images in it"),
        (["go"], "No such command 'go'"),
    ],
)
def test_what_is_missing_is_said(arguments: list[str], message: str, model_path: Path) -> None:
    given = [str(model_path) if argument == "MODEL" else argument for argument in arguments]
    done = andon(*given, *(["--no-server"] if arguments[0] == "run" else []))
    assert done.returncode == 2
    assert message in error_of(done)


def test_a_run_without_a_model_says_what_to_give(recording: Path) -> None:
    done = andon("run", "--no-server", "--source", recording)
    assert done.returncode == 2
    assert error_of(done).startswith("model.path: not given; give --model part.onnx")


def test_a_reader_that_goes_away_is_one_line(model_path: Path, tmp_path: Path) -> None:
    source = write_recording(tmp_path / "line", parts(10))
    command = [*PROGRAM, "run", "--no-server", "--model", str(model_path), "--source", str(source)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(timeout=300) == 1
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
