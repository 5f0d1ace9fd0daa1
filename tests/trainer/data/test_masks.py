"""Whatever is not 0 is defect, however a mask was saved; what may mean something else is refused by name."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_monitor.model.card import InputSpec
from andon_trainer.data.masks import load_mask
from PIL import Image

SPEC = InputSpec(height=64, width=64, channels=1, frame_size=(64, 64))
MASK = np.zeros((64, 64), np.uint8)
MASK[16:48, 16:40] = 1
OFF_BORDER = MASK.astype(bool)


def palette(colour: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(MASK, "P")
    image.putpalette([0, 0, 0, *colour, *[0] * 750])
    return image


FORMS: dict[str, Callable[[], Image.Image]] = {
    "0 and 255.png": lambda: Image.fromarray(MASK * 255),
    "0 and 1.png": lambda: Image.fromarray(MASK),
    "0 and 1.bmp": lambda: Image.fromarray(MASK),
    "0 and 1.tif": lambda: Image.fromarray(MASK),
    "two kinds.png": lambda: Image.fromarray(MASK * (1 + np.arange(64, dtype=np.uint8) % 2)),
    "one bit.png": lambda: Image.fromarray(OFF_BORDER),
    "dark red palette.png": lambda: palette((128, 0, 0)),
    "palette of 0 and 1.png": lambda: palette((1, 1, 1)),
    "blue.png": lambda: Image.fromarray(np.stack([0 * MASK, 0 * MASK, MASK], axis=2)),
    "opaque.png": lambda: Image.fromarray(np.stack([MASK, MASK, MASK, 0 * MASK + 255], axis=2)),
    "16 bits, 0 and 1.png": lambda: Image.fromarray(MASK.astype(np.uint16)),
    "16 bits, 0 and 1.tif": lambda: Image.fromarray(MASK.astype(np.uint16)),
    "0 and 255.jpg": lambda: Image.fromarray(MASK * 255),
    "0 and 128.jpg": lambda: Image.fromarray(MASK * 128),
}


@pytest.mark.parametrize("name", FORMS)
def test_what_is_not_0_is_defect(tmp_path: Path, name: str) -> None:
    FORMS[name]().save(tmp_path / name)
    assert np.array_equal(load_mask(tmp_path / name, SPEC, (64, 64)), OFF_BORDER)


@pytest.mark.parametrize(
    ("name", "mask", "message"),
    [
        ("inverted.png", 255 - 255 * MASK, "without 0 along its border"),
        (
            "inverted, a corner 0.png",
            np.where(np.add.outer(range(64), range(64)) < 3, 0, 255 - 255 * MASK),
            "without 0 along its border",
        ),
        ("full.png", 0 * MASK + 1, "without 0 along its border"),
        ("faint.jpg", MASK * 90, "in a format that changes them; save it as PNG"),
        ("small.png", MASK[:32, :32], "a mask of 32 x 32 pixels, its image is 64 x 64"),
    ],
)
def test_what_may_mean_something_else_is_refused(tmp_path: Path, name: str, mask: np.ndarray, message: str) -> None:
    cv2.imwrite(str(tmp_path / name), mask)
    with pytest.raises(UsageError, match=message) as raised:
        load_mask(tmp_path / name, SPEC.model_copy(update={"frame_size": None}), (64, 64))
    assert str(raised.value).startswith(str(tmp_path / name))


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    (tmp_path / "0_mask.png").write_text("16 16 48 48")
    with pytest.raises(UsageError, match=r"0_mask\.png: not an image"):
        load_mask(tmp_path / "0_mask.png", SPEC)


def test_a_mask_without_defect_is_empty(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), 0 * MASK)
    assert not load_mask(tmp_path / "0.png", SPEC).any()
