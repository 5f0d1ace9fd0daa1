"""What people may say about a frame, and what it means for training."""

import re

from andon_monitor.errors import UsageError
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import LABELS, Label, LabelStep

# A kind of defect becomes the name of a folder when labels are exported.
DEFECT_KIND = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
UNNAMED_KIND = "defect"  # of a confirmed defect whose kind nobody named
RESERVED_KINDS = ("good", "train", "test", "ground_truth")  # folders that mean something else to the trainer


def add_label(store: Store, frame_id: str, label: str, kind: str, who: str) -> LabelStep:
    """Label a frame. `kind` (of defect) is only kept for confirmed defects. Raises UsageError, OutputError."""
    if label not in LABELS:
        raise UsageError(f"label {label[:60]!r}: should be one of {', '.join(LABELS)}")
    named = (parse_kind(kind) or UNNAMED_KIND) if label == "confirmed" else None
    return store.labels.add(frame_id, label, named, who)


def parse_kind(text: str) -> str | None:
    """A kind of defect as people type it, `Deep scratch` as deep-scratch, None for none. Raises UsageError."""
    name = re.sub(r"\s+", "-", text.strip().lower())
    if not name:
        return None
    if not DEFECT_KIND.fullmatch(name) or name in RESERVED_KINDS:
        raise UsageError(
            f"kind {text[:60]!r}: give up to 40 of a to z, 0 to 9, dash and underscore, but not "
            + ", ".join(RESERVED_KINDS)
        )
    return name


def truth(label: Label | None, kind: str | None) -> str | None:
    """A label as `compare --labels` and folders of images have it: good, a kind of defect, or None for unknown."""
    return {"false alarm": "good", "confirmed": kind}.get(label or "")
