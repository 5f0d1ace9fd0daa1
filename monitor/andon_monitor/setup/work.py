"""The processes of a set-up: each opens the source or runs a command, writes how it ended, and outlives the page."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from andon_monitor.collect.collector import CollectLimits, Collector, collect, remember_images
from andon_monitor.collect.image_folder import ImageFolder
from andon_monitor.collect.selection import Selection
from andon_monitor.common.files import write_whole
from andon_monitor.common.redaction import hide_addresses
from andon_monitor.draw.frame import draw_picture
from andon_monitor.errors import AndonError, ImageError, first_line
from andon_monitor.image_files.decoding import DecodingLimits
from andon_monitor.inspection.frames import Frame
from andon_monitor.kafka.any_source import open_any_source
from andon_monitor.review.background import limit_process, run_module
from andon_monitor.review.fits import IMAGES
from andon_monitor.settings.groups import Settings
from andon_monitor.settings.loading import load_settings
from andon_monitor.setup import jobs
from andon_monitor.setup.draft import FITTED, SOURCE
from andon_monitor.sources.base import Source
from andon_monitor.telemetry import logs

TRAINER, MONITOR = "andon_trainer", "andon_monitor"
SHOWN_SIDE = 960  # pixels of the live picture
SHOW_SECONDS = 0.5  # between two live pictures
UNSEEN_SECONDS = 60.0  # a look ends when nobody has asked for its picture for so long
GIVE_UP_SECONDS = 20.0  # on brokers that do not answer at the start
POLL_FRAMES = 16
MAX_BYTES = 10 * 10**9  # of collected images


def main() -> None:
    """`python -m andon_monitor.setup.work KIND FOLDER CORES LOCK ARGUMENTS...`."""
    kind, name, cores, lock, *arguments = sys.argv[1:]
    folder = Path(name)
    logs.start("info", "human")
    if kind not in ("look", "run"):  # somebody waits for a look; an inspection is what the others give way to
        limit_process(int(cores))
    try:
        result = _work(kind, folder, int(lock), arguments)
    except AndonError as error:
        result = jobs.Result(failure=hide_addresses(str(error)))
    except Exception as error:  # whatever it is, the page has to say it
        result = jobs.Result(failure=hide_addresses(f"{type(error).__name__}: {first_line(error)}"))
    sys.stdout.flush()
    jobs.write(folder / kind / jobs.RESULT, result.model_copy(update={"ended": time.time()}))
    os._exit(0)  # at once, which frees the lock: at this priority the interpreter's own end may take seconds


def _work(kind: str, folder: Path, lock: int, arguments: Sequence[str]) -> jobs.Result:
    if kind == "look":
        return _look(folder)
    if kind == "collect":
        return _collect(folder, int(arguments[0]), int(arguments[1]))
    if kind == "fit":
        ImageFolder(folder / IMAGES).close()  # its manifest names no image that was thrown out
        code = run_module(TRAINER, arguments, lock)
        missing = not (folder / FITTED).is_file()
        return jobs.Result(
            failure=f"andon-trainer fit ended with exit code {code}; the log says why" if code or missing else ""
        )
    code = run_module(MONITOR, arguments, lock)
    return jobs.Result(failure=f"andon-monitor run ended with exit code {code}; the log says why" if code else "")


class LiveView:
    """Writes what the source shows into the folder of a job, twice a second."""

    def __init__(self, folder: Path, limits: DecodingLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._frames = self._unreadable = 0
        self._shown_at = 0.0
        self._newest = ""  # the text that was given last

    def show(self, frames: Sequence[Frame], text: str = "") -> None:
        """Show the newest of these frames, if it is time. Raises OutputError."""
        self._frames += len(frames)
        self._newest = text
        if not frames or time.monotonic() - self._shown_at < SHOW_SECONDS:
            return
        self._shown_at = time.monotonic()
        frame, size = frames[-1], (0, 0)
        try:
            if frame.rejection is not None:
                raise ImageError(frame.rejection.reason, frame.rejection.detail)
            picture = draw_picture(frame.data, frame.camera, self._limits, SHOWN_SIDE)
            size = picture.size
            write_whole(self._folder / jobs.PICTURE, picture.jpeg)
        except ImageError as error:
            self._unreadable += 1
            text = text or f"the newest frame cannot be read: {error}"
        live = jobs.Live(
            frames=self._frames,
            unreadable=self._unreadable,
            camera=frame.camera,
            width=size[0],
            height=size[1],
            at=time.time(),
            text=text,
        )
        jobs.write(self._folder / jobs.LIVE, live)

    def end(self) -> None:
        """Leave the last text, as the picture may be older. Raises OutputError."""
        path = self._folder / jobs.LIVE
        if (live := jobs.read(jobs.Live, path)) is not None:
            jobs.write(path, live.model_copy(update={"frames": self._frames, "text": self._newest}))

    @property
    def is_watched(self) -> bool:
        """Whether somebody has asked for the picture lately."""
        try:
            return time.time() - (self._folder / jobs.SEEN).stat().st_mtime < UNSEEN_SECONDS
        except OSError:
            return False


def _open(folder: Path) -> tuple[Source, Settings, DecodingLimits]:
    settings = load_settings({}, folder / SOURCE)
    assert settings.source.uri is not None
    source = open_any_source(
        settings.source.uri,
        settings.source.camera,
        settings.kafka,
        source=settings.source,
        industrial=settings.camera,
        give_up_after=GIVE_UP_SECONDS,
    )
    return source, settings, DecodingLimits(settings.inspection.max_pixels, settings.inspection.max_decoding_bytes)


def _look(folder: Path) -> jobs.Result:
    source, _, limits = _open(folder)
    view = LiveView(folder / "look", limits)
    try:
        while view.is_watched:
            frames = source.poll(POLL_FRAMES if source.live else 1, SHOW_SECONDS)
            if frames is None:
                return jobs.Result(note="the source has ended")
            source.acknowledge(frames)
            view.show(frames)
            if not source.live:
                time.sleep(SHOW_SECONDS)
    finally:
        source.close()
    return jobs.Result(note="nobody looked at it")


def _collect(folder: Path, count: int, keep_free: int) -> jobs.Result:
    source, _, limits = _open(folder)
    try:
        images = ImageFolder(folder / IMAGES)
        selection = Selection(limits)
        remember_images(images, selection, limits)
    except BaseException:
        source.close()
        raise
    view = LiveView(folder / "collect", limits)

    def watch(collector: Collector, frames: Sequence[Frame]) -> None:
        view.show(frames, collector.describe())

    collect(source, images, selection, CollectLimits(count=count, size=MAX_BYTES, keep_free=keep_free), watch)
    view.end()
    return jobs.Result(note=f"{images.count} images")


if __name__ == "__main__":
    main()
