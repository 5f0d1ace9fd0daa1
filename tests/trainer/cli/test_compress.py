"""`compress` and `decompress` as a user calls them."""

from pathlib import Path

import cv2
import numpy as np
from andon_monitor.model.autoencoder import Autoencoder

from tests.fixtures.commands import call, refused
from tests.fixtures.images import picture_size


def test_compress_and_decompress_are_a_round_trip(model_file: Path, sample_folder: Path, tmp_path: Path) -> None:
    part = Autoencoder.load(model_file, "cpu")
    images, packed, drawn = sample_folder / "test", tmp_path / "test.andon", tmp_path / "sheet.png"
    done = call("compress", model_file, images, "-o", packed, "--grain", "0.05", "--picture", drawn)
    assert done.exception is None, done.exception
    assert "WebP" in done.output
    assert min(picture_size(drawn)) > 200
    assert call("decompress", model_file, packed, "-o", tmp_path / "out").exception is None
    files = sorted(images.rglob("*.jpg"))
    assert len(files) == 14
    for path in files:
        back = cv2.imread(str(tmp_path / "out" / path.relative_to(images)) + ".png", cv2.IMREAD_GRAYSCALE)
        expected = part.reconstruct(part.read(path)[None])[0, :, :, 0].astype(int)
        assert np.abs(back - expected).mean() < 1
    assert "give a new folder" in refused("decompress", model_file, packed, "-o", tmp_path / "out")
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 1
    packed.write_bytes(content)
    assert "damaged" in refused("decompress", model_file, packed, "-o", tmp_path / "other")
    assert not (tmp_path / "other").exists()
