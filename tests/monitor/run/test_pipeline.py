import threading
import time
import tracemalloc
from collections.abc import Collection, Sequence
from typing import Any

import pytest
from andon_monitor.errors import OutputError, SourceError
from andon_monitor.inspection.frames import Frame, Position, Verdict
from andon_monitor.inspection.inspector import Inspection, Inspector, Prepared, Rules
from andon_monitor.model.file import Model
from andon_monitor.model.imaging import Pixels
from andon_monitor.run import pipeline
from andon_monitor.run.pipeline import DELIVERY_GROUP, Pipeline, PipelineLimits
from andon_monitor.run.workers import Batching
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.kafka_line import PATIENCE
from tests.fixtures.list_ends import ListSink, ListSource
from tests.fixtures.small_model import draw, encode, make_frame

GOOD, DEFECT = encode(draw(1)), encode(draw(1, defect=True))


def stream(count: int, cameras: int = 3) -> list[Frame]:
    """Frames of several cameras; every seventh is a defect, every eleventh cannot be decoded."""
    return [
        make_frame(b"?" if i % 11 == 10 else DEFECT if i % 7 == 6 else encode(draw(i % 20)), i, f"camera-{i % cameras}")
        for i in range(count)
    ]


def run(model: Model, source: ListSource, *sinks: ListSink, limits: PipelineLimits | None = None) -> None:
    Pipeline(source, Inspector(model), sinks, limits=limits).run()


@pytest.fixture(params=["alone", "in batches"])
def either(model: Model, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Model:
    """A model that scores frames one by one, as on a CPU, and one that shares calls, as on a GPU."""
    monkeypatch.setattr(model, "batched", request.param == "in batches")
    return model


def test_every_frame_gets_one_verdict_in_order_and_is_acknowledged_after_it(either: Model) -> None:
    frames = stream(150)
    source = ListSource(frames)

    def nothing_is_acknowledged_before_it_is_written(sink: ListSink) -> None:
        assert len(source.acknowledged) <= len(sink.inspections)

    sink = ListSink(nothing_is_acknowledged_before_it_is_written)
    run(either, source, sink)
    assert [inspection.frame for inspection in sink.inspections] == frames
    assert source.acknowledged == frames
    outcomes = [inspection.verdict.outcome for inspection in sink.inspections]
    assert outcomes[6] == "defect"
    assert outcomes[10] == "uninspectable"
    assert outcomes[0] == "good"


def test_verdicts_are_the_same_bytes_whatever_the_batches_and_threads(model_bytes: bytes) -> None:
    seen = set()
    for batched, threads, size, wait, in_flight in [
        (False, 1, 1, 0.0, 1),
        (False, 4, 8, 0.0, 32),
        (True, 1, 1, 0.0, 1),
        (True, 2, 8, 0.05, 9),
        (True, 3, 5, 0.001, 64),
        (True, 1, 64, 0.01, 64),
    ]:
        sink = ListSink()
        model = Model.from_bytes(model_bytes, "m", "cpu", threads)
        model.batched = batched
        run(model, ListSource(stream(60)), sink, limits=PipelineLimits(threads, Batching(size, wait), in_flight))
        seen.add("\n".join(sink.lines()))
    assert len(seen) == 1


@pytest.mark.parametrize("in_flight", [1, 5, 16])
def test_a_slow_sink_holds_the_source_back(model: Model, in_flight: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "POLL_SECONDS", 0.002)  # less than the sink takes
    source = ListSource(stream(60))
    sink = ListSink(lambda sink: time.sleep(0.01))
    run(model, source, sink, limits=PipelineLimits(in_flight=in_flight))
    assert len(sink.inspections) == 60
    assert source.most_in_flight <= in_flight
    assert source.polls_without_capacity > 0  # Kafka must be polled all the same


def test_bytes_in_flight_are_bounded_too(model: Model) -> None:
    class OneByOne(ListSource):
        def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
            return super().poll(min(capacity, 1), timeout)

    source = OneByOne([make_frame(GOOD, i) for i in range(60)])
    sink = ListSink(lambda sink: time.sleep(0.01))
    run(model, source, sink, limits=PipelineLimits(in_flight=32, in_flight_bytes=3 * len(GOOD)))
    assert len(source.acknowledged) == 60
    assert source.most_bytes <= 3 * len(GOOD)


@pytest.mark.parametrize(
    ("data", "outcome"),
    [(encode(draw(1), ".bmp"), "good"), (encode(draw(1))[:-20], "uninspectable"), (b"", "uninspectable")],
)
def test_memory_does_not_grow_with_the_stream(model: Model, data: bytes, outcome: str) -> None:
    """A stream of 256 KiB frames, 40 MiB in all, made as it is read: what is held stays at a few frames."""
    made: list[Position] = []

    class Growing(ListSource):
        def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
            some = [make_frame(data + bytes(2**18), i) for i in range(len(made), min(len(made) + capacity, 160))]
            made.extend(frame.position for frame in some)
            return some if some or capacity == 0 else None

        def acknowledge(self, frames: Sequence[Frame], uninspectable: Collection[Frame] = ()) -> None:
            pass

    class Counting(ListSink):
        def write(self, inspections: Sequence[Inspection]) -> None:
            self.largest_group += sum(inspection.verdict.outcome == outcome for inspection in inspections)

    sink = Counting()
    tracemalloc.start()
    try:
        run(model, Growing([]), sink, limits=PipelineLimits(in_flight=8))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sink.largest_group == 160
    assert peak < 8 * 2**20


def test_batches_fill_up_to_their_size_and_not_beyond(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "batched", True)  # as on a GPU: on a CPU no frame waits for others
    sizes: list[int] = []

    class Watched(Inspector):
        def inspect(self, batch: Sequence[Any], now: float | None = None) -> Any:
            sizes.append(len(batch))
            return super().inspect(batch, now)

    limits = PipelineLimits(batching=Batching(6, 5.0), in_flight=60)
    Pipeline(ListSource(stream(60)), Watched(model), [ListSink()], limits=limits).run()
    assert sizes == [6] * 10


def test_batches_fill_up_where_two_inspectors_take_turns(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "batched", True)
    sizes: list[int] = []

    class Watched(Inspector):
        def inspect(self, batch: Sequence[Any], now: float | None = None) -> Any:
            sizes.append(len(batch))
            return super().inspect(batch, now)

    class Turns:
        def __init__(self) -> None:
            self.both = Watched(model, Rules(alias="even")), Watched(model, Rules(alias="odd"))

        def find(self, frame: Frame) -> Inspector:
            return self.both[frame.position.offset % 2]

    frames, sink = stream(60), ListSink()
    limits = PipelineLimits(batching=Batching(6, 5.0), in_flight=60)
    Pipeline(ListSource(frames), Turns(), [sink], limits=limits).run()
    assert sizes == [6] * 10
    assert [inspection.frame for inspection in sink.inspections] == frames
    assert [inspection.verdict.model for inspection in sink.inspections] == ["even", "odd"] * 30


def test_an_incomplete_batch_waits_no_longer_than_it_may(either: Model) -> None:
    """The source gives three frames and then nothing: their verdicts come though the batch of eight is not full."""
    source = ListSource(stream(3), endless=True)
    pipeline: Pipeline

    def stop_at_three(sink: ListSink) -> None:
        pipeline.stop()

    sink = ListSink(stop_at_three)
    pipeline = Pipeline(source, Inspector(either), [sink], limits=PipelineLimits(batching=Batching(8, 0.01)))
    pipeline.run()
    assert len(sink.inspections) == 3


def test_a_stop_finishes_what_is_in_flight_and_takes_no_more(either: Model) -> None:
    frames = stream(500)
    source = ListSource(frames)
    pipeline: Pipeline
    sink = ListSink(lambda sink: pipeline.stop())
    pipeline = Pipeline(source, Inspector(either), [sink], limits=PipelineLimits(in_flight=10))
    pipeline.run()
    done = len(sink.inspections)
    assert 0 < done <= 20
    assert source.acknowledged == frames[:done]
    assert not pipeline.running


def test_a_sink_that_fails_ends_the_run_and_nothing_more_is_acknowledged(either: Model) -> None:
    source = ListSource(stream(300))

    def fail_later(sink: ListSink) -> None:
        if len(sink.inspections) >= 8:
            raise OutputError("disk full")

    sink = ListSink(fail_later)
    with pytest.raises(OutputError, match="disk full"):
        run(either, source, sink, limits=PipelineLimits(in_flight=8))
    assert len(source.acknowledged) <= len(sink.inspections) < 300


def test_a_source_that_fails_ends_the_run_with_its_error(either: Model) -> None:
    class Unplugged(ListSource):
        def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
            frames = super().poll(capacity, timeout)
            if frames is None:
                raise SourceError("camera unplugged")
            return frames

    with pytest.raises(SourceError, match="camera unplugged"):
        run(either, Unplugged(stream(20)), ListSink())


def test_where_the_run_fails_frames_that_nobody_has_begun_with_are_left(either: Model) -> None:
    class Slow(Inspector):
        begun = 0

        def prepare(self, frame: Frame) -> Prepared:
            self.begun += 1
            time.sleep(0.05)
            return super().prepare(frame)

    class Unplugged(ListSource):
        def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
            if self._given:
                raise SourceError("camera unplugged")
            return super().poll(capacity, timeout)

    inspector = Slow(either)
    with pytest.raises(SourceError, match="camera unplugged"):
        Pipeline(Unplugged(stream(32)), inspector, [ListSink()], limits=PipelineLimits(threads=1)).run()
    assert inspector.begun < 5


def test_a_bug_in_inspection_is_raised_not_waited_for(either: Model) -> None:
    class Broken(Inspector):
        def inspect(self, batch: Sequence[Any], now: float | None = None) -> Any:
            raise AssertionError("a bug")

    with pytest.raises(AssertionError, match="a bug"):
        Pipeline(ListSource(stream(20)), Broken(either), [ListSink()]).run()


def test_a_failing_frame_does_not_end_the_run(either: Model) -> None:
    class Fragile:
        def __init__(self) -> None:
            self.card, self.sha256, self.batched = either.card, either.sha256, either.batched

        def score(self, frames: Pixels) -> Any:
            if (either.score(frames) > either.card.threshold).any():
                raise RuntimeError("kernel failed")
            return either.score(frames)

    sink = ListSink()
    Pipeline(ListSource(stream(30)), Inspector(Fragile()), [sink]).run()
    reasons = [inspection.verdict.reason for inspection in sink.inspections]
    assert reasons[6] == "failed"
    assert reasons[5] is None
    assert reasons[10] == "undecodable"
    assert len(reasons) == 30


def test_one_slow_frame_delays_verdicts_but_not_the_work_on_other_cameras(model: Model) -> None:
    """Verdicts keep the order of frames: those behind a slow one are inspected meanwhile, and their verdicts wait."""
    limits = PipelineLimits(threads=2, in_flight=12)
    others_done = threading.Event()

    class Slow(Inspector):
        """Its first frame takes until all others that fit in flight are inspected."""

        def __init__(self) -> None:
            super().__init__(model)
            self.done = 0

        def inspect(self, batch: Sequence[Prepared], now: float | None = None) -> list[Verdict]:
            if batch[0].frame.position.offset == 0:
                assert others_done.wait(PATIENCE)
            else:
                self.done += 1
                if self.done == limits.in_flight - 1:
                    assert not sink.inspections
                    others_done.set()
            return super().inspect(batch, now)

    frames, sink = stream(40), ListSink()
    Pipeline(ListSource(frames), Slow(), [sink], limits=limits).run()
    assert [inspection.frame for inspection in sink.inspections] == frames


def test_a_replaced_inspector_inspects_what_it_prepared_and_no_frame_is_lost(either: Model) -> None:
    class Own(Inspector):
        def __init__(self, alias: str) -> None:
            super().__init__(either)
            self.alias = alias
            self.prepared: set[Frame] = set()

        def prepare(self, frame: Frame) -> Prepared:
            self.prepared.add(frame)
            return super().prepare(frame)

        def inspect(self, batch: Sequence[Prepared], now: float | None = None) -> list[Verdict]:
            assert {prepared.frame for prepared in batch} <= self.prepared
            return super().inspect(batch, now)

    frames = stream(200)
    pipeline: Pipeline
    second = Own("second")

    def replace(sink: ListSink) -> None:
        pipeline.inspectors = second

    sink = ListSink(replace)
    limits = PipelineLimits(batching=Batching(8, 0.05), in_flight=13)
    pipeline = Pipeline(ListSource(frames), Own("first"), [sink], limits=limits)
    pipeline.run()
    names = [inspection.verdict.model for inspection in sink.inspections]
    assert [inspection.frame for inspection in sink.inspections] == frames
    assert names == sorted(names)  # first, then second, with one change
    assert set(names) == {"first", "second"}


def test_live_verdicts_carry_latencies_and_recorded_ones_do_not(either: Model) -> None:
    live, recorded = ListSink(), ListSink()
    run(either, ListSource(stream(5), live=True), live)
    run(either, ListSource(stream(5)), recorded)
    for inspection in live.inspections:
        latency = inspection.verdict.latency
        assert latency is not None
        assert min(latency.queue, latency.decode, latency.inference) >= 0
    assert all(inspection.verdict.latency is None for inspection in recorded.inspections)
    assert all(inspection.latency is not None for inspection in recorded.inspections)


def test_sinks_are_written_in_their_order_and_in_bounded_groups(model: Model) -> None:
    first = ListSink(lambda sink: time.sleep(0.02))
    second = ListSink()

    def first_is_ahead(sink: ListSink) -> None:
        assert len(first.inspections) > len(second.inspections)

    second._before = first_is_ahead
    run(model, ListSource(stream(300)), first, second, limits=PipelineLimits(in_flight=300))
    assert first.largest_group <= DELIVERY_GROUP
    assert len(second.inspections) == 300


def test_it_is_ready_while_frames_are_taken_and_at_no_other_time(model: Model) -> None:
    metrics = Metrics()
    seen: list[tuple[bool, float | None]] = []

    class Watched(ListSource):
        def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
            seen.append((watched.running, metrics.registry.get_sample_value("andon_ready")))
            return super().poll(capacity, timeout)

    watched = Pipeline(Watched([]), Inspector(model), [ListSink()], metrics)
    assert not watched.running
    watched.run()
    assert seen == [(True, 1.0)]
    assert (watched.running, metrics.registry.get_sample_value("andon_ready")) == (False, 0.0)
