"""An image file's format is known by how it begins, and there is one table of formats."""

import cv2
import numpy as np
import pytest
from andon_monitor.image_files.decoding import SUFFIXES
from andon_monitor.image_files.signatures import FORMATS, ImageFormat, detect, suffix_of


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_a_file_as_opencv_writes_it_is_recognised(known: ImageFormat) -> None:
    suffix = known.suffix
    image = np.zeros((8, 8, 1 if suffix == ".pgm" else 3), np.uint8)
    _, data = cv2.imencode(suffix, image)
    assert detect(data.tobytes()) is known
    assert suffix_of(data.tobytes(), ".bin") == suffix


@pytest.mark.parametrize("data", [b"", b"no image", b"RIFF\0\0\0\0WAVEfmt ", b"RIFF"])
def test_anything_else_is_not(data: bytes) -> None:
    assert detect(data) is None
    assert suffix_of(data, ".bin") == ".bin"


def test_every_format_has_a_suffix_that_folders_are_searched_for() -> None:
    assert {known.suffix for known in FORMATS} <= set(SUFFIXES)
