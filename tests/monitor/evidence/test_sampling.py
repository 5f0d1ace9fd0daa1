"""Every defect within the rate, some of the rest, and nothing beyond."""

from dataclasses import replace

from monitor.evidence.sampling import MAX_CAMERAS, Bucket, Sampler
from monitor.frames import Position, Verdict
from monitor.settings import EvidenceSettings


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


GOOD = Verdict("0" * 32, "left", 0.0, "good", "m", "0" * 64, 2.0, Position("c", "t", 0, 0), score=1.0, p_value=0.5)


def test_a_bucket_gives_its_burst_at_once_and_its_rate_in_the_long_run() -> None:
    clock = Clock()
    bucket = Bucket(rate=2.0, burst=5, clock=clock)
    assert [bucket.take() for _ in range(7)] == 5 * [True] + 2 * [False]
    taken = 0
    for _ in range(1000):
        clock.now += 0.1
        taken += bucket.take()
    assert 198 <= taken <= 200
    clock.now += 1e6
    assert sum(bucket.take() for _ in range(20)) == 5


def test_verdicts_are_named_by_where_their_score_lies() -> None:
    sampler = Sampler(EvidenceSettings(borderline=0.8))
    assert sampler.kind(replace(GOOD, outcome="defect", score=2.1)) == "defect"
    assert sampler.kind(replace(GOOD, score=1.6)) == "borderline"
    assert sampler.kind(replace(GOOD, score=1.59)) == "good"
    assert sampler.kind(replace(GOOD, outcome="uninspectable", score=None, p_value=None)) is None


def test_good_frames_are_sampled_by_the_time_they_were_captured() -> None:
    sampler = Sampler(EvidenceSettings(good_interval=10))
    times = [0.5 * i for i in range(100)]
    kept = [at for at in times if sampler.kind(replace(GOOD, captured_at=at)) is not None]
    assert kept == [0, 10, 20, 30, 40]
    assert sampler.kind(replace(GOOD, camera="right", captured_at=45.0)) == "good"
    assert sampler.kind(replace(GOOD, captured_at=-1000.0)) == "good"  # the camera's clock was set back


def test_every_defect_is_wanted_and_samples_never_take_its_place() -> None:
    clock = Clock()
    sampler = Sampler(EvidenceSettings(rate=1, burst=3), clock)
    assert [sampler.kind(replace(GOOD, outcome="defect", score=9.0)) for _ in range(9)] == 9 * ["defect"]
    assert [sampler.within_rate("good") for _ in range(5)] == 3 * [True] + 2 * [False]
    assert [sampler.within_rate("defect") for _ in range(5)] == 3 * [True] + 2 * [False]


def test_invented_cameras_do_not_fill_the_memory() -> None:
    sampler = Sampler(EvidenceSettings())
    kept = [sampler.kind(replace(GOOD, camera=f"{i}")) for i in range(3 * MAX_CAMERAS)]
    assert kept.count("good") == 2 * MAX_CAMERAS
