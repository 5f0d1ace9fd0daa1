"""Scores of images by networks that have not seen them."""

import numpy as np
import torch
from andon_trainer.architecture import WIDTHS, Architecture
from andon_trainer.data.splits import common_to, splits
from andon_trainer.export.graph import to_onnx, torch_scores
from andon_trainer.export.unseen import scores_of_unseen
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.scoring.assembly import combine

from tests.fixtures.detectors import detector_of


def test_what_one_network_says_is_put_where_the_mean_of_all_would_be() -> None:
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (240, 64, 64, 1), dtype=np.uint8)
    parts = splits(np.arange(240), seed=0, count=3)
    networks = [Autoencoder(Architecture(64, 64, 1, widths=WIDTHS["small"], components=0)).eval() for _ in parts]
    alone = [
        detector_of(network, images[part.train], images[part.calibration], texture=True)
        for network, part in zip(networks, parts, strict=True)
    ]
    detector = combine(alone)
    found = scores_of_unseen(to_onnx(detector, (64, 64, 1)), alone, parts, images)

    common, apart = common_to(parts), [np.setdiff1d(part.calibration, common_to(parts)) for part in parts]
    assert len(common) + sum(map(len, apart)) == 240
    together = torch_scores(detector, images[common])
    np.testing.assert_allclose(found[common], together, rtol=1e-4)
    singles = np.concatenate([torch_scores(one, images[common]) for one in alone])
    assert together.std() < 0.9 * singles.std()
    for one, own in zip(alone, apart, strict=True):
        expected = torch_scores(one, images[own]) + together.mean() - singles.mean()
        np.testing.assert_allclose(found[own], expected, rtol=1e-4)
