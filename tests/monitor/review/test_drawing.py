"""Curves and histograms stay within their SVG, whatever the scores."""

from andon_monitor.review.drawing import CURVE_HEIGHT, CURVE_WIDTH, curve, histogram


def test_a_curve_ends_at_the_right_has_gaps_and_marks_defects() -> None:
    drawn = curve([0.5, None, 1.5, 9.0], 60)
    assert len(drawn.lines) == 2
    assert drawn.lines[1].split()[-1] == f"{float(CURVE_WIDTH)},0.0"  # 9 thresholds are drawn at the top
    assert len(drawn.dots) == 2
    assert drawn.threshold == CURVE_HEIGHT / 2
    assert curve([], 60).lines == ()


def test_a_histogram_has_a_bar_for_each_bin_and_the_threshold_inside() -> None:
    for scores in ([1.0, 1.1, 1.1, 1.3], [1.0, 1.0]):
        drawn = histogram(scores, 1.5)
        assert 0 < drawn.threshold < drawn.width
        assert max(height for *_, height in drawn.bars) == drawn.height
        assert all(0 <= x <= drawn.width and y >= 0 for x, y, _, _ in drawn.bars)
