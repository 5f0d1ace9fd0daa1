"""What may be said about a frame."""

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.review import labels
from andon_monitor.review.store import Store

from tests.fixtures.review_line import ids, known


def test_kinds_are_written_in_one_way_and_belong_to_defects(store: Store) -> None:
    frame = ids(store)[0]
    for label, kind, wanted in (
        ("confirmed", "Deep  Scratch ", "deep-scratch"),
        ("confirmed", "", "defect"),
        ("false alarm", "ignored", None),
    ):
        labels.add_label(store, frame, label, kind, "ann")
        assert (known(store, frame).label, known(store, frame).defect_kind) == (label, wanted)
    assert store.labels.defect_kinds() == ["deep-scratch", "defect"]


@pytest.mark.parametrize("kind", ["../up", "good", "train", "a/b", ".", "x" * 41, "ß", "-x", "con\0"])
def test_a_kind_that_would_be_a_bad_folder_is_refused(store: Store, kind: str) -> None:
    with pytest.raises(UsageError, match="kind"):
        labels.add_label(store, ids(store)[0], "confirmed", kind, "ann")
    assert store.labels.history(ids(store)[0]) == []


def test_unknown_frames_and_labels_are_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="no such frame"):
        labels.add_label(store, "0" * 32, "unsure", "", "ann")
    with pytest.raises(UsageError, match="should be one of confirmed"):
        labels.add_label(store, ids(store)[0], "great", "", "ann")
