"""What is known of image files: read once, decoded once for each input, and within bounds."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import DecodingLimits
from andon_monitor.model import imaging
from andon_monitor.model.card import InputSpec
from andon_trainer.data.images import ImageCache, load_image, load_images
from andon_trainer.data.input import choose_input
from andon_trainer.data.masks import load_mask
from andon_trainer.data.sample import Sample

from tests.fixtures.images import samples_of, save_noise

RNG = np.random.default_rng(0)


def images(folder: Path, count: int = 4) -> list[Sample]:
    samples = [Sample(folder / f"{i}.png", "good") for i in range(count)]
    for sample in samples:
        cv2.imwrite(str(sample.path), RNG.integers(0, 256, (96, 96), dtype=np.uint8))
    return samples


def test_a_fingerprint_names_the_content_not_the_names(tmp_path: Path) -> None:
    first, second = images(tmp_path, 2)
    before = ImageCache().fingerprint([first, second])
    renamed = Sample(first.path.rename(tmp_path / "z.png"), "good")
    assert ImageCache().fingerprint([second, renamed]) == before
    images(tmp_path, 2)
    assert ImageCache().fingerprint([second, renamed]) != before


def test_files_that_are_known_are_not_needed_any_more(tmp_path: Path) -> None:
    samples, files = images(tmp_path), ImageCache()
    spec = choose_input(samples, 64, files=files)
    for sample in samples:
        sample.path.unlink()
    assert choose_input(samples, 64, files=files) == spec
    known = files.frames(samples, spec)
    assert len(files.fingerprint(samples)) == 64
    files.release()
    assert np.array_equal(files.frame(samples[2].path, spec), known[2])
    with pytest.raises(UsageError, match=r"2\.png: cannot be read"):
        files.frame(samples[2].path, spec.model_copy(update={"height": 96}))


def test_frames_are_decoded_once_for_each_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, files = images(tmp_path), ImageCache()
    decoded: list[int] = []
    load = imaging.load

    def counted(data: bytes, spec: InputSpec, *limits: DecodingLimits) -> imaging.Pixels:
        decoded.append(spec.height)
        return load(data, spec, *limits)

    monkeypatch.setattr(imaging, "load", counted)
    small, large = (choose_input(samples, side, files=files) for side in (64, 96))
    for spec in (small, small, large):
        np.testing.assert_array_equal(files.frames(samples, spec), files.frames(samples, spec))
    assert decoded == [small.height] * 4 + [large.height] * 4


def test_files_beyond_the_bound_are_read_again(tmp_path: Path) -> None:
    samples = images(tmp_path)
    bound = samples[0].path.stat().st_size + samples[1].path.stat().st_size
    files = ImageCache(kept_bytes=bound)
    before = [files.read(sample.path) for sample in samples]
    for sample in samples:
        sample.path.write_bytes(b"changed")
    assert [files.read(sample.path) for sample in samples] == [*before[:2], b"changed", b"changed"]


def test_frames_are_those_of_each_file_alone(tmp_path: Path) -> None:
    samples = images(tmp_path)
    spec = choose_input(samples, 64)
    frames = load_images(samples, spec)
    np.testing.assert_array_equal(frames, np.stack([load_image(sample.path, spec) for sample in samples]))


def test_damaged_image_is_named(tmp_path: Path) -> None:
    paths = [save_noise(tmp_path / f"{i}.jpg") for i in range(9)]
    spec = choose_input(samples_of(*paths), side=64)
    paths[4].write_bytes(paths[4].read_bytes()[:400])
    with pytest.raises(UsageError, match=r"4\.jpg: truncated"):
        load_images(samples_of(*paths), spec)
    paths[4].write_bytes(b"not an image at all")
    with pytest.raises(UsageError, match=r"4\.jpg: not an image"):
        choose_input(samples_of(*paths), side=64)


def test_a_giant_file_is_refused_without_being_read_into_memory(tmp_path: Path) -> None:
    path = save_noise(tmp_path / "0.png")
    with path.open("r+b") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(UsageError, match=rf"0\.png: a file of {2**40} bytes, at most"):
        load_images(samples_of(path), InputSpec(height=64, width=64, channels=1))


def test_region_crops_image_and_mask_alike(tmp_path: Path) -> None:
    image = np.zeros((100, 100), np.uint8)
    image[20:52, 40:72] = 255
    cv2.imwrite(str(tmp_path / "0.png"), image)
    spec = choose_input(samples_of(tmp_path / "0.png"), side=64, region=(40, 20, 32, 32))
    assert load_image(tmp_path / "0.png", spec).min() == 255
    assert load_mask(tmp_path / "0.png", spec).all()
