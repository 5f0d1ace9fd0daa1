"""Archives restore latent vectors to within a step; damaged ones are refused."""

import io
from pathlib import Path

import numpy as np
import pytest
from andon_monitor.errors import ModelError, UsageError
from andon_monitor.formats.latent_archive import Archive, ArchiveError, ArchiveWriter, Header, compress, picture_paths
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.imaging import Pixels


@pytest.fixture(scope="module")
def part(model_file: Path) -> Autoencoder:
    return Autoencoder.load(model_file, "cpu")


@pytest.fixture(scope="module")
def images(part: Autoencoder, sample_folder: Path) -> list[tuple[str, Pixels]]:
    return [(path.name, part.read(path)) for path in sorted((sample_folder / "train/good").iterdir())]


@pytest.fixture(scope="module")
def packed(part: Autoencoder, images: list[tuple[str, Pixels]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "good.andon"
    with path.open("wb") as file:
        compress(part, images, file, grain=0.25)
    return path


def test_pictures_come_back_as_reconstructions_to_the_step(
    part: Autoencoder, images: list[tuple[str, Pixels]], packed: Path
) -> None:
    archive = Archive(packed)
    names = [name for chunk, _ in archive for name in chunk]
    latents = np.concatenate([latents for _, latents in archive])
    assert names == [name for name, _ in images]
    exact = part.encode(np.stack([frame for _, frame in images]))
    steps = archive.header.step_sizes()
    assert (np.abs(latents - exact) <= 0.5001 * steps + 1e-5 * np.abs(exact)).all()
    difference = part.decode(latents).astype(float) - part.decode(exact)
    # Each of D numbers is off by a uniform share of its step, which moves a picture by `grain` at most.
    assert np.sqrt(np.square(difference).mean()) < 2 * 0.25 * np.sqrt(part.latent_size / 12) + 0.5


def test_a_step_of_any_number_moves_a_picture_by_about_the_grain(part: Autoencoder) -> None:
    steps = Header.of(part, grain=4.0).step_sizes()
    base = part.encode(part.model.golden_frames[:1])
    shifted = np.repeat(base, len(steps), axis=0) + np.diag(steps)
    moved = np.sqrt(np.square(part.decode(shifted).astype(float) - part.decode(base)).mean(axis=(1, 2, 3)))
    assert np.median(moved) == pytest.approx(4, rel=0.3)
    assert moved.max() < 12


def test_a_finer_grain_is_nearer_and_larger(part: Autoencoder, images: list[tuple[str, Pixels]]) -> None:
    sizes = [compress(part, images, io.BytesIO(), grain).size for grain in (0.05, 0.5, 5.0)]
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[1] < 32 * part.latent_size * 4 / 4, "a quarter of the numbers as they are"


@pytest.mark.parametrize("place", [0.02, 0.5, 0.97, 0.999])
def test_a_flipped_bit_anywhere_is_refused(packed: Path, tmp_path: Path, place: float) -> None:
    content = bytearray(packed.read_bytes())
    content[max(20, int(place * len(content)))] ^= 4
    damaged = tmp_path / "damaged.andon"
    damaged.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"damaged.andon: damaged or cut short"):
        Archive(damaged)


def test_an_archive_that_was_cut_short_is_refused(packed: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.andon"
    for length in (20, 100, -33, -1):
        short.write_bytes(packed.read_bytes()[:length])
        with pytest.raises(ArchiveError, match="cut short"):
            Archive(short)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for path, message in ((tmp_path / "text", "not an archive"), (tmp_path / "nowhere", "cannot be read")):
        with pytest.raises(UsageError, match=message):
            Archive(path)


def test_another_model_is_refused_by_the_hash_of_its_weights(packed: Path, part: Autoencoder) -> None:
    header = Archive(packed).header
    header.check(part, packed)
    other = Header(header.model, "0" * 64, header.grain, header.steps)
    with pytest.raises(ModelError, match=r"made with model part, weights 000000000000; this is part, weights"):
        other.check(part, packed)


def test_extreme_numbers_survive(part: Autoencoder, tmp_path: Path) -> None:
    header = Header.of(part, 1.0)
    steps = header.step_sizes()
    wide = np.stack([np.full(len(steps), value) * steps for value in (-40000.0, -1.0, 0.0, 1.0, 70000.0)])
    with (tmp_path / "a.andon").open("wb") as file:
        writer = ArchiveWriter(file, header)
        for i, row in enumerate(wide):
            writer.add(str(i), row.astype(np.float32))
        writer.finish()
    ((names, latents),) = Archive(tmp_path / "a.andon")
    assert names == list("01234")
    np.testing.assert_allclose(latents, wide, rtol=1e-6)


def test_names_become_paths_that_stay_inside_and_apart() -> None:
    taken: set[str] = set()
    places = picture_paths(["a/1.png", "a/1.jpg", "a/1.png"], taken, Path("x"))
    assert [str(place) for place in places] == ["a/1.png", "a/1.jpg.png", "a/1.png-2.png"]
    for name in ("/etc/x", "../x", "a/../../x"):
        with pytest.raises(ArchiveError, match="leads out of the folder"):
            picture_paths([name], taken, Path("x"))
