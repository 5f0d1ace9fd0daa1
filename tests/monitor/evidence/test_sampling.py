"""Every defect within the rate, samples of the other frames, and none above the rate."""

from dataclasses import replace

from andon_monitor.evidence.sampling import MAX_CAMERAS, Bucket, Sampler
from andon_monitor.formats.evidence_package import KINDS
from andon_monitor.inspection.frames import Position, Verdict
from andon_monitor.settings.groups import EvidenceSettings


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


GOOD = Verdict("0" * 32, "left", 0.0, "good", "m", "0" * 64, 2.0, Position("c", "t", 0, 0), score=1.0, p_value=0.5)
RATE = 0.001  # of false alarms at the threshold


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


def test_just_under_the_threshold_are_the_good_parts_that_come_next() -> None:
    sampler = Sampler(EvidenceSettings(borderline=0.02))
    assert sampler.kind(replace(GOOD, outcome="defect", score=2.1, p_value=0.0005), RATE) == "defect"
    assert sampler.kind(replace(GOOD, p_value=0.021), RATE) == "borderline"
    assert sampler.kind(replace(GOOD, p_value=0.022), RATE) == "good"
    assert sampler.kind(replace(GOOD, camera="right", p_value=0.06), 0.05) == "borderline"  # of a camera set low
    assert sampler.kind(replace(GOOD, outcome="uninspectable", score=None, p_value=None), RATE) is None


def test_good_frames_are_sampled_by_the_time_they_were_captured() -> None:
    sampler = Sampler(EvidenceSettings(good_interval=10))
    times = [0.5 * i for i in range(100)]
    kept = [at for at in times if sampler.kind(replace(GOOD, captured_at=at), RATE) is not None]
    assert kept == [0, 10, 20, 30, 40]
    assert sampler.kind(replace(GOOD, camera="right", captured_at=45.0), RATE) == "good"
    assert sampler.kind(replace(GOOD, captured_at=-1000.0), RATE) == "good"  # the camera's clock was set back


def test_every_defect_is_wanted_and_no_kind_takes_the_place_of_another() -> None:
    clock = Clock()
    sampler = Sampler(EvidenceSettings(rate=1, burst=3), clock)
    assert [sampler.kind(replace(GOOD, outcome="defect", score=9.0), RATE) for _ in range(9)] == 9 * ["defect"]
    for kind in KINDS:
        assert [sampler.within_rate(kind) for _ in range(5)] == 3 * [True] + 2 * [False]


def test_invented_cameras_do_not_fill_the_memory() -> None:
    sampler = Sampler(EvidenceSettings())
    kept = [sampler.kind(replace(GOOD, camera=f"{i}"), RATE) for i in range(3 * MAX_CAMERAS)]
    assert kept.count("good") == 2 * MAX_CAMERAS
