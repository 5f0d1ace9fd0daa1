"""The sets to measure on, and what one training is given of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from andon_trainer.data.dataset import Dataset, open_dataset
from andon_trainer.data.images import load_images
from andon_trainer.data.input import choose_input
from andon_trainer.data.near_duplicates import near_duplicates_between
from andon_trainer.data.sample import GOOD, Sample
from andon_trainer.sample.render import write_sample

SAMPLE = "sample"  # the word that stands for the rendered part
SHARED = Path("../shared/data")  # real images, where a checkout has them beside it
ALIKE = 0.9  # thumbnails that correlate so far may be photographs of one part
DEFAULT = (SHARED / "magnetic_tile", SHARED / "molded_toy")


def open_set(name: str, output: Path) -> Dataset:
    """A folder in MVTec AD's layout, or the sample part, rendered into `output` once. Raises UsageError."""
    if name != SAMPLE:
        return open_dataset(Path(name))
    if not (output / SAMPLE).exists():
        write_sample(output / SAMPLE, stream=0)
    return open_dataset(output / SAMPLE)


def draw(dataset: Dataset, seed: int, images: int | None, mixed: float) -> Dataset:
    """What one training learns from and is tested on.

    `images`: so many of the good ones, drawn at random; None for all. `mixed`: a share of defects among
    them, taken out of the test images, as are other photographs of the same parts: where a training takes a defect for
    good, nobody can ask that it is found. More images include those of fewer, with the same seed.
    """
    rng = np.random.default_rng(seed)
    good = [dataset.train[i] for i in rng.permutation(len(dataset.train))[:images]]
    defects = [sample for sample in dataset.test if sample.label != GOOD]
    slipped = [defects[i] for i in rng.permutation(len(defects))[: round(mixed * len(good))]]
    train = sorted(good + [Sample(sample.path, GOOD) for sample in slipped], key=lambda sample: sample.path)
    told = photographs_of(slipped, defects) if slipped else ()
    test = tuple(sample for sample in dataset.test if sample not in told)
    return replace(dataset, train=tuple(train), test=test)


def photographs_of(chosen: list[Sample], samples: list[Sample]) -> tuple[Sample, ...]:
    """Those of the samples that may show the same parts as the chosen ones, and these."""
    spec = choose_input(samples, side=64, any_size=True)
    return near_duplicates_between(load_images(chosen, spec), samples, load_images(samples, spec), ALIKE)
