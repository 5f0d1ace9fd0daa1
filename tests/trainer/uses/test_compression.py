"""Codecs that the archive is compared with."""

import cv2
import numpy as np
from andon_trainer.uses.compression import encode, encode_within
from andon_trainer.uses.quality import psnr

RNG = np.random.default_rng(0)


def test_a_codec_is_given_its_best_chance() -> None:
    image = cv2.GaussianBlur(RNG.integers(0, 256, (64, 64), dtype=np.uint8), (0, 0), 3)[:, :, None]
    for suffix in (".jpg", ".webp"):
        size, shown = encode_within(suffix, image, 600)
        assert size <= 600
        assert shown.shape == image.shape
        plain = [encode(suffix, image, 1.0, quality) for quality in (1, 5, 10, 30)]
        assert psnr(shown, image) >= max((psnr(p, image) for s, p in plain if s <= 600), default=0)
        assert encode_within(suffix, image, 1)[0] > 1, "the smallest there is, where nothing fits"
