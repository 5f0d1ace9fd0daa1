"""Frames that could not be inspected, kept as they came so that a person can find out why."""

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from andon_monitor.common.files import whole_file
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.model import imaging

# A stale frame is skipped on purpose and nothing is wrong with it.
NOT_KEPT = ("stale",)


def needs_letter(inspection: Inspection) -> bool:
    """Whether the frame is kept for people to look at."""
    reason = inspection.verdict.reason
    return reason is not None and reason not in NOT_KEPT


class DeadLetterFolder:
    """For each uninspectable frame its original bytes, and beside them a JSON file: the verdict, the key, the headers.

    The names are the verdict's id, so a frame that comes again is written over itself. `on_written` is called with
    the reason of each. Raises OutputError where one cannot be written, which ends the run rather than lose it.
    """

    def __init__(self, folder: Path, on_written: Callable[[str], None] = lambda reason: None) -> None:
        self.folder = folder
        self._on_written = on_written

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Keep those that are uninspectable."""
        for inspection in inspections:
            if needs_letter(inspection):
                self._keep(inspection)
                self._on_written(inspection.verdict.reason or "")

    def close(self, complete: bool) -> None:
        """Nothing to do: every file is whole."""

    def _keep(self, inspection: Inspection) -> None:
        frame, verdict = inspection.frame, inspection.verdict
        data_path = self.folder / (verdict.id + suffix_of(frame))
        letter = {
            "file": data_path.name,
            "verdict": json.loads(verdict.to_json()),
            "key": None if frame.key is None else _text(frame.key),
            "headers": [[name, _text(value)] for name, value in frame.headers],
        }
        with whole_file(data_path) as file:
            file.write(frame.data)
        with whole_file(self.folder / f"{verdict.id}.json") as file:
            file.write(json.dumps(letter, ensure_ascii=False, indent=2).encode())


def suffix_of(frame: Frame) -> str:
    """The ending of the file a frame came from, else what its bytes begin like, else .bin."""
    suffix = PurePosixPath(frame.file or "").suffix.lower()
    return suffix if suffix in imaging.SUFFIXES else imaging.suffix_of(frame.data) or ".bin"


def _text(data: bytes) -> str:
    """Bytes as base64, as a key or header need not be text."""
    return base64.b64encode(data).decode("ascii")
