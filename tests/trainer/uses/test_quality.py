"""PSNR and SSIM."""

import numpy as np
import pytest
from andon_trainer.uses.quality import psnr, ssim

RNG = np.random.default_rng(0)


def test_psnr_and_ssim_are_what_their_definitions_say() -> None:
    a = RNG.integers(0, 256, (40, 50, 1), dtype=np.uint8)
    assert psnr(a, a) == float("inf")
    assert ssim(a, a) == pytest.approx(1)
    grey = np.full((40, 50, 1), 100, np.uint8)
    assert psnr(grey, grey + 10) == pytest.approx(20 * np.log10(25.5))
    # Without structure only the factor of the means remains.
    c1 = (0.01 * 255) ** 2
    assert ssim(grey, grey + 10) == pytest.approx((2 * 100 * 110 + c1) / (100**2 + 110**2 + c1))
    assert ssim(a, 255 - a) < 0
