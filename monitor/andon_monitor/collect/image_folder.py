"""The folder that collected images are written to: numbered files and a manifest, whole after any interruption."""

import json
import os
import re
from pathlib import Path
from typing import Any

from andon_monitor.common.files import cannot_write, replace_durably, write_whole
from andon_monitor.common.system import lock, open_to_lock
from andon_monitor.common.times import rfc3339
from andon_monitor.errors import UsageError
from andon_monitor.image_files.folders import PassedOver, walk_images
from andon_monitor.image_files.signatures import suffix_of
from andon_monitor.inspection.frames import Frame
from andon_monitor.sources.folder import MANIFEST, read_manifest

BATCH = re.compile(r"[^\W.][\w.+ -]{0,99}")  # a folder's name on every system, and no hidden one
UNFINISHED = re.compile(r"[0-9]{6,12}\.[a-z]+\.[0-9a-f]{8}\.part")  # what a crash leaves of a file
NUMBERED = re.compile(r"([0-9]{1,12})\.[a-z]+")


class ImageFolder:
    """Writes images as `000001.jpg`, ... into `root`, or into its subfolder `batch`, and a line each into the manifest.

    A file appears whole or not at all, and its line after it. Opened again, numbers go on, and the manifest is mended:
    a line that was cut short and those of deleted files are removed, images without a line get one. Only one process at
    a time writes into a folder. Raises UsageError and OutputError.
    """

    def __init__(self, root: Path, batch: str | None = None) -> None:
        if batch is not None and not BATCH.fullmatch(batch):
            raise UsageError(
                f"--batch: {batch!r} should be the name of a folder: letters, digits, and . _ + - or spaces"
            )
        self.root = root
        self._place = root if batch is None else root / batch
        self._manifest = root / MANIFEST
        if self._place.exists() and not self._place.is_dir():
            raise UsageError(f"{self._place}: a file; give a folder")
        try:
            self._place.mkdir(parents=True, exist_ok=True)
            self._lock = open_to_lock(root)  # the lock ends with the process
            lock(self._lock)
            self.images = list(walk_images(root, PassedOver()))
            self.size = sum(path.stat().st_size for path in self.images)
            names = [path.name for path in self._place.iterdir()]
            self._parts: set[str] = set()
            self._mend_manifest()
            # Without buffer: a line is written at once, or cut short by a full disk, which the next opening mends.
            self._lines = self._manifest.open("ab", buffering=0)
        except BlockingIOError:
            raise UsageError(
                f"{root}: another collect writes into this folder; stop it, or give another folder"
            ) from None
        except OSError as error:
            raise cannot_write(root, error) from None
        numbers = (int(match.group(1)) for name in names if (match := NUMBERED.fullmatch(name)))
        self._next = max(numbers, default=0) + 1
        self.count = sum(path.parent == self._place for path in self.images)  # in the batch
        self.written = 0  # now

    @property
    def parts(self) -> int:
        """The number of different parts, as far as they are known."""
        return len(self._parts)

    def add(self, frame: Frame, source: str) -> Path:
        """Write an image, as it came, and its line. Raises OutputError."""
        path = self._place / f"{self._next:06d}{suffix_of(frame.data, '.img')}"
        write_whole(path, frame.data)
        self._next += 1
        self.count += 1
        self.written += 1
        self.size += len(frame.data)
        fields: dict[str, Any] = {
            "file": path.relative_to(self.root).as_posix(),
            "camera": frame.camera,
            "captured_at": rfc3339(frame.captured_at),
            "source": source,
            "part": None if frame.part is None else frame.part.to_dict(),
        }
        known = {name: value for name, value in fields.items() if value is not None}
        try:
            self._lines.write(_line(known))
        except OSError as error:
            raise cannot_write(self._manifest, error) from None
        self._add_part(known)
        return path

    def close(self) -> None:
        """Put the manifest on disk."""
        if self._lines.closed:
            return
        os.fsync(self._lines.fileno())
        self._lines.close()
        os.close(self._lock)
        if not self.written and not self.images:  # nothing came: leave no empty manifest
            self._manifest.unlink(missing_ok=True)

    def _mend_manifest(self) -> None:
        """Make the manifest name the images that are there, and note their parts. Raises OSError, UsageError."""
        for name in self._place.iterdir():
            if UNFINISHED.fullmatch(name.name):
                name.unlink()
        content = self._manifest.read_bytes() if self._manifest.is_file() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            self._rewrite(whole)
        there = {path.relative_to(self.root).as_posix() for path in self.images}
        lines = []
        for _, fields in read_manifest(self._manifest) if whole else ():
            if fields["file"] in there:
                there.remove(fields["file"])
                lines.append(_line(fields))
                self._add_part(fields)
        lines += [_line({"file": name}) for name in sorted(there)]
        if b"".join(lines) != whole:
            self._rewrite(b"".join(lines))

    def _rewrite(self, content: bytes) -> None:
        part = self._manifest.with_name(f"{MANIFEST}.part")
        part.write_bytes(content)
        replace_durably(part, self._manifest)

    def _add_part(self, fields: dict[str, Any]) -> None:
        part = fields.get("part")
        if isinstance(part, dict) and part.get("id") is not None:
            self._parts.add(f"{part.get('product', '')}/{part['id']}")


def _line(fields: dict[str, Any]) -> bytes:
    """A line of the manifest. Names that are not UTF-8 are written as Python spells them, see `FolderSource`."""
    return json.dumps(fields).encode() + b"\n"
