"""What people say of a frame: a history that only grows, with undo."""

import re
import time
from dataclasses import dataclass
from typing import Any, Literal, get_args

from andon_monitor.errors import UsageError
from andon_monitor.review.store import Store

Label = Literal["confirmed", "false alarm", "unsure"]
LABELS: tuple[Label, ...] = get_args(Label)
# A kind of defect becomes the name of a folder when labels are exported.
KIND = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
UNNAMED = "defect"  # the kind of a confirmed defect that nobody named
RESERVED = ("good", "train", "test", "ground_truth")


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a frame's history; `label` and `kind` are what holds after it, None where nothing does."""

    number: int
    frame_id: str
    step: Literal["label", "undo"]
    label: Label | None
    kind: str | None
    who: str
    at: float  # seconds since 1970


def parse_kind(text: str) -> str | None:
    """A kind of defect as people type it: `Deep scratch` is deep-scratch. Raises UsageError."""
    name = re.sub(r"\s+", "-", text.strip().lower())
    if not name:
        return None
    if not KIND.fullmatch(name) or name in RESERVED:
        raise UsageError(
            f"kind {text[:60]!r}: give at most 40 of a to z, 0 to 9, dash and underscore, and none of "
            + ", ".join(RESERVED)
        )
    return name


def give(store: Store, frame_id: str, label: str, kind: str, who: str) -> Step:
    """Add a label. `kind` belongs to confirmed defects. Raises UsageError."""
    if label not in LABELS:
        raise UsageError(f"label {label[:60]!r}: right are {', '.join(LABELS)}")
    named = (parse_kind(kind) or UNNAMED) if label == "confirmed" else None
    return _append(store, frame_id, "label", (label, named), who)


def undo(store: Store, frame_id: str, who: str) -> Step:
    """Take the last label back: what held before it holds again. Raises UsageError where there is none."""
    return _append(store, frame_id, "undo", None, who)


def history(store: Store, frame_id: str) -> list[Step]:
    """All steps of a frame, the first first."""
    rows = store.connection.execute("SELECT * FROM labels WHERE id = ? ORDER BY number", (frame_id,))
    return [_step(row) for row in rows]


def steps_after(store: Store, number: int, count: int) -> list[Step]:
    """Up to `count` steps of all frames that came after step `number`."""
    rows = store.connection.execute("SELECT * FROM labels WHERE number > ? ORDER BY number LIMIT ?", (number, count))
    return [_step(row) for row in rows]


def kinds(store: Store) -> list[str]:
    """The kinds of defects named so far, the most frequent first."""
    rows = store.connection.execute(
        "SELECT kind, count(*) FROM labels WHERE kind IS NOT NULL GROUP BY kind ORDER BY 2 DESC, 1 LIMIT 50"
    )
    return [row["kind"] for row in rows]


def truth(label: str | None, kind: str | None) -> str | None:
    """A label as `compare --labels` and folders of images name it: good, a kind of defect, or None for not known."""
    return {"false alarm": "good", "confirmed": kind}.get(label or "")


def _append(store: Store, frame_id: str, step: str, given: tuple[str, str | None] | None, who: str) -> Step:
    with store.changing() as connection:
        if not store.has(frame_id):
            raise UsageError("no such frame: it may be gone, as it had no label")
        state: tuple[str | None, str | None]
        if given is not None:
            state = given
        else:
            stack = _held(history(store, frame_id))
            if not stack:
                raise UsageError("nothing to undo: this frame has no label")
            state = stack[-2] if len(stack) > 1 else (None, None)
        cursor = connection.execute(
            "INSERT INTO labels (id, step, label, kind, who, at) VALUES (?, ?, ?, ?, ?, ?)",
            (frame_id, step, *state, who, time.time()),
        )
        return _step(connection.execute("SELECT * FROM labels WHERE number = ?", (cursor.lastrowid,)).fetchone())


def _held(steps: list[Step]) -> list[tuple[Any, Any]]:
    """The labels that no undo has taken back, the one that holds last."""
    stack: list[tuple[Any, Any]] = []
    for step in steps:
        if step.step == "undo":
            stack.pop()
        else:
            stack.append((step.label, step.kind))
    return stack


def _step(row: Any) -> Step:
    return Step(row["number"], row["id"], row["step"], row["label"], row["kind"], row["who"], row["at"])
