"""A frozen picture is noticed, a live camera before a part that stands still is not."""

from collections.abc import Sequence

import numpy as np
import pytest
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Inspection, Inspector
from andon_monitor.model.file import Model
from andon_monitor.model.imaging import Pixels
from andon_monitor.settings.groups import StatisticsSettings
from andon_monitor.statistics.frozen import FrozenPictures
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.small_model import draw, encode, make_frame


def inspect(model: Model, frames: Sequence[Frame]) -> list[Inspection]:
    inspector = Inspector(model)
    prepared = [inspector.prepare(frame) for frame in frames]
    return [Inspection(item, verdict) for item, verdict in zip(prepared, inspector.inspect(prepared), strict=True)]


def repeats(model: Model, pictures: Sequence[bytes], camera: str = "left") -> list[float | None]:
    """The metric after each picture."""
    metrics = Metrics()
    frozen = FrozenPictures(StatisticsSettings(), metrics)
    counts = []
    for inspection in inspect(model, [make_frame(data, i, camera) for i, data in enumerate(pictures)]):
        frozen.write([inspection])
        counts.append(metrics.registry.get_sample_value("andon_repeated_frames", {"camera": camera}))
    return counts


def test_a_picture_that_comes_again_is_counted_until_another_one_comes(model: Model) -> None:
    first, other = encode(draw(1)), encode(draw(2))
    assert repeats(model, [first, first, first, other, first, first]) == [0, 1, 2, 0, 0, 1]


def stands_still(noise: float, suffix: str) -> list[bytes]:
    """One part that does not move, before a camera whose noise has this standard deviation in grey levels."""
    rng, part = np.random.default_rng(0), draw(1).astype(float)
    return [encode(np.clip(part + rng.normal(0, noise, part.shape), 0, 255).astype(np.uint8), suffix) for _ in range(4)]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_part_that_stands_still_before_a_live_camera_is_not_frozen(model: Model, suffix: str) -> None:
    assert repeats(model, stands_still(1.0, suffix)) == [0, 0, 0, 0]


def clocked(number: int) -> Pixels:
    """The same picture with a time of day drawn into a corner by a gateway."""
    picture = draw(1)
    picture[:2, :8] = 40 * number
    return picture


def test_a_clock_drawn_over_it_does_not_hide_a_frozen_picture(model: Model) -> None:
    assert repeats(model, [encode(clocked(i)) for i in range(4)]) == [0, 1, 2, 3]


def test_what_cannot_be_inspected_counts_neither_way_and_a_second_delivery_is_no_repeat(model: Model) -> None:
    same = encode(draw(1))
    assert repeats(model, [same, same, b"", same]) == [0, 1, 1, 2]
    metrics = Metrics()
    frozen = FrozenPictures(StatisticsSettings(), metrics)
    frozen.write(inspect(model, [make_frame(same, 7)] * 3))
    assert metrics.registry.get_sample_value("andon_repeated_frames", {"camera": "station-1"}) == 0


def test_cameras_are_compared_with_themselves(model: Model) -> None:
    metrics = Metrics()
    frozen = FrozenPictures(StatisticsSettings(repeats_limit=3), metrics)
    pictures = [(encode(draw(1)), "left"), (encode(draw(1)), "right"), (encode(draw(2)), "left")]
    frozen.write(inspect(model, [make_frame(data, i, camera) for i, (data, camera) in enumerate(pictures)]))
    for camera in ("left", "right"):
        assert metrics.registry.get_sample_value("andon_repeated_frames", {"camera": camera}) == 0
    assert metrics.registry.get_sample_value("andon_repeated_frames_limit") == 3
