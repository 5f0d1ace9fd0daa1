"""Curves and histograms stay within their SVG, whatever the scores."""

from andon_monitor.review.drawing import CURVE_HEIGHT, CURVE_WIDTH, curve, layers


def test_a_curve_ends_at_the_right_has_gaps_and_marks_defects() -> None:
    drawn = curve([0.5, None, 1.5, 9.0], 60)
    assert len(drawn.lines) == 2
    assert drawn.lines[1].split()[-1] == f"{float(CURVE_WIDTH)},0.0"  # 9 thresholds are drawn at the top
    assert len(drawn.dots) == 2
    assert drawn.threshold == CURVE_HEIGHT / 2
    assert curve([], 60).lines == ()


def test_histograms_on_one_axis_stay_inside_and_under_each_other() -> None:
    drawn = layers({"good": [1, 0, 9], "defect": [0, 0, 0]}, (1.0, 2.5, 3), 1.5, 99.0)
    good, defect = drawn.layers
    assert (good.total, defect.total, defect.bars) == (10, 0, ())
    assert [round(height) for *_, height in good.bars] == [20, 60]  # square roots of 1 and 9
    assert all(0 <= x <= drawn.width and good.top <= y <= good.base for x, y, _, _ in good.bars)
    assert good.base == defect.top
    assert drawn.present == drawn.width / 3
    assert drawn.other == drawn.width
    assert all(0 < x < drawn.width for x, _ in drawn.ticks)
