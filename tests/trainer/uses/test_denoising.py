"""Cleaning frames with the autoencoder."""

from pathlib import Path

from andon_monitor.model.autoencoder import Autoencoder
from andon_trainer.uses.denoising import add_noise, denoise_frames
from andon_trainer.uses.quality import psnr


def test_cleaning_takes_the_contrast_of_the_noise_back(model_file: Path) -> None:
    part = Autoencoder.load(model_file, "cpu")
    good = part.model.golden_frames[:2]
    noisy = add_noise(good, 60, seed=0)
    assert noisy.std() > 1.3 * good.std()
    assert denoise_frames(part, noisy).std() < 1.1 * good.std()
    assert psnr(denoise_frames(part, noisy), good) > psnr(noisy, good) + 6
