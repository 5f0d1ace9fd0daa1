"""A refit from the page: too little is refused, one runs at a time, it outlives the page, and can be stopped."""

import sys
import threading
from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.formats.evidence_package import unpack
from andon_monitor.inspection.frames import Frame, Position
from andon_monitor.model.file import Model
from andon_monitor.review import labels
from andon_monitor.review.background import LOCK, Background
from andon_monitor.review.models.line_models import Content, LineFile, LineModels, try_notice
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery
from andon_monitor.review.teach import plan as files
from andon_monitor.review.teach.gathering import Gathered, gather, write_images
from andon_monitor.review.teach.job import Refit
from andon_monitor.review.teach.judging import judge
from andon_monitor.settings.groups import ReviewSettings

from tests.fixtures.commands import run_command
from tests.fixtures.fake_trainer import Trainer
from tests.fixtures.review_line import fill, inspect
from tests.fixtures.review_page import PATIENCE, Client, serving
from tests.monitor.review.models.test_pages import USERS, send

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="refits are started on Linux and macOS alone")


def settings(training: Path) -> ReviewSettings:
    return ReviewSettings(training=training, changers=("anybody",), keep_free=0, fit_cores=1)


def begin(store: Store, line: LineFile, training: Path, refit: Refit) -> Content:
    models = LineModels(store, [line], settings(training))
    try_notice(models, strict=True)
    now = models.read(line)
    refit.start(store, line, now, gather(store, [now.sha256]), training, "2m", "ann")
    return now


def wait(refit: Refit, phases: tuple[str, ...] = ("done", "failed")) -> str:
    """Wait until the refit's files say one of the phases."""
    waited = threading.Event()
    for _ in range(int(PATIENCE / 0.1)):
        if (phase := refit.state().phase) in phases:
            return phase
        waited.wait(0.1)
    raise AssertionError(refit.state())


# Writes the old model as the new one: no training is needed to see what the page does with it.
COPIES = """
folder = pathlib.Path(sys.argv[sys.argv.index("-o") + 1]).parent
(folder / "new.onnx").write_bytes((folder / "old.onnx").read_bytes())
(folder / "report.html").write_text("<h1>report</h1>")
print("training: 42%", os.environ.get("OMP_NUM_THREADS"), file=sys.stderr)
print(json.dumps([name for name in os.environ if name.startswith("ANDON_")]))
"""


def test_labels_become_images_and_defects_leave_the_training(store: Store, line: LineFile, training: Path) -> None:
    model = Model.load(line.path, "cpu")
    gathered = gather(store, [model.sha256])
    assert (len(gathered.good), len(gathered.defects), gathered.missing) == (12, 12, "")
    package = store.package(gathered.defects[0].id)
    assert package is not None
    (training / "train" / "good" / "bad.png").write_bytes(unpack(package).frame)
    test = training / "test" / "scratch" / "1.png"
    test.parent.mkdir(parents=True)
    test.write_bytes(unpack(package).frame)
    for i in range(8):
        path = training / "test" / ("dent" if i % 2 else "crack") / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(9 + i))
        path.with_suffix(".jpg").write_bytes(bytes(9 + i))  # twice the same
    images = write_images(store, gathered, training, line.path.parent / "work" / "labelled")
    assert images.kinds is not None  # of scratch there is one image, and defects without a name are no kind
    assert {kind.name: len(list(kind.iterdir())) for kind in Path(images.kinds).iterdir()} == {"crack": 4, "dent": 4}
    source, labelled = map(Path, images.sources)
    assert images.left_out == 1
    assert (training / "train" / "good" / "bad.png").exists()  # the training images themselves stay as they are
    assert not (source / "train" / "good" / "bad.png").exists()
    assert len(list((source / "train" / "good").iterdir())) == 8
    learned = len(list((labelled / "train" / "good").iterdir()))
    kept = [truth for _, truth in images.tested if truth == "good"]
    assert (images.learned, learned + len(kept)) == (learned, 12)
    assert 0 < learned < 12
    assert sum(truth == "defect" for _, truth in images.tested) == 12
    assert (str(test), "scratch") in images.tested
    assert all(Path(path).is_file() for path, _ in images.tested)


def test_a_refit_goes_its_way_and_is_taken_over(
    store: Store, line: LineFile, training: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDON_KAFKA__PASSWORD", "secret")
    trainer.does(COPIES)
    with serving(store, models=[line], **USERS, training=training, keep_free=0, fit_cores=1) as url:
        ann = Client(url, x_user="ann")
        status, page = send(ann, "/teach", "/teach/start", budget="2m")
        assert status == 200
        refit = Refit(store.folder, settings(training))  # another page, after a restart, sees the same
        assert wait(refit) == "done"
        state = refit.state()
        assert state.result is not None
        assert state.result.judged is not None
        assert state.result.judged.verdict == "No better"
        assert "training: 42% 1" in state.log
        assert "[]" in state.log  # no setting reaches the trainer
        assert state.plan is not None
        arguments = " ".join(state.plan.arguments)
        for expected in ("--colour grey", "--false-alarm-rate 0.01", "--budget 2m", "--threads 1", "--name darkness"):
            assert expected in arguments
        _, page = ann.get("/teach")
        assert "No better: both are right on the same" in page
        status, body, headers = ann.ask("/teach/report")
        assert (status, body) == (200, b"<h1>report</h1>")
        assert "sandbox" in headers["content-security-policy"]
        assert ann.get("/teach/comparison")[0] == 404
        status, page = send(ann, "/teach", "/teach/take-over", why="better light")
        assert (status, "already holds" in page) == (400, True)  # the same content: nothing to take over
        status, page = send(ann, "/teach", "/teach/discard")
        assert (status, refit.state().phase) == (200, "none")
        assert sorted(path.name for path in refit.folder.iterdir()) == [LOCK]
        eve = Client(url, x_user="eve")
        assert "/teach/start" not in eve.get("/teach")[1]
        for action in ("start", "stop", "discard", "take-over"):
            assert eve.ask(f"/teach/{action}", b"x=1")[0] == 403
            assert ann.ask(f"/teach/{action}", b"x=1")[0] == 403


def test_one_at_a_time_and_stopped_for_good(
    store: Store, line: LineFile, training: Path, trainer: Trainer, tmp_path: Path
) -> None:
    trainer.does(f"pathlib.Path({str(tmp_path / 'began')!r}).touch()\ntime.sleep({PATIENCE})")
    refit = Refit(store.folder, settings(training))
    with pytest.raises(UsageError, match="no refit"):
        refit.stop()
    begin(store, line, training, refit)
    other = Refit(store.folder, settings(training))
    assert other.state().phase == "running"
    for refused in (lambda: begin(store, line, training, other), other.discard):
        with pytest.raises(UsageError, match="is running"):
            refused()
    waited = threading.Event()
    while not (tmp_path / "began").exists():
        waited.wait(0.05)
    other.stop()
    assert other.state().phase == "failed"
    assert "stopped" in (other.state().result or files.Result(ended=0)).failure
    with pytest.raises(UsageError, match="throw it away"):
        begin(store, line, training, refit)
    refit.discard()
    assert refit.state().phase == "none"


def test_a_refit_waits_for_the_fit_of_a_set_up(store: Store, line: LineFile, training: Path) -> None:
    fit = store.folder / "setup" / "bottle" / "fit"
    refit = Refit(store.folder, settings(training))
    with Background(fit, "fit", 1).locked():
        (fit / "job.json").touch()
        with pytest.raises(UsageError, match=r"The fit of bottle is running, .* or stop it on Set up, bottle, Fit"):
            begin(store, line, training, refit)
        with serving(store, models=[line], **USERS, training=training) as url:
            page = Client(url, x_user="ann").get("/teach")[1]
    assert ('href="/setup/bottle/fit"' in page, "/teach/start" in page) == (True, False)
    assert refit.state().phase == "none"
    assert refit.other is None


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.exit(3)", "exit code 3"),
        ("sys.exit('error: too little time')", "too little time"),
        ("print('done')", "exit code 0"),
        (COPIES + "(folder / 'new.onnx').write_text('x')", "new.onnx"),
    ],
)
def test_a_fit_that_fails_says_so(
    store: Store, line: LineFile, training: Path, trainer: Trainer, code: str, said: str
) -> None:
    trainer.does(code)
    refit = Refit(store.folder, settings(training))
    begin(store, line, training, refit)
    assert wait(refit) == "failed"
    result = refit.state().result
    assert result is not None
    assert said in result.failure
    with pytest.raises(UsageError, match="no refit to take over"):
        refit.content()


def test_what_cannot_work_is_refused_before_it_starts(
    store: Store, line: LineFile, training: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models = LineModels(store, [line], settings(training))
    now = models.read(line)
    refit = Refit(store.folder, settings(training))
    full = gather(store, [now.sha256])
    few = Gathered(full.good[:3], full.defects)
    assert few.missing == "7 more frames labelled good (false alarms)"
    for gathered, folder, budget, said in [
        (few, training, "2m", "7 more frames labelled good"),
        (full, tmp_path / "none", "2m", "no folder"),
        (full, training, "9h", "budget"),
    ]:
        with pytest.raises(UsageError, match=said):
            refit.start(store, line, now, gathered, folder, budget, "ann")
        assert refit.state().phase == "none"
    assert "review.training" in Refit(store.folder, ReviewSettings()).unavailable
    monkeypatch.setattr("andon_monitor.review.teach.job.TRAINER_PACKAGES", ("no_such_package",))
    assert "not installed" in refit.unavailable
    with serving(store, models=[line], **USERS, training=training) as url:
        page = Client(url, x_user="ann").get("/teach")[1]
        assert "The trainer is not installed" in page
        assert "/teach/start" not in page


def test_a_line_that_was_set_up_here_is_fitted_with_its_own_images(store: Store, training: Path) -> None:
    refit = Refit(store.folder, ReviewSettings())
    images = store.folder / "setup" / "bottle" / "images"
    images.mkdir(parents=True)
    assert (refit.unavailable, refit.training("bottle", 1)) == ("", images)
    assert Refit(store.folder, settings(training)).training("bottle", 1) == training
    assert Refit(store.folder, settings(training)).training("bottle", 2) == images  # there is no training/bottle


def test_damaged_files_are_said(store: Store, training: Path) -> None:
    refit = Refit(store.folder, settings(training))
    refit.folder.mkdir()
    (refit.folder / files.PLAN).write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        refit.state()


@pytest.fixture(scope="module")
def learned_line(model_file: Path, sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the sample's test images under the sample's own model, labelled as they are."""
    model = Model.load(model_file, "cpu")
    pictures = sorted((sample_folder / "test").glob("*/*"))
    given = [Frame("top", 1e9 + i, path.read_bytes(), Position("", "frames", 0, i)) for i, path in enumerate(pictures)]
    store = fill(tmp_path_factory.mktemp("learned") / "store", inspect(model, given))
    for frame in store.frames.find(FrameQuery(with_picture=True)):
        kind = pictures[frame.offset].parent.name
        labels.add_label(store, frame.id, "false alarm" if kind == "good" else "confirmed", "", "ann")
    return store.folder


def test_the_trainer_takes_what_a_refit_gives_it(
    learned_line: Path, model_file: Path, sample_folder: Path, tmp_path: Path
) -> None:
    """The trainer itself, here without the low priority of a refit, with which a busy machine takes minutes."""
    path = tmp_path / "part.onnx"
    path.write_bytes(model_file.read_bytes())
    store = Store(learned_line)
    quick = ("--iterations", "8", "--batch", "8", "--side", "96", "--encoder", "none")
    given = settings(sample_folder).model_copy(update={"fit_options": quick})
    refit, line = Refit(tmp_path, given), LineFile("part", path)
    models = LineModels(store, [line], given)
    try_notice(models, strict=True)
    now = models.read(line)
    gathered = gather(store, [now.sha256])
    assert len(gathered.defects) > 4
    plan = refit.prepare(store, line, now, gathered, sample_folder, "2m", "ann")
    done = run_command("andon-trainer", *plan.arguments)
    assert done.returncode == 0, done.stderr
    new = Model.load(refit.folder / files.NEW, "cpu")
    assert new.card.calibration.false_alarm_rate == now.card.calibration.false_alarm_rate
    assert (refit.folder / files.REPORT).stat().st_size > 10_000
    judged = judge(Model.load(path, "cpu"), new, plan.tested)
    assert (judged.good + judged.defects, judged.unreadable) == (len(plan.tested), 0)
