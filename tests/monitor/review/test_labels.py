"""Labels are steps of a history that only grows; undo goes back one by one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from andon_monitor.compare.judges import read_labels
from andon_monitor.errors import UsageError
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.file import Model
from andon_monitor.review import figures, gallery, labels
from andon_monitor.review.export import export
from andon_monitor.review.gallery import Filters
from andon_monitor.review.store import Store

from tests.fixtures.commands import andon


def defects(store: Store) -> list[str]:
    return [row["id"] for row in gallery.find(store, "defect", Filters())]


def state(store: Store, frame_id: str) -> tuple[str | None, str | None]:
    row = gallery.frame(store, frame_id)
    return row["label"], row["defect"]


def test_undo_goes_back_step_by_step_and_forgets_nothing(store: Store) -> None:
    frame = defects(store)[0]
    labels.give(store, frame, "confirmed", "Deep Scratch", "ann")
    labels.give(store, frame, "false alarm", "ignored", "bob")
    assert state(store, frame) == ("false alarm", None)
    labels.undo(store, frame, "cid")
    assert state(store, frame) == ("confirmed", "deep-scratch")
    labels.give(store, frame, "unsure", "", "ann")
    labels.undo(store, frame, "ann")
    labels.undo(store, frame, "ann")
    assert state(store, frame) == (None, None)
    with pytest.raises(UsageError, match="nothing to undo"):
        labels.undo(store, frame, "ann")
    steps = labels.history(store, frame)
    assert [(s.step, s.label, s.who) for s in steps] == [
        ("label", "confirmed", "ann"),
        ("label", "false alarm", "bob"),
        ("undo", "confirmed", "cid"),
        ("label", "unsure", "ann"),
        ("undo", "confirmed", "ann"),
        ("undo", None, "ann"),
    ]
    assert [s.at for s in steps] == sorted(s.at for s in steps)


@pytest.mark.parametrize("kind", ["../up", "good", "train", "a/b", ".", "x" * 41, "ß", "-x", "con\0"])
def test_a_kind_that_would_be_a_bad_folder_is_refused(store: Store, kind: str) -> None:
    with pytest.raises(UsageError, match="kind"):
        labels.give(store, defects(store)[0], "confirmed", kind, "ann")
    assert labels.history(store, defects(store)[0]) == []


def test_unknown_frames_and_labels_are_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="no such frame"):
        labels.give(store, "0" * 32, "unsure", "", "ann")
    with pytest.raises(UsageError, match="right are confirmed"):
        labels.give(store, defects(store)[0], "great", "", "ann")


def test_the_export_is_read_by_the_trainer_and_by_compare(store: Store, tmp_path: Path) -> None:
    from andon_trainer.data.dataset import open_dataset

    found = defects(store)
    for i, frame in enumerate(found[:10]):
        labels.give(store, frame, "confirmed" if i < 4 else "false alarm", "dent" if i < 2 else "", "ann")
    labels.give(store, found[10], "unsure", "", "ann")
    done = andon("export", "--store", store.folder, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "2 defect, 2 dent, 6 good" in done.stdout
    dataset = open_dataset(tmp_path / "out")
    assert len(dataset.train) == 6
    assert sorted(sample.label for sample in dataset.test) == ["defect"] * 2 + ["dent"] * 2 + ["good"] * 6
    package = store.package(found[0])
    assert package is not None
    from andon_monitor.formats.evidence_package import unpack

    assert (tmp_path / "out" / "dent" / f"{found[0]}.png").read_bytes() == unpack(package).frame
    assert (
        sorted(read_labels(tmp_path / "out" / "labels.jsonl").values()) == ["defect"] * 2 + ["dent"] * 2 + ["good"] * 6
    )
    (line,) = json.loads((tmp_path / "out" / "line.json").read_text())
    assert len(line["good"]) == 48 + 6
    assert (len(line["false_alarms"]), len(line["defects"]), line["unlabelled"]) == (6, 4, 2)


def test_an_export_is_whole_or_not_there(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to export"):
        export(store.folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.part").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    for folder, target in ((store.folder, tmp_path / "out"), (tmp_path, tmp_path / "new")):
        done = andon("export", "--store", folder, "-o", target)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1


def test_precision_and_other_thresholds_are_counted(store: Store, model: Model) -> None:
    found = defects(store)
    for i, frame in enumerate(found[:8]):
        labels.give(store, frame, "confirmed" if i < 6 else "false alarm", "", "ann")
    (week,) = figures.weeks(store)
    assert (week.name, week.confirmed, week.false_alarms, week.unlabelled) == ("2026-W02", 6, 2, 4)
    assert week.precision is not None
    assert week.precision.share == 0.75
    judged = figures.judged(store, model.sha256)
    assert len(judged) == 8
    high = figures.cut(judged, 1e9)
    assert (high.caught, high.missed, high.false_alarms, high.spared) == (0, 6, 0, 2)
    low = figures.cut(judged, 0.0)
    assert (low.caught, low.missed, low.false_alarms, low.spared) == (6, 0, 2, 0)
    cuts = figures.cuts(judged, model.card)
    assert [cut.threshold for cut in cuts] == sorted((cut.threshold for cut in cuts), reverse=True)
    assert [cut.threshold for cut in cuts if cut.current] == [model.card.threshold]


def test_thresholds_of_other_rates_are_in_the_order_of_their_rates(model: Model) -> None:
    """Of sixty scores, one of them far out, 2 % can be measured: that very score. 1 % is extrapolated, to less."""
    scores = [1 + 0.01 * i for i in range(59)] + [3.0]
    assert calibrate(scores, 0.02).threshold > calibrate(scores, 0.01).threshold
    card = model.card.model_copy(update={"calibration": calibrate(scores, 0.001)})
    cuts = figures.cuts([], card)
    assert len(cuts) > 4
    assert [cut.threshold for cut in cuts] == sorted((cut.threshold for cut in cuts), reverse=True)
    rates = [cut.false_alarm_rate or 0 for cut in cuts]
    assert rates == sorted(rates)


def test_the_page_and_its_commands_need_no_torch() -> None:
    code = "import andon_monitor.review.serving, andon_monitor.review.export, sys; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
