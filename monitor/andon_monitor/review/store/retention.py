"""What the store deletes so that it stays within its limits: old frames, and the oldest ones if there are too many."""

import shutil
import time
from itertools import accumulate
from pathlib import Path

from andon_monitor.review.store.database import Database
from andon_monitor.review.store.frame_table import FrameTable, forget_frame, trim_frames
from andon_monitor.review.store.package_files import PackageFiles
from andon_monitor.review.store.part_table import trim_parts
from andon_monitor.review.store.rows import FrameQuery
from andon_monitor.review.store.verdict_table import trim_verdicts
from andon_monitor.settings.groups import ReviewSettings

# Rows. A line of ten cameras at one frame a second for a shift of eight hours; a row has about 250 bytes.
MAX_VERDICTS = 300_000
MAX_PARTS = 100_000
MAX_FRAMES_WITHOUT_PICTURE = 1_000_000  # rows; frames with a label are not counted and stay
INTERVAL_SECONDS = 10.0  # between two checks of age and size
# Of `keep_bytes` for good frames without a label: where each camera shows one each second, they would push out defects.
GOOD_SHARE = 0.25
BATCH_FRAMES = 200  # deleted in one transaction, so that other processes need not wait long
DAY_SECONDS = 86_400


class Retention:
    """Keeps a store within `review.keep_days`, `keep_bytes` and `keep_free`. Raises OutputError."""

    def __init__(self, folder: Path, database: Database, files: PackageFiles, limits: ReviewSettings) -> None:
        self._folder = folder
        self._database = database
        self._frames = FrameTable(database)
        self._files = files
        self._limits = limits
        self._applied_at = 0.0

    def apply_if_due(self) -> None:
        """`apply` at most once in `INTERVAL_SECONDS`."""
        if time.monotonic() - self._applied_at > INTERVAL_SECONDS:
            self.apply()

    def apply(self, planned: int = 0) -> None:
        """Delete what is too old, and enough of the rest to write `planned` bytes.

        Frames without a label go first, then pictures of frames with one; labels stay.
        """
        self._applied_at = time.monotonic()
        too_old = time.time() - DAY_SECONDS * self._limits.keep_days
        self._delete(FrameQuery(labels=(None,), received_before=too_old))
        good = FrameQuery(kind="good", labels=(None,), with_picture=True)
        while (excess := self._frames.total_bytes("good") - GOOD_SHARE * self._limits.keep_bytes) > 0:
            if not self._delete(good, excess):
                break
        for query in (FrameQuery(labels=(None,), with_picture=True), FrameQuery(with_picture=True)):
            while (excess := self._excess(planned)) > 0 and self._delete(query, excess):
                pass
        with self._database.transaction() as connection:
            trim_verdicts(connection, MAX_VERDICTS)
            trim_parts(connection, MAX_PARTS)
            trim_frames(connection, MAX_FRAMES_WITHOUT_PICTURE)

    def make_room(self, planned: int) -> bool:
        """Whether `planned` bytes may be written, if need be after deleting older frames."""
        if self._excess(planned) > 0:
            self.apply(planned)
        return self._excess(planned) <= 0

    def _excess(self, planned: int) -> int:
        """Bytes to delete before `planned` may be written; 0 or less for none."""
        free = shutil.disk_usage(self._folder).free
        limits = self._limits
        return planned + max(self._frames.total_bytes() - limits.keep_bytes, limits.keep_free - free)

    def _delete(self, query: FrameQuery, enough: float | None = None) -> int:
        """Delete up to `BATCH_FRAMES` frames, the oldest first, or as many as have `enough` bytes. Returns how many."""
        found = self._frames.find(query, oldest_first=True, limit=BATCH_FRAMES)
        if enough is not None:
            sizes = accumulate(frame.bytes for frame in found)
            found = found[: 1 + sum(size < enough for size in sizes)]
        with self._database.transaction() as connection:
            for frame in found:
                forget_frame(connection, frame)
        for frame in found:
            self._files.remove(frame.id)
        return len(found)
