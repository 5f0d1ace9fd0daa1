"""What labels tell about the difference is said in few digits."""

import pytest
from andon_monitor.compare.facts import chance_words
from andon_monitor.compare.results import FALSE_ALARM_GONE, NEWLY_CAUGHT, NEWLY_MISSED, Comparison, SideResult


@pytest.mark.parametrize(
    ("better", "worse", "p_value", "words"),
    [
        (0, 0, None, ""),
        (1, 0, 1.0, "in 100 of 100"),
        (6, 1, 0.125, "in 13 of 100"),
        (17, 3, 0.00258, "in 0.26 of 100"),
        (40, 0, 1.82e-12, "in fewer than 1 of 1000"),
    ],
)
def test_the_difference_in_right_verdicts(better: int, worse: int, p_value: float | None, words: str) -> None:
    sides = [SideResult(name, 1.0, None) for name in ("new", "old")]
    comparison = Comparison("line", sides[0], sides[1])
    comparison.counts.update({NEWLY_CAUGHT: better - better // 3, FALSE_ALARM_GONE: better // 3, NEWLY_MISSED: worse})
    assert comparison.to_dict()["p_value_of_difference"] == p_value
    if comparison.p_value is not None:
        assert words in chance_words(comparison.p_value)
