"""The history of labels: rows are only added, an undo is a row too."""

import time

from andon_monitor.errors import UsageError
from andon_monitor.review.store.database import Database
from andon_monitor.review.store.rows import Label, LabelStep

MAX_KINDS = 50  # kinds of defects in the list that pages offer


class LabelTable:
    """Queries and additions of the table `labels`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, frame_id: str, label: Label, kind: str | None, who: str) -> LabelStep:
        """Label a frame. Raises UsageError if there is no such frame, OutputError."""
        return self._append(frame_id, (label, kind), who)

    def undo(self, frame_id: str, who: str) -> LabelStep:
        """Take the present label back: the one before it is valid again. Raises UsageError if there is none."""
        return self._append(frame_id, None, who)

    def history(self, frame_id: str) -> list[LabelStep]:
        """All steps of a frame, the earliest first."""
        return self._database.rows(LabelStep, "FROM labels WHERE id = ? ORDER BY number", (frame_id,))

    def steps_after(self, number: int, limit: int) -> list[LabelStep]:
        """Up to `limit` steps of any frame that came after step `number`."""
        return self._database.rows(LabelStep, "FROM labels WHERE number > ? ORDER BY number LIMIT ?", (number, limit))

    def defect_kinds(self) -> list[str]:
        """The kinds of defects named so far, the most frequent first."""
        return self._database.values(
            "SELECT kind FROM labels WHERE kind IS NOT NULL GROUP BY kind ORDER BY count(*) DESC, kind LIMIT ?",
            (MAX_KINDS,),
        )

    def _append(self, frame_id: str, given: tuple[Label, str | None] | None, who: str) -> LabelStep:
        """Add a label, or an undo if none is given."""
        with self._database.transaction() as connection:
            if connection.execute("SELECT 1 FROM frames WHERE id = ?", (frame_id,)).fetchone() is None:
                raise UsageError("no such frame; frames without a label are deleted after some time")
            state: tuple[Label | None, str | None] = given or _before_last(self.history(frame_id))
            step: tuple[object, ...] = (frame_id, "undo" if given is None else "label", *state, who, time.time())
            cursor = connection.execute(
                "INSERT INTO labels (id, step, label, kind, who, at) VALUES (?, ?, ?, ?, ?, ?)", step
            )
            added = self._database.row(LabelStep, "FROM labels WHERE number = ?", (cursor.lastrowid,))
        assert added is not None
        return added


def _before_last(steps: list[LabelStep]) -> tuple[Label | None, str | None]:
    """The label that an undo goes back to. Raises UsageError if there is no label to undo."""
    valid: list[LabelStep] = []  # labels that no undo has taken back, the present one last
    for step in steps:
        if step.step == "undo":
            valid.pop()
        else:
            valid.append(step)
    if not valid:
        raise UsageError("nothing to undo: this frame has no label")
    return (valid[-2].label, valid[-2].kind) if len(valid) > 1 else (None, None)
