"""Model files changed on the page: verified, whole, in the history, and back again."""

import threading
from pathlib import Path

import pytest
from andon_monitor.errors import ModelError, OutputError, UsageError
from andon_monitor.model.card import CARD_KEY
from andon_monitor.model.file import Model
from andon_monitor.model.golden import Golden
from andon_monitor.review.models.line_models import LineFile, LineModels, try_notice
from andon_monitor.review.store import Store
from andon_monitor.review.store import model_files as model_files_module
from andon_monitor.settings.groups import ReviewSettings

from tests.fixtures.small_model import build_model

CHANGERS = ReviewSettings(changers=("anybody",))


class Checks(threading.Event):
    """An event that is never set; between two checks something happens."""

    def __init__(self, between: "list[object]") -> None:
        super().__init__()
        self._between = between

    def wait(self, timeout: float | None = None) -> bool:
        """What is to happen between two checks; True once nothing is left."""
        if not self._between:
            return True
        change = self._between.pop(0)
        if callable(change):
            change()
        return False


@pytest.fixture
def part(tmp_path: Path) -> LineFile:
    path = tmp_path / "part.onnx"
    path.write_bytes(build_model())
    return LineFile("part", path)


def open_models(store: Store, part: LineFile, settings: ReviewSettings = CHANGERS) -> LineModels:
    models = LineModels(store, [part], settings)
    try_notice(models, strict=True)
    return models


def test_a_threshold_is_changed_undone_and_rolled_back(store: Store, part: LineFile) -> None:
    models = open_models(store, part)
    first = models.read(part)
    change = models.change_rate("part", first.sha256, 0.1, "ann", "too  many\nalarms")
    assert (change.who, change.step, change.action, change.old, change.why) == (
        "ann", "applied", "threshold", first.sha256, "too many alarms",
    )  # fmt: skip
    now = Model.load(part.path, "cpu")
    assert (now.sha256, now.card.calibration.false_alarm_rate) == (change.new, 0.1)
    undone = models.undo(change.number, "bob")
    assert (undone.action, undone.new, undone.about) == ("undo", first.sha256, change.number)
    assert part.path.read_bytes() == first.content
    with pytest.raises(UsageError, match="changed again"):
        models.undo(change.number, "bob")
    again = models.install("part", first.sha256, change.new, "roll back", "ann", "it was better")
    assert models.read(part).sha256 == again.new == change.new
    assert [c.action for c in store.changes.newest(9)] == ["roll back", "undo", "threshold", "replaced outside"]


def test_what_cannot_be_done_changes_nothing(store: Store, part: LineFile, monkeypatch: pytest.MonkeyPatch) -> None:
    models = open_models(store, part)
    content, sha256 = part.path.read_bytes(), models.read(part).sha256
    history = store.changes.newest(9)
    rate = models.read(part).card.calibration.false_alarm_rate
    for name, expected, asked, why, said in [
        ("other", sha256, 0.1, "why", "no model file"),
        ("part", "0" * 64, 0.1, "why", "load the page again"),
        ("part", sha256, 0.9, "why", "false-alarm rate"),
        ("part", sha256, 0.1, " ", "say why"),
    ]:
        with pytest.raises(UsageError, match=said):
            models.change_rate(name, expected, asked, "ann", why)
    with pytest.raises(UsageError, match=r"nothing to change|already holds"):
        models.install("part", sha256, sha256, "roll back", "ann", "why")
    for unknown in ("1" * 64, "../../etc/passwd", ""):
        with pytest.raises(UsageError, match="not kept"):
            models.install("part", sha256, unknown, "roll back", "ann", "why")
    with pytest.raises(UsageError, match="nothing before"):
        models.undo(history[0].number, "ann")
    bad = build_model(golden=lambda golden: Golden(golden.frames, golden.scores + 1))
    with pytest.raises(ModelError, match="self-test failed"):
        models.take_over("part", sha256, bad, "refit", "ann", "why")
    with pytest.raises(ModelError):
        models.take_over("part", sha256, build_model(metadata=lambda m: {CARD_KEY: "{}"}), "refit", "ann", "why")

    def full(path: Path, data: bytes) -> None:
        raise OutputError(f"{path}: cannot be written (full)")

    monkeypatch.setattr("andon_monitor.review.models.line_models.write_whole", full)
    with pytest.raises(OutputError, match="full"):
        models.change_rate("part", sha256, rate / 2, "ann", "why")
    assert part.path.read_bytes() == content
    assert store.changes.newest(9) == history


def test_with_four_eyes_somebody_else_has_to_agree(store: Store, part: LineFile) -> None:
    settings = ReviewSettings(user_header="x-user", changers=("ann", "bob"), four_eyes=True)
    models = open_models(store, part, settings)
    first = models.read(part).sha256
    proposed = models.change_rate("part", first, 0.1, "ann", "fewer alarms")
    assert (proposed.step, models.read(part).sha256) == ("proposed", first)
    with pytest.raises(UsageError, match="two people"):
        models.answer(proposed.number, True, "ann")
    done = models.answer(proposed.number, True, "bob")
    assert (done.step, done.who, done.about, models.read(part).sha256) == (
        "applied", "bob", proposed.number, proposed.new,
    )  # fmt: skip
    with pytest.raises(UsageError, match="been answered"):
        models.answer(proposed.number, True, "bob")
    other = models.change_rate("part", proposed.new, 0.2, "ann", "even fewer")
    assert models.answer(other.number, False, "ann").step == "rejected"
    assert store.changes.pending() == []
    assert models.undo(done.number, "ann").new == first  # back to what was: one person may


def test_a_file_that_somebody_else_replaces_is_in_the_history(store: Store, part: LineFile) -> None:
    models = open_models(store, part)
    first = models.read(part)
    new = build_model(lambda card: card | {"name": "new"})
    with pytest.raises(ModelError):
        models.follow(part, Checks([lambda: part.path.write_bytes(b"half a file")]))
    models.follow(part, Checks([part.path.unlink, lambda: part.path.write_bytes(new), None]))
    found, seen = store.changes.newest(9)
    assert (found.step, found.who, found.old, seen.old) == ("found", "", first.sha256, None)
    assert store.models.newest(1)[0].sha256 == found.new
    assert models.undo(found.number, "ann").new == first.sha256  # the page kept it


def test_a_page_that_may_not_change_models_keeps_no_copies(store: Store, part: LineFile) -> None:
    models = open_models(store, part, ReviewSettings())
    assert not store.model_files.has(models.read(part).sha256)
    assert len(store.changes.newest(9)) == 1


def test_old_copies_are_removed_and_one_that_was_tampered_with_is_not_used(
    store: Store, part: LineFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files_module, "MAX_FILES", 2)
    models = open_models(store, part)
    first = sha256 = models.read(part).sha256
    for rate in (0.1, 0.2):
        sha256 = models.change_rate("part", sha256, rate, "ann", "why").new
    assert len(list((store.folder / "models").iterdir())) == 2
    assert not store.model_files.has(first)
    with pytest.raises(UsageError, match="not kept"):
        models.install("part", sha256, first, "roll back", "ann", "why")
    before = store.changes.newest(1)[0]
    assert before.old is not None
    store.model_files.path(before.old).write_bytes(build_model())
    with pytest.raises(UsageError, match="not kept"):
        models.undo(before.number, "ann")
