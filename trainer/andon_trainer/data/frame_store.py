"""Frames of recordings, videos and topics, kept as encoded images while this program runs, on limited disk.

Their paths are those of the source with a name for each frame, such as line.mcap/000017.jpg; whatever reads image files
reads these, too. Their bytes are in a temporary file without a name: it is gone when the program ends, however it ends.
"""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from andon_monitor.common.files import cannot_write

# Frames of one label that are kept. Those of a recording are evenly spread over it: of more, every second one is kept,
# then every fourth, and so on. Training compares each image with each other one: 5,000 need 200 MB for that.
MAX_IMAGES = 5_000
MAX_BYTES = 4 * 2**30  # of all frames in a store


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where the bytes of a frame are, and the how manieth of its label it was."""

    label: str
    number: int
    offset: int
    size: int


class FrameStore:
    """The frames of one data set, from one source or several, by path.

    At most `max_images` of a label and `max_bytes` in all are kept.
    """

    def __init__(self, max_images: int = MAX_IMAGES, max_bytes: int = MAX_BYTES) -> None:
        self._file = tempfile.TemporaryFile(prefix="andon-")  # noqa: SIM115  # closed when nobody has a use for it
        self._max_images = max_images
        self._max_bytes = max_bytes
        self._entries: dict[Path, _Entry] = {}
        self._end = 0
        self._kept: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()  # frames that were added, by label
        self._every: dict[str, int] = {}

    def add(self, path: Path, label: str, data: bytes) -> bool:
        """Keep a frame, or leave it out where there are many of its label; whether it is kept for now.

        Raises OutputError (the disk is full).
        """
        number = self.seen[label]
        self.seen[label] += 1
        if number % self.every(label):
            return False
        try:
            self._file.seek(self._end)
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise cannot_write(f"{tempfile.gettempdir()} (TMPDIR names another folder)", error) from None
        self._entries[path] = _Entry(label, number, self._end, len(data))
        self._end += len(data)
        self._kept[label] += 1
        while self._kept[label] > self._max_images:
            self._thin(label)
        while self._end > self._max_bytes and max(self._kept.values()) > 1:
            self._thin(self._kept.most_common(1)[0][0])
        return path in self._entries

    def every(self, label: str) -> int:
        """Every how manieth frame of a label is kept: 1, 2, 4, ..."""
        return self._every.get(label, 1)

    def paths(self) -> dict[Path, str]:
        """The label of each frame that is kept, in the order in which they were added."""
        return {path: entry.label for path, entry in self._entries.items()}

    def read(self, path: Path) -> bytes | None:
        """The bytes of a frame, None where it is not kept."""
        entry = self._entries.get(path)
        if entry is None:
            return None
        self._file.seek(entry.offset)
        return self._file.read(entry.size)

    def _thin(self, label: str) -> None:
        """Keep every second frame of a label, and move all others to where there is room: always towards the start."""
        self._every[label] = 2 * self.every(label)
        entries, self._entries, self._end = self._entries, {}, 0
        for path, entry in entries.items():
            if entry.label == label and entry.number % self._every[label]:
                self._kept[label] -= 1
                continue
            if entry.offset != self._end:
                self._file.seek(entry.offset)
                data = self._file.read(entry.size)
                self._file.seek(self._end)
                self._file.write(data)
            self._entries[path] = _Entry(entry.label, entry.number, self._end, entry.size)
            self._end += entry.size
        self._file.truncate(self._end)


# The frames that were read last from each source, by its path.
_stores: dict[Path, FrameStore] = {}


def register(root: Path, store: FrameStore) -> None:
    """Let `read_frame` find the frames below `root`, in place of those that were read from there before."""
    _stores[root] = store


def read_frame(path: Path) -> bytes | None:
    """The bytes of a frame of a recording, video or topic that was opened; None for any other path."""
    store = next((_stores[parent] for parent in path.parents if parent in _stores), None) if _stores else None
    return None if store is None else store.read(path)
