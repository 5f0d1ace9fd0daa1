"""reduce, denoise, compress and decompress as a user calls them, and what they measure with."""

import io
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet
import pytest
from andon_monitor.model.autoencoder import Autoencoder
from andon_trainer.uses.compression import best_within, code
from andon_trainer.uses.denoising import add_noise, clean_up
from andon_trainer.uses.quality import psnr, ssim
from andon_trainer.uses.reduction import FORMATS, pack, reduce, standardise

from tests.fixtures.commands import call, refused

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def part(model_file: Path) -> Autoencoder:
    return Autoencoder.load(model_file, "cpu")


def picture(path: Path) -> tuple[int, int]:
    height, width = cv2.imread(str(path)).shape[:2]
    return height, width


def test_reduce_writes_a_table_of_latents_with_names(
    model_file: Path, sample_folder: Path, part: Autoencoder, tmp_path: Path
) -> None:
    table, drawn = tmp_path / "latents.parquet", tmp_path / "map.png"
    done = call("reduce", model_file, sample_folder, "-o", table, "--picture", drawn)
    assert done.exception is None, done.exception
    assert "PCA" in done.output
    assert min(picture(drawn)) > 300
    files = sorted(str(path.relative_to(sample_folder)) for path in (sample_folder / "test").rglob("*.jpg"))
    exact = part.encode(np.stack([part.read(sample_folder / file) for file in files]))
    read = pyarrow.parquet.read_table(table).to_pydict()
    latents = np.stack([read[key] for key in read if key.startswith("latent")], axis=1)
    assert read["file"] == files
    assert read["label"][0] == Path(files[0]).parent.name
    np.testing.assert_allclose(latents, exact, rtol=1e-5, atol=1e-6)


def test_a_table_is_the_same_in_every_format(tmp_path: Path) -> None:
    latents = RNG.normal(size=(3, 12)).astype(np.float32)
    contents = {suffix: pack(suffix, list("abc"), list("xyx"), latents[:, 0], latents) for suffix in FORMATS}
    header, *lines = contents[".csv"].decode().splitlines()
    assert header.split(",")[:4] == ['"file"', '"label"', '"score"', '"latent_00"']
    np.testing.assert_allclose(np.array([line.split(",")[3:] for line in lines], np.float32), latents, rtol=1e-6)
    arrays = np.load(io.BytesIO(contents[".npz"]))
    assert arrays["name"].tolist() == list("abc")
    assert np.array_equal(arrays["latent"], latents)


def test_a_reduction_by_components_of_the_same_images_keeps_their_neighbours(part: Autoencoder) -> None:
    side = part.card.input
    frames = RNG.integers(0, 256, (12, side.height, side.width, side.channels), dtype=np.uint8)
    reduced = reduce(part, frames, ["a", "b"] * 6, frames)
    by_model, by_components = reduced.measured
    assert by_components.size == 11
    assert by_components.error < 1, "as many components as images give them back"
    assert by_components.trustworthiness == pytest.approx(1)
    assert by_components.continuity == pytest.approx(1)
    assert by_model.error > 30, "noise is nothing that a model of parts can rebuild"


def test_standardised_numbers_have_one_spread() -> None:
    codes = RNG.normal(3, [1, 100, 0], (50, 3)).astype(np.float32)
    assert standardise(codes).std(axis=0) == pytest.approx([1, 1, 0], abs=1e-4)


def test_denoise_writes_the_images_and_measures_beside_filters(
    model_file: Path, sample_folder: Path, tmp_path: Path
) -> None:
    good, cleaned, drawn = sample_folder / "test/good", tmp_path / "clean", tmp_path / "sheet.png"
    done = call("denoise", model_file, good, "-o", cleaned, "--add-noise", "40", "--picture", drawn)
    assert done.exception is None, done.exception
    for name in ("noisy", "Gaussian", "median", "non-local means", "autoencoder"):
        assert name in done.output
    assert sorted(path.stem for path in cleaned.iterdir()) == sorted(path.stem for path in good.iterdir())
    assert min(picture(drawn)) > 200
    one = next(good.iterdir())
    again = call("denoise", model_file, one, "-o", tmp_path / "other.png", "--clean", one)
    assert again.exception is None
    assert "inf" in again.output, "the noisy ones are the clean ones here"


def test_one_noisy_image_gives_one_cleaned_image(model_file: Path, sample_folder: Path, tmp_path: Path) -> None:
    noisy = next((sample_folder / "test/good").iterdir())
    assert call("denoise", model_file, noisy, "-o", tmp_path / "clean.png").exception is None
    assert picture(tmp_path / "clean.png")[0] == 96


def test_cleaning_takes_the_contrast_of_the_noise_back(part: Autoencoder) -> None:
    good = part.model.golden_frames[:2]
    noisy = add_noise(good, 60, seed=0)
    assert noisy.std() > 1.3 * good.std()
    assert clean_up(part, noisy).std() < 1.1 * good.std()
    assert psnr(clean_up(part, noisy), good) > psnr(noisy, good) + 6


def test_compress_and_decompress_are_a_round_trip(
    model_file: Path, sample_folder: Path, part: Autoencoder, tmp_path: Path
) -> None:
    images, packed, drawn = sample_folder / "test", tmp_path / "test.andon", tmp_path / "sheet.png"
    done = call("compress", model_file, images, "-o", packed, "--grain", "0.05", "--picture", drawn)
    assert done.exception is None, done.exception
    assert "WebP" in done.output
    assert min(picture(drawn)) > 200
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


MISTAKES = [
    (("reduce", "MODEL", "DATA", "-o", "x.txt"), "x.txt: give a name that ends in .parquet"),
    (("reduce", "MODEL", "DATA", "-o", "x.csv", "--colour-by", "mood"), "--colour-by mood: choose label, score"),
    (("denoise", "MODEL", "nowhere", "-o", "x"), "nowhere: no such file or folder"),
    (("denoise", "MODEL", "DATA", "-o", "x", "--picture", "p.png"), "--picture: draws what"),
    (("denoise", "MODEL", "DATA", "-o", "x", "--add-noise", "999"), "--add-noise 999"),
    (("compress", "MODEL", "DATA", "-o", "x.andon", "--grain", "0"), "--grain 0"),
    (("decompress", "MODEL", "MODEL", "-o", "x"), "not an archive"),
    (("classify", "MODEL", "DATA", "-o", "x.onnx", "--way", "best"), "--way best: choose auto, frozen, fine-tuned"),
    (("classify", "MODEL", "GOOD", "-o", "x.onnx"), "no defects in it; give a folder for each kind"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(case[0][::4]) for case in MISTAKES])
def test_a_mistake_is_one_line_and_leaves_nothing(
    model_file: Path, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"MODEL": model_file, "DATA": sample_folder, "GOOD": sample_folder / "train/good"}
    said = refused(*(given.get(argument, argument) for argument in arguments))
    assert message in said
    assert "\n" not in said
    assert list(tmp_path.iterdir()) == []


def test_psnr_and_ssim_are_what_their_definitions_say() -> None:
    a = RNG.integers(0, 256, (40, 50, 1), dtype=np.uint8)
    assert psnr(a, a) == float("inf")
    assert ssim(a, a) == pytest.approx(1)
    grey = np.full((40, 50, 1), 100, np.uint8)
    assert psnr(grey, grey + 10) == pytest.approx(20 * np.log10(25.5))
    # Without structure there is but the factor of the means.
    c1 = (0.01 * 255) ** 2
    assert ssim(grey, grey + 10) == pytest.approx((2 * 100 * 110 + c1) / (100**2 + 110**2 + c1))
    assert ssim(a, 255 - a) < 0


def test_a_codec_is_given_its_best_chance() -> None:
    image = cv2.GaussianBlur(RNG.integers(0, 256, (64, 64), dtype=np.uint8), (0, 0), 3)[:, :, None]
    for suffix in (".jpg", ".webp"):
        size, shown = best_within(suffix, image, 600)
        assert size <= 600
        assert shown.shape == image.shape
        plain = [code(suffix, image, 1.0, quality) for quality in (1, 5, 10, 30)]
        assert psnr(shown, image) >= max((psnr(p, image) for s, p in plain if s <= 600), default=0)
        assert best_within(suffix, image, 1)[0] > 1, "the smallest there is, where nothing fits"
