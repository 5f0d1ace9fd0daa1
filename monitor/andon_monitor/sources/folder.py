"""A folder of images as a recording, with or without a manifest; one image as the smallest recording."""

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path, PurePosixPath

from andon_monitor.errors import SourceError, UsageError
from andon_monitor.inspection.frames import Frame, Position, parse_time
from andon_monitor.model.imaging import SUFFIXES

MANIFEST = "manifest.jsonl"
GOOD = "good"


@dataclass(frozen=True, slots=True)
class Entry:
    """One frame of a recording, not yet read: its path inside the folder and what is known about it."""

    file: str
    camera: str
    captured_at: float
    label: str | None = None


class FolderSource:
    """The images of a folder, as the manifest orders them, else sorted by path, folders within folders included.

    A line of `manifest.jsonl`: {"file": "frames/000000.jpg", "camera": "station-1",
    "captured_at": "2026-01-05T06:00:00.000Z", "label": "good"}; only `file` must be there, `label` is "good" or a kind
    of defect. Without a manifest, or where a line does not say, the camera is the given one or the folder's name and
    the capture time is the file's time of modification. Where a subfolder is called `good`, as in the data sets that
    the trainer reads, the subfolders' names are the labels.

    The listing is read twice, to check it and to follow it, so that memory does not grow with its length. A hash over
    it names the recording in its frames' positions: another recording's frames get other verdict ids.

    Raises UsageError: no images, a line of the manifest that is damaged or names a file that is not there.
    """

    live = False
    ready = True
    damage: str | None = None  # a damaged manifest is refused when it is opened

    def __init__(self, root: Path, camera: str | None = None) -> None:
        self.name = str(root)
        self._root = root
        self._camera = camera or root.resolve().name or "camera"
        self._manifest = root / MANIFEST
        self._labelled = (root / GOOD).is_dir()
        digest, count = sha256(), 0
        for entry in self._entries():
            digest.update(f"{entry}\n".encode(errors="surrogateescape"))
            count += 1
        if count == 0:
            known = ", ".join(suffix[1:] for suffix in SUFFIXES)
            raise UsageError(f"{root}: no images in it; known formats: {known}")
        self._cluster = f"folder-{digest.hexdigest()[:16]}"
        self._topic = root.resolve().name or "folder"
        self.length: int | None = count
        self._given = 0
        self._listing = self._entries()
        self._upcoming = enumerate(self._listing)

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """The next `capacity` images; None after the last. Raises SourceError where the folder has changed."""
        frames = [self._read(offset, entry) for offset, entry in islice(self._upcoming, capacity)]
        self._given += len(frames)
        if frames or capacity == 0:
            return frames
        if self._given != self.length:
            raise SourceError(
                f"{self.name}: changed while it was read: {self.length} images at the start, {self._given} at the end"
            )
        return None

    def acknowledge(self, frames: Sequence[Frame]) -> None:
        """Nothing to note: a folder is always read from its beginning."""

    def close(self) -> None:
        """Close the manifest."""
        self._listing.close()

    def _read(self, offset: int, entry: Entry) -> Frame:
        try:
            data = (self._root / entry.file).read_bytes()
        except OSError as error:
            raise SourceError(f"{self._root / entry.file}: cannot be read ({error.strerror})") from None
        return Frame(
            camera=entry.camera,
            captured_at=entry.captured_at,
            data=data,
            position=Position(self._cluster, self._topic, 0, offset),
            label=entry.label,
            # A name that is not UTF-8 must not break the verdict's JSON.
            file=entry.file.encode(errors="surrogateescape").decode(errors="replace"),
        )

    def _entries(self) -> Generator[Entry, None, None]:
        return self._listed() if self._manifest.is_file() else self._found(self._root)

    def _found(self, folder: Path) -> Generator[Entry, None, None]:
        try:
            paths = sorted(folder.iterdir())
        except OSError as error:
            raise UsageError(f"{folder}: cannot be read ({error.strerror})") from None
        for path in paths:
            if path.is_dir():
                yield from self._found(path)
            elif path.suffix.lower() in SUFFIXES:
                inside = path.relative_to(self._root)
                label = inside.parts[0] if self._labelled and len(inside.parts) > 1 else None
                yield Entry(inside.as_posix(), self._camera, _modified_at(path), label)

    def _listed(self) -> Generator[Entry, None, None]:
        try:
            with self._manifest.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        yield self._parse(line, f"{self._manifest} line {number}")
        except OSError as error:
            raise UsageError(f"{self._manifest}: cannot be read ({error.strerror})") from None

    def _parse(self, line: bytes, place: str) -> Entry:
        try:
            fields = json.loads(line)
        except ValueError:
            raise UsageError(f"{place}: not a line of JSON: {line[:60].decode(errors='replace').strip()}") from None
        if not isinstance(fields, dict) or not isinstance(fields.get("file"), str):
            raise UsageError(f'{place}: names no file; right is {{"file": "frames/000000.jpg", ...}}')
        file = fields["file"]
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts or "\0" in file:
            raise UsageError(f"{place}: file {file!r} is outside the folder")
        path = self._root / file
        if not path.is_file():
            raise UsageError(f"{place}: file {file!r} is not there")
        for key in ("camera", "label"):
            if not isinstance(fields.get(key, ""), str | None) or fields.get(key) == "":
                raise UsageError(f"{place}: {key} {fields[key]!r} is not a name")
        try:
            captured_at = parse_time(fields["captured_at"]) if "captured_at" in fields else _modified_at(path)
        except (ValueError, TypeError):
            raise UsageError(
                f"{place}: captured_at {fields['captured_at']!r} is not a time; right is 2026-01-05T06:00:00.000Z"
            ) from None
        return Entry(file, fields.get("camera") or self._camera, captured_at, fields.get("label"))


class ImageSource(FolderSource):
    """One image file."""

    def __init__(self, path: Path, camera: str | None = None) -> None:
        self._path = path
        super().__init__(path.parent, camera)
        self.name = str(path)

    def _entries(self) -> Generator[Entry, None, None]:
        yield Entry(self._path.name, self._camera, _modified_at(self._path))


def _modified_at(path: Path) -> float:
    """A file's time of modification in seconds, to the millisecond, as capture times are kept. Raises SourceError."""
    try:
        return path.stat().st_mtime_ns // 1_000_000 / 1000
    except OSError as error:  # a dangling link, or removed since it was listed
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from None
