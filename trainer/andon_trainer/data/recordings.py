"""Recordings, videos and topics as data sets: their frames with what labels and verdicts say of them."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from andon_monitor.common.redaction import show_address
from andon_monitor.errors import ImageError, UsageError
from andon_monitor.image_files.decoding import DEFAULT_LIMITS, decode_values, read_header
from andon_monitor.image_files.folders import PassedOver
from andon_monitor.image_files.signatures import suffix_of
from andon_monitor.kafka.address import is_kafka, parse_address
from andon_monitor.recording.frame_labels import read_labels
from andon_monitor.recording.labelled import DAMAGED, UNKNOWN, LabelledFrame, LabelledSource, read_verdicts
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.settings.loading import load_settings
from andon_monitor.sources.folder import GOOD
from andon_monitor.sources.recording import SUFFIXES, is_recording
from andon_monitor.sources.uri import VIDEO_SUFFIXES

from andon_trainer.data.frame_store import FrameStore, register
from andon_trainer.data.sample import Sample
from andon_trainer.progress import Progress

OTHER_CAMERA = "of other cameras"
REPEATED = "the same file as the frame before"
CAMERAS_NAMED = 5
TIME_BLOCKS, MIN_FRAMES_FOR_BLOCKS = 10, 100  # of one long recording


@dataclass(frozen=True)
class Frames:
    """The frames that were found: of good parts, and of known defects; `notes` are for people."""

    good: tuple[Sample, ...]
    defects: tuple[Sample, ...]
    notes: tuple[str, ...]


def is_stream(source: str) -> bool:
    """Whether a source is a recording, a video, a topic or a camera, and no folder or file of images."""
    return "://" in source or source.startswith("camera:") or is_recording(source) or _is_video(source)


def find_recordings(folder: Path) -> list[str]:
    """The recordings and videos in a folder and its subfolders, sorted by path. Raises OSError."""
    found = []
    for place, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [str(Path(place) / name) for name in files if not name.startswith(".")]
        found += [path for path in paths if path.lower().endswith(SUFFIXES) or _is_video(path)]
    return sorted(found)


def read_recordings(
    sources: Sequence[str],
    assume_good: bool,
    cameras: Sequence[str],
    progress: Progress,
    labels_file: Path | None = None,
) -> Frames:
    """Read recordings, videos and topics to their present end.

    A frame is good, or a kind of defect, as its label says, else good as its verdict says, else as `assume_good` says.
    `labels_file`: labels that count more, see `recording.frame_labels`. `cameras`: only frames of these. Raises
    UsageError (no such source, nothing that says which frames are good) and SourceError.
    """
    config = os.environ.get("ANDON_CONFIG")
    kafka = (
        load_settings({}, Path(config) if config else None).kafka if any(map(is_kafka, sources)) else KafkaSettings()
    )
    labels = {} if labels_file is None else read_labels(labels_file)
    verdicts = read_verdicts(sources)
    store = FrameStore()
    readings = []
    for source in sources:
        reading = _Reading(source, assume_good, frozenset(cameras), store)
        reading.read(LabelledSource(source, kafka, verdicts, labels), progress)
        readings.append(reading)
    samples = [sample for reading in readings for sample in reading.finish()]
    if len(readings) == 1:
        samples = _in_time_blocks(samples)
    if not samples:
        raise UsageError(readings[0].why_none())
    notes = [note for reading in readings for note in reading.notes()]
    for label, seen in sorted(store.seen.items()):
        if (every := store.every(label)) > 1:
            count = sum(sample.label == label for sample in samples)
            notes.append(f"every {every}th of {seen} {label} frames is used, {count} in all")
    if verdicts.unreadable:
        notes.append(f"{verdicts.unreadable} recorded verdicts are not ones that andon-monitor writes")
    good = tuple(sample for sample in samples if sample.label == GOOD)
    defects = tuple(sample for sample in samples if sample.label != GOOD)
    return Frames(good, defects, tuple(notes))


def _in_time_blocks(samples: list[Sample]) -> list[Sample]:
    """The frames of one long recording, each in one of TIME_BLOCKS batches, one after the other in time.

    Frames that follow one another are more alike than those of another hour: whole blocks are held out.
    """
    if len(samples) < MIN_FRAMES_FOR_BLOCKS:
        return samples
    return [
        replace(sample, batch=f"{sample.batch} block {1 + TIME_BLOCKS * index // len(samples)}")
        for index, sample in enumerate(samples)
    ]


class _Reading:
    """One source that is read into the store of all."""

    def __init__(self, source: str, assume_good: bool, cameras: frozenset[str], store: FrameStore) -> None:
        self._name = show_address(source)
        self._root = Path(f"kafka:{parse_address(source).topic}") if is_kafka(source) else Path(source)
        self._by_position = is_kafka(source)
        self._is_video = _is_video(source)  # its frames are encoded as they are read
        self._assume_good = assume_good
        self._wanted_cameras = cameras
        self._store = store
        self._labels: Counter[str] = Counter()  # of the frames that are used
        self._passed_over = PassedOver()
        self._cameras: Counter[str] = Counter()
        self._known_by: Counter[str] = Counter()  # frames of good parts
        self._parts: dict[Path, str] = {}
        self._to_check: dict[Path, str] = {}  # frames that nobody has decoded so far; by what they are known
        self._last: dict[str, bytes] = {}  # digest of each camera's latest frame
        self._damage: str | None = None

    def read(self, source: LabelledSource, progress: Progress) -> None:
        """Store the frames. Raises SourceError, OutputError."""
        for number, labelled in enumerate(source.frames()):
            self._take(self._root / self._frame_name(number, labelled), labelled)
            progress(f"reading {self._name}", (number + 1) / source.length if source.length else 0.0)
        self._damage = source.damage

    def finish(self) -> list[Sample]:
        """The frames that are kept once all sources were read."""
        register(self._root, self._store)
        samples = []
        for path, label in self._store.paths().items():
            if path.parent == self._root and not self._is_damaged(path, label):
                samples.append(Sample(path, label, part=self._parts.get(path), batch=self._name))
        self._labels.update(sample.label for sample in samples)
        return samples

    def _frame_name(self, number: int, labelled: LabelledFrame) -> str:
        place = labelled.frame.position
        event = "" if place.event is None else f"-{place.event}"
        name = f"{place.partition}-{place.offset}{event}" if self._by_position else f"{number:06d}"
        return name + suffix_of(labelled.frame.data, ".bin")

    def _take(self, path: Path, labelled: LabelledFrame) -> None:
        frame, label = labelled.frame, labelled.label
        if self._wanted_cameras and frame.camera not in self._wanted_cameras:
            self._passed_over.add(OTHER_CAMERA, frame.camera)
            return
        if labelled.left_out == UNKNOWN and self._assume_good:
            label = GOOD
        if label is None:
            self._passed_over.add(labelled.left_out or UNKNOWN, path.name)
            return
        try:
            read_header(frame.data)
        except ImageError:
            self._passed_over.add(DAMAGED, path.name)
            return
        digest = sha256(frame.data).digest()
        if self._last.get(frame.camera) == digest:
            self._passed_over.add(REPEATED, path.name)
            return
        self._last[frame.camera] = digest
        self._cameras[frame.camera] += 1
        known_by = labelled.known_by or "--assume-good"
        self._known_by[known_by] += label == GOOD
        if not self._store.add(path, label, frame.data):
            return
        if frame.part is not None and frame.part.id is not None:
            self._parts[path] = f"{frame.part.product or ''}/{frame.part.id}"
        if labelled.known_by != "verdict" and not self._is_video:
            self._to_check[path] = known_by

    def _is_damaged(self, path: Path, label: str) -> bool:
        """Whether a frame is damaged behind its header. What is too large is refused later, with its size."""
        data = self._store.read(path) if path in self._to_check else None
        if data is None:
            return False
        try:
            DEFAULT_LIMITS.check(read_header(data))
        except ImageError:
            return False
        try:
            decode_values(data)
        except ImageError:
            self._passed_over.add(DAMAGED, path.name)
            self._known_by[self._to_check[path]] -= label == GOOD
            return True
        return False

    def why_none(self) -> str:
        """Why no frame is used, on one line."""
        if set(self._passed_over.counts) == {UNKNOWN}:
            return (
                f"{self._name}: neither labels nor verdicts say which of its {self._passed_over.total} frames show "
                "good parts; give --assume-good if all do (in Python: open_dataset(..., assume_good=True))"
            )
        hint = "; --assume-good counts frames without a verdict as good" if UNKNOWN in self._passed_over.counts else ""
        damage = f"; {self._damage}" if self._damage else ""
        return f"{self._name}: no frames to use ({self._passed_over}){hint}{damage}"

    def notes(self) -> Iterator[str]:
        """What a person should know about the frames of this source."""
        if not self._labels:
            yield self.why_none()
            return
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self._labels.items()) if kind != GOOD)
        how = ", ".join(f"{count} by {known_by}" for known_by, count in sorted(self._known_by.items()) if count)
        left_out = f"; {self._passed_over}" if self._passed_over.total else ""
        good = f"{self._known_by.total()} frames of good parts ({how})" if how else "no frames of good parts"
        yield f"{self._name}: {good}{f', {kinds}' if kinds else ''}{left_out}"
        if self._damage is not None:
            yield self._damage
        if len(self._cameras) > 1:
            names = sorted(self._cameras)
            some = ", ".join(f"{name} ({self._cameras[name]})" for name in names[:CAMERAS_NAMED])
            more = ", ..." * (len(names) > CAMERAS_NAMED)
            yield f"{self._name}: frames of {len(names)} cameras: {some}{more}; --camera takes those of one"


def _is_video(path: str) -> bool:
    return path.lower().endswith(VIDEO_SUFFIXES)


def _raise(error: OSError) -> None:
    raise error
