"""A folder of images with masks, and what a folder holds."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from andon_trainer.annotations.marked import Pixels
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.masks import read_mask

WIDTH, HEIGHT = 60, 40


def picture(number: int) -> Any:
    """An image unlike the others. uint8 [HEIGHT, WIDTH]."""
    return np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH), np.uint8)


def ring() -> Pixels:
    """A mask with a hole, and a pixel in the last corner but one."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[5:30, 10:50] = True
    mask[12:20, 20:30] = False
    mask[35, 59] = True
    return mask


def save(path: Path, image: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(path.suffix, image)
    assert ok
    path.write_bytes(data.tobytes())


def part(root: Path) -> Path:
    """Good images, scratches with masks, a dent without one; two images of one name, one that needs escaping."""
    for number in range(4):
        save(root / f"train/good/{number}.png", picture(number))
    save(root / "test/good/0.png", picture(10))
    save(root / 'test/scratch/ö "&<.png', picture(20))
    save(root / 'ground_truth/scratch/ö "&<_mask.png', ring().astype(np.uint8) * 255)
    save(root / "test/scratch/0.png", picture(21))
    save(root / "ground_truth/scratch/0_mask.png", np.flip(ring()).astype(np.uint8) * 255)
    save(root / "test/dent/0.png", picture(22))
    return root


def contents(root: Path) -> dict[bytes, tuple[str, bytes | None]]:
    """Of each image, by its bytes: the label and the mask."""
    dataset = open_dataset(root)
    return {
        sample.path.read_bytes(): (sample.label, None if sample.mask is None else read_mask(sample.mask).tobytes())
        for sample in (*dataset.train, *dataset.test)
    }
