"""`denoise` as a user calls it."""

from pathlib import Path

from tests.fixtures.commands import call
from tests.fixtures.images import picture_size


def test_denoise_writes_the_images_and_compares_filters(model_file: Path, sample_folder: Path, tmp_path: Path) -> None:
    good, cleaned, drawn = sample_folder / "test/good", tmp_path / "clean", tmp_path / "sheet.png"
    done = call("denoise", model_file, good, "-o", cleaned, "--add-noise", "40", "--picture", drawn)
    assert done.exception is None, done.exception
    for name in ("noisy", "Gaussian", "median", "non-local means", "autoencoder"):
        assert name in done.output
    assert sorted(path.stem for path in cleaned.iterdir()) == sorted(path.stem for path in good.iterdir())
    assert min(picture_size(drawn)) > 200
    one = next(good.iterdir())
    again = call("denoise", model_file, one, "-o", tmp_path / "other.png", "--clean", one)
    assert again.exception is None
    assert "inf" in again.output, "the noisy ones are the clean ones here"


def test_one_noisy_image_gives_one_cleaned_image(model_file: Path, sample_folder: Path, tmp_path: Path) -> None:
    noisy = next((sample_folder / "test/good").iterdir())
    assert call("denoise", model_file, noisy, "-o", tmp_path / "clean.png").exception is None
    assert picture_size(tmp_path / "clean.png")[0] == 96
