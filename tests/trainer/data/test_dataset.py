"""Folders of images: what is found, and what is refused."""

from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_trainer.data.dataset import good_samples, open_dataset

from tests.fixtures.images import save_noise


def test_mvtec_layout_is_read_with_its_masks(tmp_path: Path) -> None:
    save_noise(tmp_path / "train/good/0.png")
    save_noise(tmp_path / "test/good/0.png")
    save_noise(tmp_path / "test/scratch/7.png")
    mask = save_noise(tmp_path / "ground_truth/scratch/7_mask.png")
    dataset = open_dataset(tmp_path)
    assert [sample.label for sample in dataset.train] == ["good"]
    assert [(sample.label, sample.mask) for sample in dataset.test] == [("good", None), ("scratch", mask)]


def test_plain_folder_is_all_good(tmp_path: Path) -> None:
    save_noise(tmp_path / "b.JPG")
    save_noise(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("not an image")
    dataset = open_dataset(tmp_path)
    assert [sample.path.name for sample in dataset.train] == ["a.png", "b.JPG"]
    assert dataset.test == ()


def test_folder_of_kinds_can_be_evaluated(tmp_path: Path) -> None:
    save_noise(tmp_path / "good/0.png")
    save_noise(tmp_path / "dent/0.png")
    dataset = open_dataset(tmp_path)
    assert {sample.label for sample in dataset.test} == {"good", "dent"}
    assert [sample.label for sample in dataset.train] == ["good"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "nowhere", "no such folder"),
        (lambda root: save_noise(root / "file.png"), "a file; give a folder"),
        (lambda root: root, "no images in it"),
    ],
)
def test_what_is_not_a_folder_of_images_is_refused(tmp_path: Path, make, message: str) -> None:
    path = make(tmp_path)
    with pytest.raises(UsageError, match=message):
        open_dataset(path)


def test_only_defects_is_refused_and_names_the_kinds(tmp_path: Path) -> None:
    for i in range(9):
        save_noise(tmp_path / f"test/scratch/{i}.png")
    with pytest.raises(UsageError, match="only scratch"):
        good_samples(open_dataset(tmp_path))


def test_three_images_are_too_few(tmp_path: Path) -> None:
    for i in range(3):
        save_noise(tmp_path / f"{i}.png")
    with pytest.raises(UsageError, match="3 images of good parts, at least 8"):
        good_samples(open_dataset(tmp_path))
