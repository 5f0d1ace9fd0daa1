"""The recordings that visitors may choose from: those of one folder, by their names."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from andon_monitor.errors import UsageError
from andon_monitor.formats.mcap_layout import SUFFIX
from andon_monitor.image_files.decoding import SUFFIXES
from andon_monitor.sources.uri import VIDEO_SUFFIXES

MAX_RECORDINGS = 200  # to choose from, the newest


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording and when it was changed last, in seconds since 1970."""

    name: str
    path: Path
    changed_at: float


def find_recordings(place: Path | None) -> list[Recording]:
    """The recordings in a folder, the newest first; of a recording, itself alone. None that cannot be read."""
    if place is None:
        return []
    try:
        alone = not place.is_dir() or _has_images(place)
        paths = [path for path in ([place] if alone else place.iterdir()) if _is_recording(path)]
    except OSError:
        return []
    found = sorted(_dated(paths), key=lambda recording: (-recording.changed_at, recording.name))
    return found[:MAX_RECORDINGS]


def choose_recording(place: Path | None, name: str) -> Recording:
    """The recording of a name. Raises UsageError."""
    for recording in find_recordings(place):
        if recording.name == name:
            return recording
    raise UsageError(f"recording {name[:60]!r} is not in review.recordings")


def _dated(paths: Iterable[Path]) -> Iterator[Recording]:
    for path in paths:
        try:
            yield Recording(path.name, path.absolute(), path.stat().st_mtime)
        except OSError:
            continue  # removed meanwhile


def _is_recording(path: Path) -> bool:
    """A recording or a video, or a folder of images or recordings, or of folders of them."""
    if path.name.startswith("."):
        return False
    if not path.is_dir():
        return path.suffix.lower() in (SUFFIX, *VIDEO_SUFFIXES) and path.is_file()
    return any(file.suffix.lower() in (SUFFIX, *SUFFIXES) for pattern in ("*", "*/*") for file in path.glob(pattern))


def _has_images(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())
