"""Calibration of a classifier's probabilities: a temperature, and the error that remains."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

BINS = 10  # of the probability axis, of equal width


def fit_temperature(logits: NDArray[np.float32], kinds: NDArray[np.int64]) -> float:
    """The number to divide logits [N, K] by for the highest likelihood of the kinds int [N].

    Guo et al., "On calibration of modern neural networks", ICML 2017. The logits must come from held-out images.
    """

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(scaled[np.arange(len(kinds)), kinds].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def calibration_error(logits: NDArray[np.float32], kinds: NDArray[np.int64], temperature: float = 1.0) -> float:
    """Expected calibration error in 0..1: the mean gap between the highest probability and the share classified right.

    Over `BINS` bins of equal width (Naeini et al., AAAI 2015). `logits`: [N, K], `kinds`: int [N].
    """
    probabilities = softmax(logits / temperature, axis=1)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == kinds
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    error = 0.0
    for i in np.unique(bins):
        inside = bins == i
        error += abs(float(confidence[inside].mean() - right[inside].mean())) * float(inside.mean())
    return error
