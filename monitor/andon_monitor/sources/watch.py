"""A folder that cameras write images to, by FTP or over a share: each new, complete image is a frame."""

import errno
import logging
import math
import os
import queue
import shutil
import stat
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from andon_monitor.common.system import is_being_written
from andon_monitor.errors import ImageError, UsageError
from andon_monitor.image_files.decoding import SUFFIXES
from andon_monitor.image_files.folders import SYSTEM_FOLDERS
from andon_monitor.image_files.reading import read_image_file
from andon_monitor.image_files.whole import looks_whole
from andon_monitor.inspection.frames import MAX_TIME, MIN_TIME, Frame, Position, Rejection
from andon_monitor.settings.groups import SourceSettings
from andon_monitor.sources.watch_state import WatchState, digest_of
from andon_monitor.telemetry.metrics import Metrics

SCHEME = "watch:"
STATE_FILE = ".andon-watch"
SCAN_SECONDS = 0.25  # between two looks at the folder
SCAN_SHARE = 4  # and at least so many times as long as a look takes: thousands of files on a slow share take long
READ_AHEAD = 8  # images
# An image that ends too early, or cannot be read, is waited for so many times as long as one that has all of its bytes.
PATIENCE = 20
REPEAT_LOG_SECONDS = 30.0
CLOSE_SECONDS = 5.0  # for the last verdicts to be noted; a share that hangs is not waited for any longer

log = logging.getLogger("andon")


@dataclass
class _Seen:
    """A file as it was found: its size and modification time, and since when these are so, by the monotonic clock."""

    size: int
    modified_ns: int
    since: float


@dataclass(frozen=True)
class _Image:
    """An image in hand."""

    path: Path
    inside: str  # its path inside the folder
    digest: str


class WatchedFolder:
    """The images that appear in a folder and its sub-folders, in the order of modification time, then of name.

    An image is complete once its size and modification time have stayed the same for `settle` seconds, nobody on this
    machine has it open for writing, and it does not end too early by its own marks. Hidden files and other endings are
    not read, so a writer may rename a file when it is whole. The sub-folder names the camera. After its verdict an
    image is noted, so that no later run reads it again, and kept, moved or deleted; one that was uninspectable is kept.

    A thread does all that touches the folder: a share that hangs does not block the monitor. A folder that is away is
    waited for; `metrics` shows it. Raises UsageError: no such folder, a state file that cannot be used.
    """

    live = True
    length: int | None = None
    damage: str | None = None
    passed_over: str | None = None

    def __init__(
        self, root: Path, settings: SourceSettings, camera: str | None = None, metrics: Metrics | None = None
    ) -> None:
        if not root.is_dir():
            raise UsageError(f"{SCHEME}{root}: no such folder")
        self.name = f"{SCHEME}{root}"
        self._root = root
        self._camera = camera or root.resolve().name or "camera"
        self._topic = root.resolve().name or "folder"
        self._metrics = metrics
        self._settle = settings.settle
        self._target = _target(settings.then, root)
        self._delete = settings.then == "delete"
        self._state = WatchState(settings.state_file or root / STATE_FILE)
        self._seen: dict[str, _Seen] = {}
        self._in_hand: dict[str, _Image] = {}  # by digest
        self._offset = self._state.count
        self._place: dict[Position, _Image] = {}
        self._frames: queue.Queue[Frame] = queue.Queue(READ_AHEAD)
        self._done: queue.SimpleQueue[tuple[_Image, bool]] = queue.SimpleQueue()  # and whether it was uninspectable
        self._closing = threading.Event()
        self._away_since: float | None = None
        self._logged = -math.inf
        if metrics is not None:
            metrics.source_up.set(1)
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether the folder is there."""
        return self._away_since is None

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """The next images that are complete."""
        frames: list[Frame] = []
        try:
            while len(frames) < capacity:
                frames.append(self._frames.get(timeout=0 if frames else timeout))
        except queue.Empty:
            pass
        return frames

    def acknowledge(self, frames: Sequence[Frame], uninspectable: Collection[Frame] = ()) -> None:
        """Note that these images have their verdict, and keep, move or delete them."""
        bad = {frame.position for frame in uninspectable}
        for frame in frames:
            self._done.put((self._place.pop(frame.position), frame.position in bad or frame.rejection is not None))

    def close(self) -> None:
        """Note the last verdicts and stop watching."""
        self._closing.set()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            log.warning("%s: does not answer; images with a verdict may get another one in the next run", self.name)

    def _watch(self) -> None:
        while not self._closing.is_set():
            began = time.monotonic()
            self._finish()
            try:
                self._scan()
            except OSError as error:
                self._away(error.strerror or str(error))
            except Exception:
                log.exception("%s: cannot be watched", self.name)
            self._closing.wait(max(SCAN_SECONDS, SCAN_SHARE * (time.monotonic() - began)))
        self._finish()
        with suppress(OSError):
            self._state.close()

    def _scan(self) -> None:
        """Hand over the images that are complete. Raises OSError where the folder is away."""
        self._root.stat()
        self._state.reach()
        complete, present, found = [], set(), set()
        now = time.monotonic()
        for inside, facts in _images(self._root):
            found.add(inside)
            digest = digest_of(os.fsencode(inside), facts.st_size, facts.st_mtime_ns)
            if digest in self._state:
                present.add(digest)
                self._seen.pop(inside, None)
                continue
            seen = self._seen.get(inside)
            if seen is None or (seen.size, seen.modified_ns) != (facts.st_size, facts.st_mtime_ns):
                self._seen[inside] = seen = _Seen(facts.st_size, facts.st_mtime_ns, now)
            if digest not in self._in_hand and now - seen.since >= self._settle:
                complete.append((facts.st_mtime_ns, os.fsencode(inside), inside, digest))
        self._back()
        for gone in self._seen.keys() - found:
            del self._seen[gone]
        self._state.compact(present)
        for modified_ns, _, inside, digest in sorted(complete):
            if self._closing.is_set():
                return
            image = _Image(self._root / inside, inside, digest)
            frame = self._read(image, modified_ns, self._seen[inside])
            if frame is not None:
                self._in_hand[digest] = image
                self._place[frame.position] = image
                self._hand_over(frame)

    def _read(self, image: _Image, modified_ns: int, seen: _Seen) -> Frame | None:
        """The frame of an image, None for one that is waited for. Raises OSError where the folder is away."""
        late = time.monotonic() - seen.since >= PATIENCE * self._settle
        data, rejection = b"", None
        try:
            if not late and is_being_written(image.path):
                return None
            data = read_image_file(image.path)
            if not late and not looks_whole(data):
                return None
        except ImageError as error:
            rejection = Rejection(error.reason, str(error))
        except FileNotFoundError:
            self._root.stat()
            return None  # somebody took it away
        except OSError as error:
            self._root.stat()
            if not late:
                return None
            rejection = Rejection("undecodable", f"a file that cannot be read ({error.strerror})")
        inside = Path(image.inside)
        captured_at = min(max(modified_ns // 1_000_000 / 1000, MIN_TIME), MAX_TIME)
        cluster = f"watch-{sha256(image.digest.encode()).hexdigest()[:16]}"
        position = Position.of(cluster, self._topic, 0, self._offset)
        self._offset += 1
        return Frame.of(
            data,
            position,
            _shown(inside.parts[0]) if len(inside.parts) > 1 else self._camera,
            captured_at,
            file=_shown(inside.as_posix()),
            rejection=rejection,
            time_source="file",
        )

    def _hand_over(self, frame: Frame) -> None:
        while not self._closing.is_set():
            try:
                self._frames.put(frame, timeout=SCAN_SECONDS)
            except queue.Full:
                self._finish()
            else:
                return

    def _finish(self) -> None:
        """Note the images that have their verdict; then move or delete them."""
        done = []
        with suppress(queue.Empty):
            while True:
                done.append(self._done.get_nowait())
        self._state.add(image.digest for image, _ in done)
        for image, uninspectable in done:
            self._in_hand.pop(image.digest, None)
            if uninspectable:
                log.warning("%s: uninspectable; the file is kept", _shown(str(image.path)))
                continue
            try:
                if self._target is not None:
                    _move(image.path, self._target / image.inside)
                elif self._delete:
                    image.path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s: cannot be moved or deleted (%s); kept", _shown(str(image.path)), error.strerror)

    def _away(self, why: str) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            if self._metrics is not None:
                self._metrics.source_up.set(0)
                self._metrics.source_outages.inc()
        if now - self._logged >= REPEAT_LOG_SECONDS:
            self._logged = now
            log.warning("%s: cannot be read (%s); trying again", self.name, why)

    def _back(self) -> None:
        if self._away_since is None:
            return
        log.info("%s: back after %.1f s", self.name, time.monotonic() - self._away_since)
        self._away_since, self._logged = None, -math.inf
        if self._metrics is not None:
            self._metrics.source_up.set(1)


def open_watched(uri: str, camera: str | None, settings: SourceSettings, metrics: Metrics | None) -> WatchedFolder:
    """Open watch:FOLDER. Raises UsageError."""
    path = uri.removeprefix(SCHEME)
    if not path:
        raise UsageError(f"{uri}: names no folder; right is {SCHEME}/data/images")
    return WatchedFolder(Path(path.removeprefix("//") if path.startswith("///") else path), settings, camera, metrics)


def _images(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The images in a folder: paths inside it, and their facts. Raises OSError for the folder itself."""
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(root / folder))
        except OSError:
            if not folder:
                raise
            continue  # a sub-folder that is gone, or not ours to read
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in SYSTEM_FOLDERS:
                continue
            inside = f"{folder}/{entry.name}" if folder else entry.name
            with suppress(OSError):  # gone since
                if entry.is_dir(follow_symlinks=False):
                    folders.append(inside)
                elif Path(entry.name).suffix.lower() in SUFFIXES:
                    facts = entry.stat()
                    if stat.S_ISREG(facts.st_mode):
                        yield inside, facts


def _target(then: str, root: Path) -> Path | None:
    """The folder that images are moved to, None where they are not. Raises UsageError."""
    if not then.startswith("move:"):
        return None
    target = Path(then.removeprefix("move:"))
    real = target.resolve()
    if real.is_relative_to(root.resolve()):
        raise UsageError(f"source.then: {then}: inside of the watched folder, where it would be read again")
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"source.then: {then}: cannot be written ({error.strerror})") from None
    return target


def _move(path: Path, target: Path) -> None:
    """Move a file, also to another file system; one that is there gets a number behind its name. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    free, number = target, 0
    while free.exists():
        number += 1
        free = target.with_name(f"{target.stem}-{number}{target.suffix}")
    try:
        path.rename(free)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = free.with_name(f".{free.name}.part")
        shutil.copy2(path, part)
        part.rename(free)
        path.unlink(missing_ok=True)


def _shown(name: str) -> str:
    """A name; of one that is not UTF-8 the bytes that are remain."""
    return name.encode(errors="surrogateescape").decode(errors="replace")
