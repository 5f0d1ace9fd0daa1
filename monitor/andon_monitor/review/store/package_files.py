"""Evidence packages and thumbnails on disk, two files per frame."""

import time
from contextlib import suppress
from pathlib import Path

from andon_monitor.common.files import remove_quietly, write_whole

PACKAGE, THUMBNAIL = ".zip", ".jpg"
ID_LENGTH = 32
# A file of this age that the database does not know was left by a crash; a younger one may be about to get its row.
ORPHAN_SECONDS = 3600.0


class PackageFiles:
    """The folder `frames` of a store: frames/3f/3f0c...zip and .jpg. Ids are 32 hexadecimal digits, never others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, frame_id: str, package: bytes, thumbnail: bytes) -> None:
        """Keep both. Raises OutputError."""
        write_whole(self._path(frame_id, PACKAGE), package)
        write_whole(self._path(frame_id, THUMBNAIL), thumbnail)

    def read(self, frame_id: str, suffix: str) -> bytes | None:
        """`PACKAGE` or `THUMBNAIL` of a known frame, None if it is gone."""
        try:
            return self._path(frame_id, suffix).read_bytes()
        except OSError:
            return None

    def remove(self, frame_id: str) -> None:
        """Delete both, as far as that is possible."""
        for suffix in (PACKAGE, THUMBNAIL):
            remove_quietly(self._path(frame_id, suffix))

    def remove_orphans(self, known: set[str]) -> None:
        """Delete files of unknown frames that a crash has left."""
        for path in self.folder.glob("*/*"):
            with suppress(OSError):  # another process was faster
                if path.name[:ID_LENGTH] not in known and time.time() - path.stat().st_mtime > ORPHAN_SECONDS:
                    remove_quietly(path)

    def _path(self, frame_id: str, suffix: str) -> Path:
        return self.folder / frame_id[:2] / (frame_id + suffix)
