"""Dead letters: frames that could not be inspected, kept unchanged so that a person can find out why."""

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from andon_monitor.common.files import whole_file
from andon_monitor.common.process import Ending
from andon_monitor.image_files import signatures
from andon_monitor.image_files.decoding import SUFFIXES
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Inspection

UNKNOWN_SUFFIX = ".bin"
# A stale frame is skipped on purpose: nothing is wrong with it.
NOT_KEPT = ("stale",)


def needs_letter(inspection: Inspection) -> bool:
    """Whether the frame is kept for people to look at."""
    reason = inspection.verdict.reason
    return reason is not None and reason not in NOT_KEPT


class DeadLetterFolder:
    """For each uninspectable frame its original bytes, and next to them a JSON file: the verdict, the key, the headers.

    Both are named after the verdict's id, so a frame that is delivered again replaces its files. `on_written` is called
    with the reason of each. Raises OutputError where one cannot be written: the run ends, so that no frame is lost.
    """

    def __init__(self, folder: Path, on_written: Callable[[str], None] = lambda reason: None) -> None:
        self.folder = folder
        self._on_written = on_written

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Keep the frames that need it."""
        for inspection in inspections:
            if needs_letter(inspection):
                self._keep(inspection)
                self._on_written(inspection.verdict.reason or "")

    def close(self, ending: Ending) -> None:
        """Does nothing: every file is complete."""

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
    """The suffix of the file that a frame came from, otherwise of its image format; .bin where that is unknown."""
    suffix = PurePosixPath(frame.file or "").suffix.lower()
    return suffix if suffix in SUFFIXES else signatures.suffix_of(frame.data, UNKNOWN_SUFFIX)


def _text(data: bytes) -> str:
    """Bytes in base64: a key or header need not be text."""
    return base64.b64encode(data).decode("ascii")
