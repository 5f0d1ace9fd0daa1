"""Array files are read as folders of images, and what is wrong with one is said."""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_trainer.data.arrays import open_array
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import load_images
from andon_trainer.data.input import choose_input

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 9, 7), dtype=np.uint8)
LABELS = np.arange(12) % 3


def idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write(folder: Path, name: str) -> Path:
    """The images above in one of the formats."""
    path = folder / name
    if name == "digits.npy":
        np.save(path, IMAGES)
    elif name == "digits.npz":
        np.savez(path, images=IMAGES.astype(np.float32) / 255, labels=LABELS)
    elif name == "splits.npz":
        np.savez_compressed(path, x_train=IMAGES[..., None], y_train=LABELS, x_test=IMAGES[:4], y_test=LABELS[:4])
    else:
        pack = gzip.compress if name.endswith(".gz") else bytes
        path.write_bytes(pack(idx(IMAGES)))
        path.with_name(name.replace("images-idx3", "labels-idx1")).write_bytes(pack(idx(LABELS.astype(np.uint8))))
    return path


NAMES = ("digits.npy", "digits.npz", "splits.npz", "train-images-idx3-ubyte", "train-images-idx3-ubyte.gz")


@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_the_images_and_their_labels(tmp_path: Path, name: str) -> None:
    samples = open_dataset(write(tmp_path, name)).train
    spec = choose_input(samples, 64, inputs=63)
    assert (spec.height, spec.width, spec.channels, spec.frame_size) == (9, 7, 1, (7, 9))
    assert np.array_equal(load_images(samples, spec)[..., 0], IMAGES)
    expected = ["good"] * 12 if name == "digits.npy" else [str(label) for label in LABELS]
    assert [sample.label for sample in samples] == expected


def test_one_array_of_several_is_named_like_a_folder(tmp_path: Path) -> None:
    assert len(open_dataset(write(tmp_path, "splits.npz") / "x_test").train) == 4


def test_colours_keep_their_order(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "c.npy", colours)
    samples = open_dataset(tmp_path / "c.npy").train
    assert np.array_equal(load_images(samples, choose_input(samples, 64, inputs=192)), colours)


def test_labels_that_say_good_divide_what_is_learned_from_what_is_tested(tmp_path: Path) -> None:
    labels = np.array(["good"] * 9 + ["dent"] * 3)
    np.savez(tmp_path / "parts.npz", images=IMAGES, labels=labels)
    dataset = open_dataset(tmp_path / "parts.npz")
    assert len(dataset.train) == 9
    assert len(dataset.test) == 12


def test_a_network_of_another_size_says_what_would_fit(tmp_path: Path) -> None:
    samples = open_dataset(write(tmp_path, "digits.npy")).train
    assert choose_input(samples, 64, inputs=784).height == 28
    with pytest.raises(UsageError, match=r"--layers 99-...: images of 7 x 9 x 1 have 63 values"):
        choose_input(samples, 64, inputs=99)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", lambda p: np.save(p, IMAGES.astype(np.int64)), "int64 from 0 to 255, expected uint8"),
        ("a.npy", lambda p: np.save(p, IMAGES[0]), r"shape \(9, 7\), expected"),
        ("a.npz", lambda p: np.savez(p, images=IMAGES, labels=LABELS[:5]), r"labels \(5,\), expected \(12,\)"),
        ("a.npz", lambda p: np.savez(p, a=IMAGES, b=IMAGES), "several arrays"),
        ("a.npz", lambda p: p.write_bytes(b"PK nonsense"), "damaged array file"),
        ("a.npy", lambda p: np.save(p, np.array([{}], object), allow_pickle=True), "damaged array file"),
        ("t-images-idx3-ubyte", lambda p: p.write_bytes(idx(IMAGES)[:-1]), "its header says 12 x 9 x 7"),
        ("t-images-idx3-ubyte.gz", lambda p: p.write_bytes(gzip.compress(idx(IMAGES))[:-9]), "damaged array file"),
    ],
)
def test_what_is_no_array_of_images_is_refused(tmp_path: Path, name: str, content, message: str) -> None:
    path = tmp_path / name
    content(path)
    with pytest.raises(UsageError, match=message):
        open_dataset(path)


def test_an_array_is_no_larger_than_its_file(tmp_path: Path) -> None:
    """Neither the head of an array nor a compressed file decides how much memory is taken."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6)})
    (tmp_path / "claims.npy").write_bytes(head.getvalue() + bytes(100))
    with zipfile.ZipFile(tmp_path / "claims.npz", "w") as archive:
        archive.writestr("images.npy", head.getvalue() + bytes(100))
    with pytest.raises(UsageError, match="its head claims"):
        open_array(tmp_path / "claims.npy")
    with pytest.raises(UsageError, match="its head claims"):
        open_array(tmp_path / "claims.npz")


def test_a_small_file_that_inflates_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon_trainer.data.arrays.MAX_ARRAY_BYTES", 10**6)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x03" + bytes(10**7)))
    with pytest.raises(UsageError, match="more than 1000000 bytes"):
        open_array(path)
