"""Array files stand for folders of images in every command."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.formats.latent_archive import Archive
from andon_monitor.model import imaging
from andon_monitor.model.autoencoder import Autoencoder

from tests.fixtures.commands import call, refused


@pytest.fixture(scope="module")
def part(model_file: Path) -> Autoencoder:
    return Autoencoder.load(model_file, "cpu")


@pytest.fixture(scope="module")
def images(sample_folder: Path) -> np.ndarray:
    paths = sorted((sample_folder / "train/good").iterdir())[:9]
    return np.stack([np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) for path in paths])


@pytest.fixture(scope="module")
def arrays(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("arrays") / "parts.npz"
    np.savez(path, images=images, dark=images // 2)
    return path


def test_compress_and_reduce_take_them(
    part: Autoencoder, model_file: Path, arrays: Path, images: np.ndarray, tmp_path: Path
) -> None:
    assert call("compress", model_file, arrays, "-o", tmp_path / "a.andon", "--compare").exception is None
    ((names, latents),) = Archive(tmp_path / "a.andon")
    assert names == [f"{i}.png" for i in range(9)]
    steps = Archive(tmp_path / "a.andon").header.step_sizes()
    frames = np.stack([imaging.prepare(image[:, :, None], part.card.input) for image in images])
    exact = part.encode(frames)
    assert (np.abs(latents - exact) <= 0.5001 * steps + 1e-5 * np.abs(exact)).all()
    assert call("decompress", model_file, tmp_path / "a.andon", "-o", tmp_path / "out").exception is None
    assert len(list((tmp_path / "out").glob("*.png"))) == 9
    assert call("reduce", model_file, arrays, "-o", tmp_path / "a.csv").exception is None
    assert (tmp_path / "a.csv").read_text().splitlines()[1].startswith('"images/0.png"')


def test_denoise_takes_noisy_and_clean_ones_as_arrays(model_file: Path, arrays: Path, tmp_path: Path) -> None:
    done = call("denoise", model_file, arrays / "dark", "-o", tmp_path / "out", "--clean", arrays)
    assert done.exception is None, done.exception
    assert "9 images" in done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{i}.png" for i in range(9)]
    np.save(tmp_path / "few.npy", np.load(arrays)["images"][:4])
    said = refused("denoise", model_file, arrays, "-o", tmp_path / "other", "--clean", tmp_path / "few.npy")
    assert "4.png is missing" in said
    assert not (tmp_path / "other").exists()
