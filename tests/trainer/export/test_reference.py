"""How good frames usually are."""

import pytest
from andon_trainer.export.reference import spread


def test_spread_is_mean_deviation_and_range() -> None:
    result = spread([1.0, 2.0, 3.0])
    assert (result.mean, result.lowest, result.highest) == (2.0, 1.0, 3.0)
    assert result.std == pytest.approx((2 / 3) ** 0.5)
