"""Whether thresholds of few real images hold: `python -m tests.benchmarks.quality.few SET ...`.

Some good images of a set are drawn, of as many groups as there are. As with three networks, each third of them is
scored by what was fitted to the other two, and these scores set the threshold at the rate that so many images support.
All other good images, and the defects, are scored by the mean of the three. To be quick, the score is that of the
encoder's features alone, without a trained network.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from andon_monitor.model.calibration import calibrate, supported_rate
from andon_monitor.model.imaging import Pixels
from andon_trainer.data.images import load_images
from andon_trainer.data.input import choose_input
from andon_trainer.data.splits import splits
from andon_trainer.network.encoder import BUILT_IN, Encoder, load_encoder
from andon_trainer.scoring.encoding import rebuild_features
from andon_trainer.scoring.scale import Scale
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, from_numpy

from tests.benchmarks.quality.batches import encoded, scores_of
from tests.benchmarks.quality.folds import divide
from tests.benchmarks.quality.sets import open_set

COUNTS = (10, 20, 31, 45, 100)
DRAWS = 4
NETWORKS = 3
MIN_TESTED = 10  # good images that are left to test with
CHANCE = 0.025  # on either side, of a count that a share within the range explains


@dataclass(frozen=True)
class Threshold:
    """What one threshold did on images that it was not set on."""

    flagged: float  # share of good images
    in_range: bool  # whether chance explains their number, with a share in the range that `fit` prints
    found: float  # share of defects
    best: float  # the same, of the threshold that flags exactly the rate of these good images


def main() -> None:
    """Print a row for each number of images, over all sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", help="folders, or sample")
    parser.add_argument("--output", type=Path, default=Path("bench-few"), help="folder for the rendered sample")
    arguments = parser.parse_args()
    found: dict[int, list[Threshold]] = {count: [] for count in COUNTS}
    headings = "set", "images", "rate", "range", "flagged", "draws in range", "found", "of the best"
    print("| " + " | ".join(headings) + " |\n|" + "---|" * len(headings))
    for name in arguments.sets:
        for count, measured in measure(name, arguments.output).items():
            found[count] += measured
            print(row(Path(name).name, count, measured), flush=True)
    for count, measured in found.items():
        if measured:
            print(row("all", count, measured))


def row(name: str, count: int, measured: list[Threshold]) -> str:
    """Means over draws."""
    rate = supported_rate(count)
    low, high = range_of(count, rate)
    flagged, inside, found, best = np.mean([[t.flagged, t.in_range, t.found, t.best] for t in measured], axis=0)
    return (
        f"| {name} | {count} | {100 * rate:g} % | {100 * low:.2g} to {100 * high:.2g} % | {100 * flagged:.1f} % | "
        f"{100 * inside:.0f} % of {len(measured)} | {100 * found:.0f} % | {found / best if best else np.nan:.2f} |"
    )


def range_of(count: int, rate: float) -> tuple[float, float]:
    """The range that `fit` prints for a threshold of so many images."""
    return calibrate(np.arange(float(count)), rate).range or (0.0, 1.0)


def measure(name: str, output: Path) -> dict[int, list[Threshold]]:
    """What thresholds of a set's images do, by the number of images."""
    divided = divide(open_set(name, output), Path(name).name, NETWORKS)
    images = load_images((*divided.good, *divided.defects), choose_input(divided.good, side=256, any_size=True))
    good = images[: len(divided.good)]
    encoder = load_encoder(BUILT_IN, images.shape[3])
    assert encoder is not None
    features, of_defects = encoded(encoder, images).split([len(good), len(divided.defects)])
    found: dict[int, list[Threshold]] = {}
    for count in COUNTS:
        if len(good) < count + MIN_TESTED:
            continue
        for seed in range(DRAWS):
            order = np.random.default_rng(seed).permutation(int(divided.groups.max()) + 1)
            drawn = one_of_each(divided.groups, order)[:count]
            new = np.flatnonzero(~np.isin(divided.groups, divided.groups[drawn]))
            if len(new) >= MIN_TESTED:
                one = judge(encoder, good[drawn], divided.groups[drawn], features[drawn], features[new], of_defects)
                found.setdefault(count, []).append(one)
    return found


def one_of_each(groups: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of all images, int [N]: the first of each group, groups in this order, then the second of each, ..."""
    members = [np.flatnonzero(groups == group) for group in order]
    rounds = range(max(len(each) for each in members))
    return np.array([each[i] for i in rounds for each in members if i < len(each)])


def judge(
    encoder: Encoder, drawn: Pixels, groups: NDArray[np.int64], known: Tensor, new: Tensor, defects: Tensor
) -> Threshold:
    """Set a threshold on the frames that were drawn, uint8 [N, H, W, C], and apply it to all others.

    The last three are features of the frames that were drawn, of all other good ones and of the defects.
    """
    units = np.unique(groups, return_inverse=True)[1]
    scores, judged = np.full(len(drawn), np.nan), []
    for part in splits(units, seed=0, count=NETWORKS):
        rebuild = rebuild_features(encoder, drawn[part.train], texture=False, seed=0)
        held_out = scores_of(rebuild, known[part.validation])
        scale = Scale.of(from_numpy(held_out))
        scores[part.validation] = (held_out - scale.mean) / scale.std
        judged.append((scores_of(rebuild, torch.cat([new, defects])) - scale.mean) / scale.std)
    of_new, of_defects = np.split(np.mean(judged, axis=0), [len(new)])
    rate = supported_rate(len(drawn))
    threshold, (low, high) = calibrate(scores[np.isfinite(scores)], rate).threshold, range_of(len(drawn), rate)
    flagged = int((of_new > threshold).sum())
    limits = stats.binom.ppf(CHANCE, len(new), low), stats.binom.ppf(1 - CHANCE, len(new), high)
    best = float(np.quantile(of_new, 1 - rate))
    return Threshold(
        flagged / len(new),
        bool(limits[0] <= flagged <= limits[1]),
        float((of_defects > threshold).mean()),
        float((of_defects > best).mean()),
    )


if __name__ == "__main__":
    main()
