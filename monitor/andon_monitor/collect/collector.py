"""`andon-monitor collect`: frames of any source into a folder of training images, until there are enough."""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from andon_monitor.collect.image_folder import ImageFolder
from andon_monitor.collect.picture import Thumbnail, measure
from andon_monitor.collect.selection import MOVING, REASONS, Selection
from andon_monitor.common.process import stopped_by_signals
from andon_monitor.common.progress import ProgressLine
from andon_monitor.common.units import describe_size
from andon_monitor.errors import ImageError, OutputError, SourceError, UsageError
from andon_monitor.image_files.decoding import DecodingLimits
from andon_monitor.image_files.folders import PassedOver, walk_images
from andon_monitor.image_files.reading import read_image_file
from andon_monitor.inspection.frames import Frame
from andon_monitor.sources.base import Source

POLL_FRAMES = 16
POLL_SECONDS = 0.2
DISK_CHECK_SECONDS = 0.5
FIRST = "first"  # --empty first: the first frame shows the empty station

log = logging.getLogger("andon")


@dataclass(frozen=True)
class CollectLimits:
    """When to stop: at so many images in the batch, bytes in the folder, seconds, or less than `keep_free` bytes free.

    `enough`: where fewer than this share of the last 100 views were new. None: no such limit.
    """

    count: int
    size: int
    keep_free: int
    seconds: float | None = None
    enough: float | None = None


Watch = Callable[["Collector", Sequence[Frame]], None]


class Collector:
    """Keeps frames until the source ends, a limit is reached or `stop` is called.

    `watch` is called with all frames that came, kept or not.
    """

    def __init__(
        self,
        source: Source,
        folder: ImageFolder,
        selection: Selection,
        limits: CollectLimits,
        watch: Watch | None = None,
    ) -> None:
        self._source = source
        self._folder = folder
        self._selection = selection
        self._limits = limits
        self._watch = watch
        self._line = ProgressLine()
        self._disk_checked_at = 0.0
        self._free = 0
        self.stopped = False

    def stop(self) -> None:
        """End after the current frame."""
        self.stopped = True

    def run(self) -> str:
        """Collect; says why it ended. Raises SourceError, OutputError."""
        began = time.monotonic()
        try:
            while (why := self._enough(began)) is None:
                frames = self._source.poll(POLL_FRAMES, POLL_SECONDS)
                if frames is None:
                    return "the source has ended"
                for frame in frames:
                    if self._enough(began) is None and self._selection.judge(frame) is None:
                        self._folder.add(frame, self._source.name)
                self._source.acknowledge(frames)
                if self._watch is not None:
                    self._watch(self, frames)
                if self._line.due:
                    self._line.write(self.describe())
            return why
        finally:
            self._folder.close()
            self._line.write(self.describe(), last=True)

    def describe(self) -> str:
        """How far it is, on one line."""
        folder, selection = self._folder, self._selection
        parts = f" of {folder.parts} parts" if folder.parts else ""
        share = selection.new_share
        coverage = "" if share is None else f"; of the next 100 views about {100 * share:.0f} would be new"
        free = f", {describe_size(self._free)} free" if self._free else ""
        return (
            f"{folder.count} {'image' if folder.count == 1 else 'images'}{parts}, {folder.written} of them now; "
            f"{selection.frames} {'frame' if selection.frames == 1 else 'frames'} seen"
            f"{_left_out(selection)}{coverage}; {describe_size(folder.size)}{free}"
        )

    def _enough(self, began: float) -> str | None:
        """Why it is to end now, None where it goes on."""
        limits, folder, share = self._limits, self._folder, self._selection.new_share
        if self.stopped:
            return "stopped"
        if folder.count >= limits.count:
            return "--count 1 image is there" if limits.count == 1 else f"--count {limits.count} images are there"
        if folder.size >= limits.size:
            return f"--size {describe_size(limits.size)} is reached"
        if limits.seconds is not None and time.monotonic() - began >= limits.seconds:
            return "--duration is over"
        if limits.enough is not None and share is not None and share < limits.enough:
            return f"only {100 * share:.0f} of the last 100 views were new"
        now = time.monotonic()
        if now - self._disk_checked_at >= DISK_CHECK_SECONDS:
            self._disk_checked_at = now
            self._free = shutil.disk_usage(folder.root).free
            if self._free < limits.keep_free:
                raise OutputError(
                    f"{folder.root}: {describe_size(self._free)} free, less than --keep-free "
                    f"{describe_size(limits.keep_free)}; stopped, {folder.count} images are there"
                )
        return None


def _left_out(selection: Selection) -> str:
    counts = ", ".join(f"{selection.counts[why]} {why}" for why in REASONS if selection.counts[why])
    return f" ({counts})" if counts else ""


def collect(
    source: Source, folder: ImageFolder, selection: Selection, limits: CollectLimits, watch: Watch | None = None
) -> None:
    """Collect until there is enough, the source ends or a signal comes, and say why; closes the source.

    Raises UsageError, OutputError, and SourceError where the source is damaged: what could be read is in the folder.
    """
    try:
        collector = Collector(source, folder, selection, limits, watch)
        with stopped_by_signals(collector.stop):
            why = collector.run()
    finally:
        source.close()
        folder.close()
    log.info("%s: %s", folder.root, why)
    if not folder.written and not folder.images and not collector.stopped:
        hint = "; where parts never stand still, give --keep moving" if selection.counts[MOVING] else ""
        damage = f"; {source.damage}" if source.damage else ""
        raise OutputError(
            f"{folder.root}: no image was kept of {selection.frames} frames{_left_out(selection)}{hint}{damage}"
        )
    if source.damage is not None:
        raise SourceError(source.damage)


def remember_images(folder: ImageFolder, selection: Selection, limits: DecodingLimits) -> None:
    """Tell the selection which images are in the folder already, so that nothing near to them is kept."""
    line = ProgressLine()
    for number, path in enumerate(folder.images, start=1):
        try:
            selection.remember(measure(read_image_file(path), limits).thumbnail)
        except (ImageError, OSError) as error:
            log.warning("%s: not an image that can be read (%s)", path, error)
        if line.due:
            line.write(f"{number} of {len(folder.images)} images in {folder.root} looked at")


def empty_pictures(empty: Path, limits: DecodingLimits) -> list[Thumbnail]:
    """The thumbnails of pictures of the empty station: a file, or a folder of them. Raises UsageError."""
    try:
        paths = list(walk_images(empty, PassedOver())) if empty.is_dir() else [empty]
    except OSError as error:
        raise UsageError(f"--empty: {empty}: cannot be read ({error.strerror})") from None
    if not paths:
        raise UsageError(f"--empty: {empty}: no images in it")
    found = []
    for path in paths:
        try:
            found.append(measure(read_image_file(path), limits).thumbnail)
        except ImageError as error:
            raise UsageError(f"--empty: {path}: {error}") from None
        except OSError as error:
            raise UsageError(
                f"--empty: {path}: cannot be read ({error.strerror}); right is a picture of the empty station, a "
                f"folder of them, or {FIRST}"
            ) from None
    return found
