"""How sure a classifier may say it is: a temperature, and what is wrong with its probabilities before and after."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

BINS = 10


def fit_temperature(logits: NDArray[np.float32], kinds: NDArray[np.int64]) -> float:
    """The number to divide logits [N, K] by for the best likelihood of the kinds int [N].

    Guo et al., "On calibration of modern neural networks", ICML 2017. The logits must be of images not learned from.
    """

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(scaled[np.arange(len(kinds)), kinds].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def calibration_error(logits: NDArray[np.float32], kinds: NDArray[np.int64], temperature: float = 1.0) -> float:
    """The expected calibration error in 0..1: how far the largest probability is from the share told right, on average.

    Over `BINS` bins of equal width (Naeini et al., AAAI 2015). `logits`: [N, K], `kinds`: int [N].
    """
    probabilities = softmax(logits / temperature, axis=1)
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == kinds
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs(float(sure[bins == i].mean() - right[bins == i].mean())) * (bins == i).mean() for i in np.unique(bins)]
    return float(sum(gaps))
