"""A folder of images as a source, with or without a manifest; and a single image."""

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path, PurePosixPath

from andon_monitor.errors import SourceError, UsageError
from andon_monitor.image_files.decoding import SUFFIXES
from andon_monitor.inspection.frames import Frame, Position, parse_time

MANIFEST = "manifest.jsonl"
GOOD = "good"  # a subfolder and a label


@dataclass(frozen=True, slots=True)
class Entry:
    """One image that is not read yet: its path inside the folder, and what is known about it."""

    file: str
    camera: str
    captured_at: float
    label: str | None = None


class FolderSource:
    """The images of a folder and its subfolders: in the order of the manifest, without one sorted by path.

    A line of `manifest.jsonl`: {"file": "frames/000000.jpg", "camera": "station-1",
    "captured_at": "2026-01-05T06:00:00.000Z", "label": "good"}. Only `file` is required; `label` is "good" or a kind of
    defect. Where a line does not say, or there is no manifest, the camera is `camera` or the folder's name, and the
    capture time is the file's modification time. Where a subfolder is called `good`, as in the data sets of the
    trainer, the names of the subfolders are the labels.

    The listing is read twice, first to check it, so that memory does not grow with its length. A hash of it is the
    cluster in the frames' positions, so that frames of another folder get other verdict ids.

    Raises UsageError: no images, a damaged line of the manifest, or one that names a missing file.
    """

    live = False
    ready = True
    damage: str | None = None  # a damaged manifest raises UsageError

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
        self._read_count = 0
        self._listing = self._entries()
        self._upcoming = enumerate(self._listing)

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """The next `capacity` images; None after the last. Raises SourceError where the folder has changed."""
        frames = [self._read(offset, entry) for offset, entry in islice(self._upcoming, capacity)]
        self._read_count += len(frames)
        if frames or capacity == 0:
            return frames
        if self._read_count != self.length:
            raise SourceError(
                f"{self.name}: changed while it was read: {self.length} images at the start, "
                f"{self._read_count} at the end"
            )
        return None

    def acknowledge(self, frames: Sequence[Frame]) -> None:
        """Does nothing: a folder is always read from its start."""

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
            raise UsageError(f'{place}: has no file; right is {{"file": "frames/000000.jpg", ...}}')
        file = fields["file"]
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts or "\0" in file:
            raise UsageError(f"{place}: file {file!r} is outside of the folder")
        path = self._root / file
        if not path.is_file():
            raise UsageError(f"{place}: file {file!r} does not exist")
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
    """A file's modification time in seconds since 1970, to the millisecond as capture times are. Raises SourceError."""
    try:
        return path.stat().st_mtime_ns // 1_000_000 / 1000
    except OSError as error:  # a broken link, or removed since it was listed
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from None
