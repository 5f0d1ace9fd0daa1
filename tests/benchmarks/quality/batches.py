"""Whether thresholds hold for batches that nobody learned from: `python -m tests.benchmarks.quality.batches SET ...`.

A third of a set's batches is kept aside, half a dozen times at random. Of the others, each third is scored by what was
fitted to the other two; these scores set the threshold and the limit that `fit` prints. The batches kept aside are then
scored by what was fitted to all others. To be quick, the score is that of the encoder's features alone, without a
trained network: rates and limits are those of the whole model's method, the found share is not the whole model's.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.imaging import Pixels
from andon_trainer.data.batches import compare_batches
from andon_trainer.data.images import load_images
from andon_trainer.data.input import choose_input
from andon_trainer.network.encoder import BUILT_IN, Encoder, load_encoder
from andon_trainer.network.feature_autoencoder import FeatureAutoencoder
from andon_trainer.network.tensors import BATCH_FRAMES, batched, to_unit, top_mean
from andon_trainer.scoring.detector import MEMORY_TOP_SHARE
from andon_trainer.scoring.encoding import rebuild_features
from numpy.typing import NDArray
from torch import Tensor

from tests.benchmarks.quality.folds import divide
from tests.benchmarks.quality.sets import open_set

DRAWS = 6
FOLDS = 3
RATES = (0.01, 0.05)


def main() -> None:
    """Print a row for each set and rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path)
    headings = "set", "rate", "flagged of unseen batches", "limit", "unseen batches within it", "found"
    print("| " + " | ".join(headings) + " |\n|" + "---|" * len(headings))
    for path in parser.parse_args().sets:
        measure(path)


def measure(path: Path) -> None:
    """Print the rows of one set."""
    divided = divide(open_set(str(path), path), path.name, FOLDS)
    images = load_images((*divided.good, *divided.defects), choose_input(divided.good, side=256, any_size=True))
    encoder = load_encoder(BUILT_IN, images.shape[3])
    assert encoder is not None
    batch_of, good, defects = divided.groups, images[: len(divided.good)], images[len(divided.good) :]
    rows: dict[float, list[tuple[float, float, float, float]]] = {rate: [] for rate in RATES}
    for seed in range(DRAWS):
        order = np.random.default_rng(seed).permutation(int(batch_of.max()) + 1)
        unseen, others = order[: len(order) // FOLDS], order[len(order) // FOLDS :]
        scores = np.full(len(good), np.nan)
        for i in range(FOLDS):
            held_out = np.isin(batch_of, others[i::FOLDS])
            learned = np.isin(batch_of, others) & ~held_out
            scores[held_out] = fitted_scores(encoder, good[learned], good[held_out])
        known, new = np.isin(batch_of, others), np.isin(batch_of, unseen)
        judged = fitted_scores(encoder, good[known], np.concatenate([good[new], defects]))
        of_new, of_defects = judged[: new.sum()], judged[new.sum() :]
        for rate in RATES:
            threshold = calibrate(scores[known], rate).threshold
            names = [str(each) for each in batch_of[known]]
            batches = compare_batches(names, scores[known], True, len(others), rate)
            assert batches is not None
            limit = batches.limit
            assert limit is not None
            shares = np.array([(of_new[batch_of[new] == batch] > threshold).mean() for batch in unseen])
            within, found = float((shares <= limit).mean()), float((of_defects > threshold).mean())
            rows[rate].append((float((of_new > threshold).mean()), limit, within, found))
    for rate, measured in rows.items():
        flagged, limit, within, found = 100 * np.mean(measured, axis=0)
        print(
            f"| {path.name}, {int(batch_of.max()) + 1} batches | {100 * rate:g} % | {flagged:.1f} % | {limit:.1f} % | "
            f"{within:.0f} % | {found:.0f} % |",
            flush=True,
        )


@torch.no_grad()
def fitted_scores(encoder: Encoder, learned: Pixels, frames: Pixels) -> NDArray[np.float64]:
    """The scores, float [N], of frames uint8 [N, H, W, C] by the features of the images that were learned from."""
    return scores_of(rebuild_features(encoder, learned, texture=False, seed=0), encoded(encoder, frames))


@torch.no_grad()
def encoded(encoder: Encoder, frames: Pixels) -> Tensor:
    """The features float16 [N, F, h, w] of frames uint8 [N, H, W, C]."""
    run = encoder.in_runtime()
    return torch.cat([run(to_unit(batch)).half() for batch in batched(frames)])


@torch.no_grad()
def scores_of(rebuild: FeatureAutoencoder, features: Tensor) -> NDArray[np.float64]:
    """The scores, float [N], of frames with these features, float16 [N, F, h, w]."""
    maps = [rebuild(batch.float()) for batch in features.split(BATCH_FRAMES)]
    return torch.cat([top_mean(each, MEMORY_TOP_SHARE) for each in maps]).double().numpy()


if __name__ == "__main__":
    main()
