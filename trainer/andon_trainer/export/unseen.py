"""Scores of good images by networks that have not seen them."""

from collections.abc import Sequence

import numpy as np
import torch
from andon_monitor.model.calibration import MIN_CALIBRATION_IMAGES
from andon_monitor.model.file import SCORE
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.session import Session
from numpy.typing import NDArray
from onnx import ModelProto
from torch import nn

from andon_trainer.data.splits import Split, common_to
from andon_trainer.export.metadata import serialise
from andon_trainer.network.tensors import batched


def scores_of_unseen(
    graph: ModelProto, alone: Sequence[nn.Module], parts_of_each: Sequence[Split], images: Pixels
) -> NDArray[np.float32]:
    """Scores float32 [N] of good images uint8 [N, H, W, C] that were not learned from; NaN for the others.

    `graph` is the whole detector, `alone` the detector of each network, `parts_of_each` the network's split. Of several
    networks, each scores alone the images that only it has not seen (Vovk, "Cross-conformal predictors", 2015). The
    mean of all networks errs less than one. On the images that none of them saw, its scores and those of each network
    alone are both known, and the scores of the other images are moved by the difference of their averages. Their spread
    is left as it is: the ratio of two standard deviations of 20 to 30 images is off by 5 % and more, and flagged nearly
    twice the rate. With too few such images nothing is moved, and the scores of each alone are slightly too high.
    """
    scores = np.full(len(images), np.nan, np.float32)
    unseen = common_to(parts_of_each)
    if len(parts_of_each) == 1:
        scores[unseen] = score_with(graph, images[unseen])
        return scores
    singles: list[NDArray[np.float32]] = []
    for parts, detector in zip(parts_of_each, alone, strict=True):
        scores[parts.calibration] = score_alone(detector, images[parts.calibration])
        singles.append(scores[unseen])
    if len(unseen) >= MIN_CALIBRATION_IMAGES:
        each, mean = np.concatenate(singles), score_with(graph, images[unseen])
        scores = scores + (mean.mean() - each.mean())
        scores[unseen] = mean
    return scores


def score_with(graph: ModelProto, images: Pixels) -> NDArray[np.float32]:
    """Scores float32 [N] of images uint8 [N, H, W, C] by onnxruntime."""
    session = Session(serialise(graph), "a network", "cpu", threads=0)
    scores: NDArray[np.float32] = session.run([SCORE], images)[0]
    return scores


@torch.no_grad()
def score_alone(detector: nn.Module, images: Pixels) -> NDArray[np.float32]:
    """Scores float32 [N] of images uint8 [N, H, W, C] by torch: exporting each network would take longer."""
    return np.concatenate([detector(batch)[0].numpy() for batch in batched(images)])
