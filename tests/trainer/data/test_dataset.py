"""Folders of images: what is found, and what is refused."""

import os
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


def test_folders_by_day_inside_good_are_read(tmp_path: Path) -> None:
    for place in ("train/good", "train/good/monday", "train/good/tuesday/late", "test/dent/monday"):
        save_noise(tmp_path / f"{place}/0.png")
    mask = save_noise(tmp_path / "ground_truth/dent/monday/0_mask.png")
    dataset = open_dataset(tmp_path)
    assert len(dataset.train) == 3
    assert [(sample.label, sample.mask) for sample in dataset.test] == [("dent", mask)]
    assert [sample.batch for sample in dataset.train] == [".", "monday", "tuesday/late"]
    assert dataset.notes == ()
    for i in range(8):
        save_noise(tmp_path / f"only/good/monday/{i}.png")
    only = good_samples(open_dataset(tmp_path / "only"))
    assert [sample.batch for sample in only] == ["monday"] * 8


def test_images_of_one_folder_are_no_batches(tmp_path: Path) -> None:
    save_noise(tmp_path / "train/good/0.png")
    save_noise(tmp_path / "train/good/1.png")
    assert [sample.batch for sample in open_dataset(tmp_path).train] == [None, None]


def test_what_is_passed_over_is_said(tmp_path: Path) -> None:
    for place in ("train/good/0.png", "train/bad/0.png", "test/0.png", "test/dent/0.png", "0.png"):
        save_noise(tmp_path / place)
    (tmp_path / "train/good/._0.png").write_bytes(b"\0\5\26\7")
    (tmp_path / "train/good/0.jfif.txt").write_text("no image")
    os.mkfifo(tmp_path / "train/good/1.png")
    dataset = open_dataset(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (1, 1)
    (note,) = dataset.notes
    assert "6 passed over: 3 elsewhere than in train/good and test/* ('0.png', " in note
    for reason in ("1 hidden ('train/good/._0.png')", "1 with other endings", "1 neither files nor folders"):
        assert reason in note


def test_folders_next_to_good_images_may_hold_defects_and_are_passed_over(tmp_path: Path) -> None:
    save_noise(tmp_path / "0.png")
    save_noise(tmp_path / "scratch/0.png")
    dataset = open_dataset(tmp_path)
    assert len(dataset.train) == 1
    assert dataset.notes == (f"{tmp_path}: 1 passed over: 1 in folders next to images ('scratch/0.png')",)


def test_a_folder_without_images_says_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "._0.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"no images in it \(1 passed over: 1 hidden"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "7.png",
        "7_mask.png",
        "7_gt.bmp",
        "7-label.tif",
        "7.seg.png",
        "7_Ground_Truth.PNG",
        "7_gt_mask.png",
        "7 (mask).png",
    ],
)
def test_masks_have_the_names_that_people_give_them(tmp_path: Path, name: str) -> None:
    save_noise(tmp_path / "test/dent/7.jpg")
    mask = save_noise(tmp_path / f"ground_truth/dent/{name}")
    mask.with_name("7_mask.txt").write_text("16 16 48 48")
    (tmp_path / "ground_truth/dent/._7_mask.png").write_bytes(b"")
    assert open_dataset(tmp_path).test[0].mask == mask


def test_an_image_next_to_its_mask_is_no_mask_and_two_masks_are_refused(tmp_path: Path) -> None:
    save_noise(tmp_path / "test/dent/7.jpg")
    save_noise(tmp_path / "ground_truth/dent/7.jpg")
    mask = save_noise(tmp_path / "ground_truth/dent/7_mask.png")
    assert open_dataset(tmp_path).test[0].mask == mask
    save_noise(tmp_path / "ground_truth/dent/7_gt.png")
    with pytest.raises(UsageError, match=r"7_gt\.png: .*7_mask\.png is a mask of 7\.jpg, too"):
        open_dataset(tmp_path)


def test_masks_without_an_image_and_defects_without_a_mask_are_said(tmp_path: Path) -> None:
    for i in range(3):
        save_noise(tmp_path / f"test/dent/{i}.png")
    for name in ("dent/0_mask.png", "dent/x0_mask.png", "hole/0_mask.png"):
        save_noise(tmp_path / f"ground_truth/{name}")
    assert open_dataset(tmp_path).notes == (
        f"{tmp_path}: 2 of 3 masks belong to no image ('ground_truth/dent/x0_mask.png', "
        "'ground_truth/hole/0_mask.png')",
        f"{tmp_path}: 2 of 3 images of defects have no mask ('test/dent/1.png', 'test/dent/2.png'); pixel figures "
        "leave them out",
    )


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


def test_a_folder_may_be_given_as_text(tmp_path: Path) -> None:
    save_noise(tmp_path / "0.png")
    assert open_dataset(str(tmp_path)) == open_dataset(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        open_dataset(str(tmp_path / "nothing"))
