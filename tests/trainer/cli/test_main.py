"""`andon-trainer` as a user runs it: what it prints, what it leaves, and one clear line for each mistake."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from andon_monitor.model.file import Model
from andon_monitor.model.golden import Golden
from andon_trainer.data.splits import split
from andon_trainer.sample.render import write_sample

from tests.fixtures.commands import PATIENCE, run_command
from tests.fixtures.components import skip_or_fail
from tests.fixtures.preloaded import Process

FIT = ("andon-trainer", "fit")
QUICK = ("--iterations", "3", "--side", "64", "--batch", "4", "--threads", "1")


def noise_images(folder: Path, count: int, size: tuple[int, int] = (64, 64)) -> Path:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 255, size, dtype=np.uint8))
    return folder


def assert_one_line_of_error(done: subprocess.CompletedProcess[str], *words: str, code: int = 2) -> None:
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


def test_fit_evaluate_calibrate_and_card_work_together(sample_folder: Path, model_file: Path, tmp_path: Path) -> None:
    figures, report, recalibrated = tmp_path / "e.json", tmp_path / "e.html", tmp_path / "new.onnx"
    evaluated = run_command(
        "andon-trainer", "evaluate", model_file, sample_folder, "--json", figures, "--report", report
    )
    assert evaluated.returncode == 0, evaluated.stderr
    assert "AUROC" in evaluated.stdout
    assert 0 <= json.loads(figures.read_text())["image_auroc"] <= 1
    assert report.read_text().startswith("<!doctype html>")

    # So few steps teach little: the table and the sentence say so, and limits end with exit code 1.
    assert "What other false-alarm rates would do" in evaluated.stdout
    assert "good enough to run" in evaluated.stdout.lower()
    limits = ["--min-detection", "1.0", "--max-false-alarms", "1.0"]
    refused = run_command("andon-trainer", "evaluate", model_file, sample_folder, *limits)
    found_all = json.loads(figures.read_text())["detection"]["share"] == 1
    assert refused.returncode == (0 if found_all else 1)
    assert found_all or "--min-detection: " in refused.stderr
    assert "--max-false-alarms" not in refused.stderr

    arguments = ["calibrate", model_file, sample_folder / "train/good", "-o", recalibrated]
    refused = run_command("andon-trainer", *arguments)
    assert_one_line_of_error(refused, "was fitted on 32 of these 32 images")
    good = tmp_path / "good"
    write_sample(good, seed=5, train=31, test_good=0, test_defects=0, stream=0)
    arguments = ["calibrate", model_file, good, "-o", recalibrated, "--false-alarm-rate", "0.01"]
    calibrated = run_command("andon-trainer", *arguments)
    assert calibrated.returncode == 0, calibrated.stderr
    assert "31 images" in calibrated.stdout
    assert "too few" in calibrated.stderr

    shown = run_command("andon-trainer", "card", recalibrated, "--json")
    assert json.loads(shown.stdout)["calibration"]["count"] == 31
    assert "training.images" in run_command("andon-trainer", "card", recalibrated).stdout


@dataclass(frozen=True)
class Fitted:
    """A large network fitted to images among which one shows no good part."""

    folder: Path  # with the model and its report
    outlier: Path
    stderr: str


@pytest.fixture(scope="module")
def fitted(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    data = tmp_path_factory.mktemp("data") / "part"
    shutil.copytree(sample_folder, data, ignore=shutil.ignore_patterns("stream"))
    outlier = sorted((data / "train/good").iterdir())[split(np.arange(32), seed=0).calibration[0]]
    image = cv2.imread(str(outlier), cv2.IMREAD_GRAYSCALE)
    cv2.rectangle(image, (180, 180), (330, 330), 255, -1)
    cv2.imwrite(str(outlier), image)
    folder = tmp_path_factory.mktemp("fitted")
    output, report = folder / "part.onnx", folder / "part.html"
    done = run_command(*FIT, data, "-o", output, "--report", report, *QUICK, "--size", "large", "--encoder", "none")
    assert done.returncode == 0, done.stderr
    return Fitted(folder, outlier, done.stderr)


def test_fit_writes_a_report_with_learning_curve(fitted: Fitted) -> None:
    assert "earning curve" in (fitted.folder / "part.html").read_text()
    assert {path.name for path in fitted.folder.iterdir()} == {"part.onnx", "part.html"}


def test_an_image_that_is_no_good_part_is_named(fitted: Fitted) -> None:
    assert "note: 1 of the good images score far above all others." in fitted.stderr
    assert f"{fitted.outlier}: " in fitted.stderr


MISTAKES = [
    ("missing path", lambda root: root / "nowhere", ("nowhere", "no such folder")),
    ("empty folder", lambda root: root, ("no images in it",)),
    ("only defects", lambda root: noise_images(root / "test" / "dent", 9).parents[1], ("only dent", "train/good")),
    ("three images", lambda root: noise_images(root / "data", 3), ("3 images", "at least 8")),
]


@pytest.mark.parametrize(("make", "words"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
def test_wrong_data_is_one_line_and_leaves_nothing(tmp_path: Path, make, words: tuple[str, ...]) -> None:
    root = tmp_path / "input"
    root.mkdir()
    data = make(root)
    output = tmp_path / "out" / "part.onnx"
    output.parent.mkdir()
    assert_one_line_of_error(run_command(*FIT, data, "-o", output, *QUICK), *words)
    assert list(output.parent.iterdir()) == []


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    data = noise_images(tmp_path / "data", 10)
    bad = data / "4.png"
    bad.write_bytes(bad.read_bytes()[:300])
    assert_one_line_of_error(run_command(*FIT, data, "-o", tmp_path / "part.onnx", *QUICK), "4.png", "truncated")
    assert not (tmp_path / "part.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--budget", "soon"), ("--budget", "'soon'", "10m")),
        (("--budget", "0.5s"), ("--budget", "at least a second")),
        (("--false-alarm-rate", "2"), ("--false-alarm-rate 2", "between")),
        (("--region", "1,2,3"), ("--region 1,2,3", "left,top,width,height")),
        (("--colour", "blue"), ("--colour blue", "grey")),
        (("--device", "tpu"), ("--device tpu", "cpu")),
        (("--iterations", "0"), ("--iterations 0", "between")),
        (("--batch", "0"), ("--batch 0", "between")),
        (("--size", "huge"), ("--size huge", "small", "base", "large")),
        (("--networks", "9"), ("--networks 9", "between")),
        (("--architecture", "dense", "--size", "large"), ("--size large", "--layers")),
        (("--architecture", "dense", "--networks", "2"), ("--networks 2", "conv-dense")),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    data = noise_images(tmp_path / "data", 8)
    assert_one_line_of_error(run_command(*FIT, data, "-o", tmp_path / "part.onnx", *arguments), *words)


def test_without_torch_the_remedy_is_named(tmp_path: Path) -> None:
    """As in an installation of the monitor alone, which has the command all the same."""
    noise_images(tmp_path / "good", 12)
    start = "import sys; sys.modules['torch'] = None; from andon_trainer.cli.main import main; main()"
    command = [sys.executable, "-c", start, "fit", str(tmp_path / "good"), "-o", str(tmp_path / "part.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert_one_line_of_error(done, "torch: not installed", "run pip install 'andon[trainer,cpu]'")


@pytest.mark.parametrize("place", ["/proc/part.onnx", "/dev/null/part.onnx"])
def test_an_output_that_cannot_be_written_is_known_before_the_training(tmp_path: Path, place: str) -> None:
    data = noise_images(tmp_path / "data", 8)
    assert_one_line_of_error(run_command(*FIT, data, "-o", place, "--budget", "1h"), place, "cannot be written")


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """A real file system of 64 kB, where this machine lets us mount one."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        skip_or_fail("a small file system cannot be mounted here (needs root)")
    try:
        data = noise_images(tmp_path / "data", 8)
        dense = ("--architecture", "dense", "--layers", "4096-16-4096")  # exported in no time
        done = run_command(*FIT, data, "-o", small / "part.onnx", *QUICK, *dense)
        assert_one_line_of_error(done, "part.onnx", "No space left on device", code=1)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


def damaged_models(model_file: Path) -> dict[str, tuple[bytes, str]]:
    """Model files that must be refused, with what the error says."""
    content = model_file.read_bytes()

    def changed(edit) -> bytes:
        graph = onnx.load_from_string(content)
        edit({entry.key: entry for entry in graph.metadata_props}, graph)
        return graph.SerializeToString()

    def newer(metadata, graph) -> None:
        fields = json.loads(metadata["andon.card"].value)
        metadata["andon.card"].value = json.dumps(fields | {"card_version": 99})

    def other_scores(metadata, graph) -> None:
        golden = Golden.unpack(metadata["andon.golden"].value, (96, 96, 1))
        metadata["andon.golden"].value = Golden(golden.frames, golden.scores * np.float32(1.01)).pack()

    return {
        "not an ONNX file": (b"PK not a model", "not a readable ONNX file"),
        "truncated": (content[: len(content) // 2], "not a readable ONNX file"),
        "not ours": (changed(lambda metadata, graph: graph.ClearField("metadata_props")), "without a model card"),
        "newer card": (changed(newer), "version 99"),
        "golden frames do not hold": (changed(other_scores), "golden frames differ"),
    }


@pytest.mark.parametrize(
    "case", ["not an ONNX file", "truncated", "not ours", "newer card", "golden frames do not hold"]
)
@pytest.mark.parametrize("command", ["evaluate", "monitor"])
def test_a_model_that_cannot_be_trusted_is_refused(
    case: str, command: str, model_file: Path, sample_folder: Path, tmp_path: Path
) -> None:
    content, message = damaged_models(model_file)[case]
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    if command == "evaluate":
        done = run_command("andon-trainer", "evaluate", path, sample_folder)
    else:
        stream = sample_folder / "stream"
        verdicts = tmp_path / "v.jsonl"
        done = run_command(
            "andon-monitor", "run", "--model", path, "--source", stream, "--verdicts", verdicts, "--no-server"
        )
        assert not verdicts.exists()
    assert_one_line_of_error(done, "bad.onnx", message)


class Terminal:
    """A terminal in which a program writes its standard error; everything that it has written."""

    def __init__(self) -> None:
        self._screen, self._program = pty.openpty()
        self.environment = os.environ | {"TERM": "xterm", "COLUMNS": "200"}
        self.written = ""

    def start(self, *arguments: str | Path) -> Process:
        """Start `andon-trainer`."""
        with os.fdopen(self._program, "wb", buffering=0) as file, Path(os.devnull).open("wb") as nothing:
            return Process("andon_trainer", arguments, nothing, file, env=self.environment)

    def read_until(self, text: str | None = None) -> None:
        """Read until the program has written this, or to its end."""
        while text is None or text not in self.written:
            assert select.select([self._screen], [], [], PATIENCE)[0], self.written
            try:
                self.written += os.read(self._screen, 10_000).decode(errors="replace")
            except OSError:  # no program has the terminal any more
                os.close(self._screen)
                assert text is None, self.written
                return


@pytest.mark.parametrize(("moment", "times", "status"), [("loss", 1, 0), ("warming up", 1, 1), ("loss", 2, 130)])
def test_ctrl_c_leaves_a_model_that_holds_or_nothing(
    moment: str, times: int, status: int, fitted: Fitted, tmp_path: Path
) -> None:
    """In the training, before there are weights to keep, and for the second time while the model is exported.

    What it leaves is a small network, with fewer channels than a large one.
    """
    data, output, terminal = noise_images(tmp_path / "data", 12), tmp_path / "output", Terminal()
    output.mkdir()
    path = output / "part.onnx"
    long = (
        "--iterations",
        "800",
        "--budget",
        "1h",
        "--side",
        "64",
        "--batch",
        "4",
        "--size",
        "small",
        "--encoder",
        "none",
        "--threads",
        "1",
    )
    process = terminal.start("fit", data, "-o", path, *long)
    try:
        terminal.read_until(moment)
        process.send_signal(signal.SIGINT)
        terminal.read_until("press Ctrl-C again")
        if times == 2:
            terminal.read_until("exporting")
            process.send_signal(signal.SIGINT)
        terminal.read_until()
        assert process.wait(PATIENCE) == status, terminal.written
    finally:
        process.kill()
    assert "Traceback" not in terminal.written
    if status == 0:
        assert [entry.name for entry in output.iterdir()] == ["part.onnx"]
        card = Model.load(path).card
        assert card.training.ended == "interrupted"
        large = fitted.folder / "part.onnx"
        assert card.architecture["widths"] < Model.load(large).card.architecture["widths"]
        assert path.stat().st_size < large.stat().st_size
    else:
        assert "nothing was written" in terminal.written
        assert list(output.iterdir()) == []


def test_help_is_there_without_torch() -> None:
    code = (
        "import sys, andon_trainer.cli.main\n"
        "assert not {'torch', 'onnx', 'sklearn', 'onnxruntime'} & set(sys.modules), 'heavy imports at start'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "calibrate" in run_command("andon-trainer", "--help").stdout
