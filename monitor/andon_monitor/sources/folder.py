"""A folder of images as a source, with or without a manifest; and a single image."""

import json
import logging
import os
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from andon_monitor.errors import ImageError, SourceError, UsageError
from andon_monitor.image_files.decoding import SUFFIXES
from andon_monitor.image_files.folders import UNREADABLE, PassedOver, walk_images
from andon_monitor.image_files.reading import read_image_file
from andon_monitor.inspection.frames import MAX_TIME, MIN_TIME, Frame, Position, Rejection, parse_time

MANIFEST = "manifest.jsonl"
GOOD = "good"  # a subfolder and a label
MAX_LINE_BYTES = 2**20  # of a manifest
MAX_SHOWN = 60  # characters of a wrong value in an error message

log = logging.getLogger("andon")


@dataclass(frozen=True, slots=True)
class Entry:
    """One image that is not read yet: its path inside the folder, and what is known about it."""

    file: str
    camera: str
    captured_at: float
    label: str | None = None
    part: object = field(default=None, repr=False)


class FolderSource:
    """The images of a folder and its subfolders: in the order of the manifest, without one sorted by path.

    Which files are images: see `andon_monitor.image_files.folders`. What is passed over is logged.

    A line of `manifest.jsonl`: {"file": "frames/000000.jpg", "camera": "station-1",
    "captured_at": "2026-01-05T06:00:00.000Z", "label": "good", "part": {"id": "4711", "product": "cover"}}. Only `file`
    is required; `label` is "good" or a kind of defect, `part` as in verdicts, or the id alone. Where a line does not
    say, or there is no manifest, the camera is `camera` or the folder's name, and the capture time is the file's
    modification time. Where a subfolder is called `good`, as in the data sets of the trainer, the names of the
    subfolders are the labels.

    The listing is read twice, first to check it, so that memory does not grow with its length. A hash of it is the
    cluster in the frames' positions, so that frames of another folder get other verdict ids.

    Raises UsageError: no images, a damaged line of the manifest, or one that names a missing file.
    """

    live = False
    ready = True

    def __init__(self, root: Path, camera: str | None = None) -> None:
        self.name = str(root)
        self._root = root
        self._camera = camera or root.resolve().name or "camera"
        self._manifest = root / MANIFEST
        self._labelled = (root / GOOD).is_dir()
        self._passed_over = PassedOver()
        self._unreadable = PassedOver()
        digest, count = sha256(), 0
        for entry in self._entries():
            part = "" if entry.part is None else json.dumps(entry.part)
            digest.update(f"{entry}{part}\n".encode(errors="surrogateescape"))
            count += 1
        if count == 0:
            known = ", ".join(suffix[1:] for suffix in SUFFIXES)
            entries = f" ({self._passed_over})" if self._passed_over.total else ""
            raise UsageError(f"{root}: no images in it{entries}; known formats: {known}")
        self._cluster = f"folder-{digest.hexdigest()[:16]}"
        self._topic = root.resolve().name or "folder"
        self.length: int | None = count
        if self.passed_over is not None:
            log.warning("%s: %s", root, self.passed_over)
        self._read_count = 0
        self._listing = self._entries()
        self._upcoming = enumerate(self._listing)

    @property
    def damage(self) -> str | None:
        """See `Source.damage`: files that cannot be read. A damaged manifest raises UsageError."""
        return f"{self.name}: of its files {self._unreadable.reasons}" if self._unreadable.total else None

    @property
    def passed_over(self) -> str | None:
        """See `Source.passed_over`. A manifest names the images itself."""
        return str(self._passed_over) if self._passed_over.total else None

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

    def acknowledge(self, frames: Sequence[Frame], uninspectable: Collection[Frame] = ()) -> None:
        """Does nothing: a folder is always read from its start."""

    def close(self) -> None:
        """Close the manifest."""
        self._listing.close()

    def _read(self, offset: int, entry: Entry) -> Frame:
        path = self._root / entry.file
        data, rejection = b"", None
        try:
            data = read_image_file(path)
        except ImageError as error:
            rejection = Rejection(error.reason, str(error))
        except FileNotFoundError as error:  # removed since it was listed
            raise SourceError(f"{path}: cannot be read ({error.strerror})") from None
        except OSError as error:  # of one file, such as one of another user; the others are inspected
            self._unreadable.add(UNREADABLE, entry.file)
            rejection = Rejection("undecodable", f"a file that cannot be read ({error.strerror})")
        return Frame.of(
            data,
            Position.of(self._cluster, self._topic, 0, offset),
            entry.camera,
            entry.captured_at,
            label=entry.label,
            # Of a name that is not UTF-8 the bytes that are remain.
            file=entry.file.encode(errors="surrogateescape").decode(errors="replace"),
            rejection=rejection,
            part=entry.part,
        )

    def _entries(self) -> Generator[Entry, None, None]:
        return self._listed() if self._manifest.is_file() else self._found()

    def _found(self) -> Generator[Entry, None, None]:
        passed_over = PassedOver()
        try:
            for path in walk_images(self._root, passed_over):
                inside = path.relative_to(self._root)
                label = inside.parts[0] if self._labelled and len(inside.parts) > 1 else None
                yield Entry(inside.as_posix(), self._camera, _modified_at(path), label)
        except OSError as error:
            raise UsageError(f"{self._root}: cannot be read ({error.strerror})") from None
        self._passed_over = passed_over

    def _listed(self) -> Generator[Entry, None, None]:
        for place, fields in read_manifest(self._manifest):
            yield self._parse(place, fields)

    def _parse(self, place: str, fields: dict[str, Any]) -> Entry:
        file = fields["file"]
        shown = f"file {file[:MAX_SHOWN]!r}"
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts or "\0" in file:
            raise UsageError(f"{place}: {shown} is outside of the folder")
        path = self._root / file
        try:
            # Names that are not UTF-8 are written into JSON as Python spells them; other single surrogates are no name.
            os.fsencode(file)
            is_file = path.is_file()
        except (OSError, UnicodeEncodeError):  # such as a name that is too long
            is_file = False
        if not is_file:
            raise UsageError(f"{place}: {shown} does not exist")
        for key in ("camera", "label"):
            if not isinstance(fields.get(key, ""), str | None) or fields.get(key) == "":
                raise UsageError(f"{place}: {key} {_shown(fields[key])} is not a name")
        try:
            captured_at = parse_time(fields["captured_at"]) if "captured_at" in fields else _modified_at(path)
        except (ValueError, TypeError):
            raise UsageError(
                f"{place}: captured_at {_shown(fields['captured_at'])} is not a time; right is 2026-01-05T06:00:00.000Z"
            ) from None
        return Entry(file, fields.get("camera") or self._camera, captured_at, fields.get("label"), fields.get("part"))


class ImageSource(FolderSource):
    """One image file."""

    def __init__(self, path: Path, camera: str | None = None) -> None:
        self._path = path
        super().__init__(path.parent, camera)
        self.name = str(path)

    def _entries(self) -> Generator[Entry, None, None]:
        self._passed_over = PassedOver()
        yield Entry(self._path.name, self._camera, _modified_at(self._path))


def read_manifest(path: Path) -> Generator[tuple[str, dict[str, Any]], None, None]:
    """The lines of a manifest: where each stands, for messages, and its fields, of which `file` is a text.

    Raises UsageError: it cannot be read, or a line is not JSON or has no file.
    """
    try:
        with path.open("rb") as lines:
            read_line = partial(lines.readline, MAX_LINE_BYTES + 1)
            for number, line in enumerate(iter(read_line, b""), start=1):
                place = f"{path} line {number}"
                if len(line) > MAX_LINE_BYTES:
                    raise UsageError(f"{place}: longer than {MAX_LINE_BYTES} bytes")
                if line.strip():
                    yield place, _fields(line, place)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None


def _fields(line: bytes, place: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError(f"{place}: not a line of JSON: {line[:60].decode(errors='replace').strip()}") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("file"), str):
        raise UsageError(f'{place}: has no file; right is {{"file": "frames/000000.jpg", ...}}')
    return fields


def _modified_at(path: Path) -> float:
    """A file's modification time in seconds since 1970, to the millisecond as capture times are. Raises SourceError.

    Times outside of 1970 to 9999, which file systems allow, become the nearest.
    """
    try:
        seconds = path.stat().st_mtime_ns // 1_000_000 / 1000
    except OSError as error:  # removed since it was listed
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from None
    return min(max(seconds, MIN_TIME), MAX_TIME)


def _shown(value: object) -> str:
    return ascii(value)[:MAX_SHOWN]
