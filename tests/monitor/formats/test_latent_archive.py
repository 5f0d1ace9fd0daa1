"""Archives restore latent vectors to within a step; damaged ones are refused."""

import base64
import hashlib
import io
import json
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import zstandard
from andon_monitor.errors import ModelError, UsageError
from andon_monitor.formats.latent_archive import (
    MAGIC,
    Archive,
    ArchiveError,
    ArchiveWriter,
    Header,
    compress,
    picture_paths,
)
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


def forged(path: Path, chunks: list[bytes], **changes: object) -> Path:
    """An archive whose checksums are right, of a header and compressed chunks that anybody may have made."""
    fields = {"model": "m", "weights_sha256": "0", "grain": 1.0, "steps": base64.b64encode(b"\0\0\x80?" * 2).decode()}
    header = json.dumps(fields | changes).encode()
    body = MAGIC + struct.pack("<I", len(header)) + header
    body += b"".join(struct.pack("<II", len(chunk), zlib.crc32(chunk)) + chunk for chunk in chunks) + bytes(4)
    path.write_bytes(body + hashlib.sha256(body).digest())
    return path


def chunk(names: bytes, numbers: bytes, length: int | None = None) -> bytes:
    content = struct.pack("<I", len(names) if length is None else length) + names + numbers
    return zstandard.ZstdCompressor(level=1).compress(content)


def test_a_forged_archive_that_is_sound_is_read(tmp_path: Path) -> None:
    ((names, latents),) = Archive(forged(tmp_path / "a.andon", [chunk(b'["x"]', bytes(8))]))
    assert (names, latents.tolist()) == (["x"], [[0.0, 0.0]])


def test_a_chunk_that_grows_too_large_is_refused_in_limited_memory(tmp_path: Path) -> None:
    bomb = chunk(b'["x"]', bytes(500_000_000))
    assert len(bomb) < 100_000
    archive = Archive(forged(tmp_path / "bomb.andon", [bomb]))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="more than 67108864 bytes"):
            next(iter(archive))
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "odd",
    [b"no zstandard", chunk(b"[]", b""), chunk(b'{"a": 1}', bytes(8)), chunk(b"[1]", bytes(8)), chunk(b"[", bytes(8)),
     chunk(b'["x"]', bytes(7)), chunk(b'["x"]', bytes(8), 2**32 - 1), chunk(b"[" * 100_000, b""),
     zstandard.ZstdCompressor().compress(b"ab")],
)  # fmt: skip
def test_odd_chunks_are_one_clear_line(tmp_path: Path, odd: bytes) -> None:
    with pytest.raises(ArchiveError, match="damaged: a chunk cannot be read"):
        list(Archive(forged(tmp_path / "odd.andon", [odd])))


@pytest.mark.parametrize(
    "change",
    [{"model": None}, {"model": "x" * 5000}, {"weights_sha256": []}, {"steps": "!"}, {"steps": 5}, {"steps": ""},
     {"steps": base64.b64encode(bytes(8)).decode()}, {"steps": base64.b64encode(b"\xff" * 8).decode()},
     {"more": 1}],
)  # fmt: skip
def test_odd_headers_are_one_clear_line(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(ArchiveError, match="damaged: its"):
        Archive(forged(tmp_path / "odd.andon", [], **change))
