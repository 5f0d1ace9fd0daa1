"""Masks in the graph: nothing depends on a masked pixel, to the last bit; defects beside the mask are found."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from andon_monitor.model.anomaly_map import NOT_INSPECTED
from andon_trainer.architecture import Architecture, DenseArchitecture
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.network.dense import DenseAutoencoder
from andon_trainer.network.linear import fit_linear
from andon_trainer.network.mask import FrameMask
from andon_trainer.network.registration import fit_registration, inverse, register, warp
from andon_trainer.network.tensors import MIN_TOP_CELLS, TOP_SHARE
from andon_trainer.scoring import detector as scoring_detector
from andon_trainer.scoring import patch_memory
from andon_trainer.scoring.dense_detector import DenseDetector
from torch import nn

from tests.fixtures.detectors import detector_of
from tests.fixtures.images import label_mask, plate, plates, with_other_content

RNG = np.random.default_rng(0)
SIZE = (128, 192)


class Case(NamedTuple):
    detector: nn.Module
    good: np.ndarray  # [N, H, W, C]
    hidden: np.ndarray  # bool [N, H, W] as the mask lies on each


def registered() -> Case:
    masked, good = label_mask(*SIZE), plates(48, times=2)
    registration = fit_registration(good[:40], seed=0, masked=masked)
    assert registration is not None
    poses = registration.poses(good)
    arch = Architecture(*SIZE, 1, components=4)
    mask = FrameMask.fit(register(good[:40], poses[:40]), masked)
    torch.manual_seed(0)
    network = Autoencoder(arch).eval()
    network.linear, _ = fit_linear(register(good[:40], poses[:40]), np.arange(40), arch, 0, mask)
    detector = detector_of(network, good[:40], good[40:], False, registration, mask=mask)
    with torch.no_grad():
        there = warp(mask.masked.expand(8, -1, -1, -1), inverse(torch.from_numpy(poses[40:])))
    return Case(detector, good[40:], there[:, 0].numpy() > 0)


def textures(channels: int, pooling: int) -> Case:
    height, width = 64 * pooling, 96 * pooling
    good = RNG.integers(0, 256, (36, height, width, channels), dtype=np.uint8)
    mask = FrameMask.fit(good[:30], label_mask(height, width))
    torch.manual_seed(0)
    network = Autoencoder(Architecture(64, 96, channels, components=0, pooling=pooling)).eval()
    detector = detector_of(network, good[:30], good[30:], texture=True, mask=mask)
    return Case(detector, good[30:], np.repeat(label_mask(height, width)[None], 6, axis=0))


def dense() -> Case:
    good = RNG.integers(0, 256, (30, 28, 28, 1), dtype=np.uint8)
    mask = FrameMask.fit(good, label_mask(28, 28))
    torch.manual_seed(0)
    detector = DenseDetector(DenseAutoencoder(DenseArchitecture(28, 28, 1, (784, 16, 784))).eval(), mask)
    detector.standardise(good)
    return Case(detector, good[:8], np.repeat(label_mask(28, 28)[None], 8, axis=0))


CASES = {
    "registered parts, linear branch and texture features": registered,
    "a texture in colour, two memories": lambda: textures(3, 1),
    "a texture that is pooled": lambda: textures(1, 2),
    "dense": dense,
}


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    with pytest.MonkeyPatch.context() as patch:  # small memories of few images, which are as exact as large ones
        patch.setattr(scoring_detector, "MIN_MEMORY_IMAGES", 20)
        patch.setattr(patch_memory, "CLUSTERS", 100)
        return CASES[request.param]()


def test_outputs_are_the_same_to_the_last_bit_whatever_is_under_the_mask(case: Case) -> None:
    changed = with_other_content(case.good, case.hidden)
    with torch.no_grad():
        outputs, again = (case.detector(torch.from_numpy(frames)) for frames in (case.good, changed))
    assert all(torch.equal(a, b) for a, b in zip(outputs, again, strict=True))


def test_cells_under_the_mask_have_no_value_and_the_share_is_of_the_others(case: Case) -> None:
    with torch.no_grad():
        score, anomaly_map, *_ = case.detector(torch.from_numpy(case.good))
    stride = case.good.shape[1] // anomaly_map.shape[1]
    count, height, width = anomaly_map.shape
    touched = case.hidden.reshape(count, height, stride, width, stride).any(axis=(2, 4))
    assert np.array_equal(anomaly_map.numpy() == NOT_INSPECTED, touched)
    assert torch.isfinite(score).all()
    if not isinstance(case.detector, DenseDetector):
        inspected = case.detector.mask.inspected(stride)
        top = anomaly_map.flatten(1).topk(max(MIN_TOP_CELLS, round(TOP_SHARE * inspected))).values
        assert torch.allclose(top.mean(dim=1), score, atol=1e-5)


def test_of_good_frames_a_mask_fills_in_what_is_usual_there_in_the_frame_s_own_light() -> None:
    good, masked = plates(40, times=2), label_mask(*SIZE)
    mask = FrameMask.fit(good, masked)
    for light in (0.7, 1.2):
        frame = torch.from_numpy(plate((0, 0), 0, light, times=2)).permute(2, 0, 1)[None] / 255
        filled, _ = mask(frame)
        assert torch.equal(filled[0, 0][~torch.from_numpy(masked)], frame[0, 0][~torch.from_numpy(masked)])
        assert (filled - frame).abs().mean() < 0.02


def test_a_registered_part_of_which_nothing_that_is_inspected_is_in_the_frame_has_no_score() -> None:
    masked = np.ones((64, 96), np.bool_)
    masked[:, -16:] = False
    good = RNG.integers(0, 256, (8, 64, 96, 1), dtype=np.uint8)
    mask = FrameMask.fit(good, masked)
    away = torch.tensor([[1.0, 0.0, 0.4, 0.0]])  # the part lies so far to the right
    cells = torch.rand(1, 1, 16, 24)
    with torch.no_grad():
        here = mask(torch.rand(1, 1, 64, 96))[1].cells(cells)
        there = mask(torch.rand(1, 1, 64, 96), inverse(away))[1].cells(cells)
    assert torch.isfinite(here.top_mean(cells)).all()
    assert torch.isnan(there.top_mean(cells)).all()


def test_registration_finds_parts_as_well_with_a_mask_and_not_where_it_leaves_too_little() -> None:
    good, masked = plates(40, times=2), label_mask(*SIZE)
    usual, under_mask = fit_registration(good, 0), fit_registration(good, 0, masked)
    assert usual is not None
    assert under_mask is not None
    assert np.abs(usual.poses(good) - under_mask.poses(good)).max() < 0.01
    assert fit_registration(good, 0, np.arange(SIZE[1])[None].repeat(SIZE[0], 0) > 20) is None
