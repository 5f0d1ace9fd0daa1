"""Both sides judge every frame of a recording, and what changes is counted."""

import heapq
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from andon_monitor.common.cores import available_cores
from andon_monitor.compare.results import (
    FALSE_ALARM_GONE,
    NEW_FALSE_ALARM,
    NEWLY_CAUGHT,
    NEWLY_MISSED,
    NOT_INSPECTED,
    NOW_DEFECT,
    NOW_GOOD,
    NOW_INSPECTED,
    Change,
    Comparison,
    Example,
    SideResult,
)
from andon_monitor.compare.sides import Judgement, RecordedSide, ScoringSide, Side
from andon_monitor.inspection.frames import Frame, Verdict
from andon_monitor.inspection.inspector import Inspector, Prepared
from andon_monitor.model.file import Model
from andon_monitor.model.imaging import Pixels
from andon_monitor.recording.frame_labels import label_of
from andon_monitor.recording.places import Place
from andon_monitor.sinks.summary import GOOD
from andon_monitor.sources.base import Source

BATCH_FRAMES = 16
MAX_LISTED = 10_000  # changed frames in the list; all are counted
MAX_EXAMPLES = 12  # frames shown for each kind of change
TIMED_FRAMES = 40  # scored one by one to measure latency

Sample = tuple[Model, Pixels]  # to time a model with


def compare(source: Source, after: Side, before: Side | None, labels: Mapping[Place | str, str]) -> Comparison:
    """Judge every frame by both sides. A model that is on both sides scores each frame once. Raises SourceError."""
    result = Comparison(
        source.name,
        SideResult(after.name, after.threshold, after.sha256),
        None if before is None else SideResult(before.name, before.threshold, before.sha256),
    )
    started = time.monotonic()
    models = {_key(side): side for side in (after, before) if isinstance(side, ScoringSide)}
    samples: dict[str, list[Sample]] = {key: [] for key in models}
    for frames, verdicts in _inspect(source, models, samples):
        for i, frame in enumerate(frames):
            new, old = (_judge(side, frame, verdicts, i) for side in (after, before))
            _count(result, frame, label_of(frame, labels), new, old)
    result.seconds = time.monotonic() - started
    for side, tally in ((after, result.after), (before, result.before)):
        if isinstance(side, ScoringSide) and tally is not None:
            tally.milliseconds = _latency(samples[_key(side)])
    return result


def _inspect(
    source: Source, models: Mapping[str, ScoringSide], samples: dict[str, list[Sample]]
) -> Iterator[tuple[list[Frame], dict[str, list[Verdict]]]]:
    """Frames in batches, and each model's verdicts on them; `samples` collects pixels to time the model with."""
    with ThreadPoolExecutor(available_cores(), "decode") as decoders:
        while (frames := source.poll(BATCH_FRAMES, 0.1)) is not None:
            if not frames:
                continue
            verdicts = {}
            for key, side in models.items():
                found = [side.find(frame) for frame in frames]
                prepared = list(decoders.map(_prepare, found, frames))
                verdicts[key] = _verdicts(found, prepared)
                some = [
                    (one.model, item.pixels)
                    for one, item in zip(found, prepared, strict=True)
                    if isinstance(one, Inspector) and item.pixels is not None
                ]
                samples[key] += some[: TIMED_FRAMES - len(samples[key])]
            yield frames, verdicts


def _key(side: ScoringSide) -> str:
    """What sides with the same verdicts have in common."""
    return side.sha256 or side.name


def _prepare(found: Inspector | Verdict, frame: Frame) -> Prepared:
    return found.prepare(frame) if isinstance(found, Inspector) else Prepared(frame)


def _verdicts(found: Sequence[Inspector | Verdict], prepared: Sequence[Prepared]) -> list[Verdict]:
    """Verdicts in the order of the frames; those of one inspector are inspected together."""
    verdicts = {i: one for i, one in enumerate(found) if isinstance(one, Verdict)}
    for inspector in dict.fromkeys(one for one in found if isinstance(one, Inspector)):
        mine = [i for i, one in enumerate(found) if one is inspector]
        verdicts |= zip(mine, inspector.inspect([prepared[i] for i in mine]), strict=True)
    return [verdicts[i] for i in range(len(found))]


def _judge(side: Side | None, frame: Frame, verdicts: Mapping[str, list[Verdict]], i: int) -> Judgement | None:
    """What a side says about the `i`-th frame of a batch; None if it says nothing."""
    if side is None:
        return None
    return side.judge(frame) if isinstance(side, RecordedSide) else side.judge(verdicts[_key(side)][i])


def _count(
    result: Comparison, frame: Frame, label: str | None, after: Judgement | None, before: Judgement | None
) -> None:
    if after is None or (result.before is not None and before is None):
        result.unmatched += 1
        return
    result.frames += 1
    result.labelled += label is not None
    product = result.product(frame)
    for side in (result.after, product.after):
        side.add(after, label)
    if result.before is None or product.before is None or before is None:
        return
    for side in (result.before, product.before):
        side.add(before, label)
    if after.outcome == before.outcome:
        return
    product.changed += 1
    kind = _kind(before, after, label)
    place = frame.position
    change = Change(
        kind,
        frame.camera,
        frame.captured_at,
        place.topic,
        place.partition,
        place.offset,
        place.event,
        frame.file,
        label,
        before,
        after,
        frame.part,
    )
    result.counts[kind] += 1
    if len(result.changes) < MAX_LISTED:
        result.changes.append(change)
    shown = result.examples.setdefault(kind, [])
    example = Example(_clearness(before, after), -result.frames, change, frame)
    if len(shown) < MAX_EXAMPLES:
        heapq.heappush(shown, example)
    else:
        heapq.heappushpop(shown, example)


def _clearness(before: Judgement, after: Judgement) -> float:
    """How far the score moves relative to its threshold; 0 if that cannot be said."""
    old, new = before.ratio or 0.0, after.ratio or 0.0
    return abs(math.log(new / old)) if old > 0 and new > 0 else 0.0


def _kind(before: Judgement, after: Judgement, label: str | None) -> str:
    if after.outcome == "uninspectable":
        return NOT_INSPECTED
    if before.outcome == "uninspectable":
        return NOW_INSPECTED
    flagged = after.outcome == "defect"
    if label is None:
        return NOW_DEFECT if flagged else NOW_GOOD
    if label == GOOD:
        return NEW_FALSE_ALARM if flagged else FALSE_ALARM_GONE
    return NEWLY_CAUGHT if flagged else NEWLY_MISSED


def _latency(samples: Sequence[Sample]) -> float | None:
    """Milliseconds to score one frame on one thread: the median over `samples`."""
    times = []
    for model, pixels in samples:
        started = time.perf_counter()
        model.score(pixels[None])
        times.append(time.perf_counter() - started)
    return round(1000 * median(times), 3) if times else None
