"""The history of labels only grows."""

import sqlite3

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.review.store import Store

from tests.fixtures.review_line import ids


def test_undo_goes_back_step_by_step_and_forgets_nothing(store: Store) -> None:
    frame = ids(store)[0]
    store.labels.add(frame, "confirmed", "deep-scratch", "ann")
    store.labels.add(frame, "false alarm", None, "bob")
    assert present(store, frame) == ("false alarm", None)
    store.labels.undo(frame, "cid")
    assert present(store, frame) == ("confirmed", "deep-scratch")
    store.labels.add(frame, "unsure", None, "ann")
    store.labels.undo(frame, "ann")
    store.labels.undo(frame, "ann")
    assert present(store, frame) == (None, None)
    with pytest.raises(UsageError, match="nothing to undo"):
        store.labels.undo(frame, "ann")
    steps = store.labels.history(frame)
    assert [(s.step, s.label, s.who) for s in steps] == [
        ("label", "confirmed", "ann"),
        ("label", "false alarm", "bob"),
        ("undo", "confirmed", "cid"),
        ("label", "unsure", "ann"),
        ("undo", "confirmed", "ann"),
        ("undo", None, "ann"),
    ]
    assert [s.at for s in steps] == sorted(s.at for s in steps)
    assert store.labels.steps_after(steps[3].number, 10) == steps[4:]


def present(store: Store, frame_id: str) -> tuple[str | None, str | None]:
    frame = store.frames.get(frame_id)
    assert frame is not None
    return frame.label, frame.defect_kind


def test_the_history_of_labels_cannot_be_rewritten_unseen(store: Store) -> None:
    store.labels.add(ids(store)[0], "confirmed", None, "ann")
    other = sqlite3.connect(store.folder / "review.sqlite")
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        other.execute("UPDATE labels SET who = 'bob'")
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        other.execute("DELETE FROM labels")
