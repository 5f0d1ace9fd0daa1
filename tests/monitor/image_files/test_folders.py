"""Every entry of a folder is an image, or is said to have been passed over."""

import os
import socket
from pathlib import Path

import pytest
from andon_monitor.image_files.folders import find_images

from tests.fixtures.small_model import draw, encode

PNG, JPEG = encode(draw(0)), encode(draw(0), ".jpg")


def put(root: Path, *names: str, content: bytes = PNG) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def found_in(root: Path) -> tuple[list[str], dict[str, int]]:
    images, passed_over = find_images(root)
    return [path.relative_to(root).as_posix() for path in images], dict(passed_over.counts)


def test_hidden_files_and_folders_are_no_images(tmp_path: Path) -> None:
    put(tmp_path, "001.png", "._001.png", ".cache/002.png", "day/003.png", "day/._003.png")
    assert found_in(tmp_path) == (["001.png", "day/003.png"], {"hidden": 3})
    text = str(find_images(tmp_path)[1])
    assert text == "3 passed over: 3 hidden ('._001.png', '.cache', 'day/._003.png')"


def test_thumbnails_and_bins_of_systems_are_no_images(tmp_path: Path) -> None:
    put(tmp_path, "001.png", "@eaDir/001.png/SYNOPHOTO_THUMB_M.png", "day/$RECYCLE.BIN/$R1.png", "__MACOSX/2.png")
    assert found_in(tmp_path) == (["001.png"], {"hidden": 3})


def test_images_lie_at_any_depth(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 300)
    put(tmp_path, "a.png", "monday/b.png", f"{deep}/c.png")
    assert found_in(tmp_path)[0] == ["a.png", f"{deep}/c.png", "monday/b.png"]


def test_endings_in_any_case_and_first_bytes_where_there_is_no_ending(tmp_path: Path) -> None:
    put(tmp_path, "a.PNG", "b", "c.001", "e.")
    put(tmp_path, "d.JFIF", content=JPEG)
    put(tmp_path, "notes.txt", "readme", "f.002", content=b"BMW is a car")
    put(tmp_path, "g.png.part", "h.png~", "i.bak")
    assert found_in(tmp_path) == (["a.PNG", "b", "c.001", "d.JFIF", "e."], {"with other endings": 6})
    assert "'f.002', 'g.png.part', 'h.png~', ..." in str(find_images(tmp_path)[1])


def test_what_would_block_a_reader_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "d.png"))
        assert found_in(tmp_path) == (["a.png"], {"neither files nor folders": 3})


def test_links_end_and_no_folder_is_read_twice(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    put(root, "a.png", "inner/b.png")
    put(outside, "c.png")
    (root / "gone.png").symlink_to(root / "nowhere.png")
    (root / "itself.png").symlink_to(root / "itself.png")
    (root / "link.png").symlink_to(outside / "c.png")
    (root / "latest").symlink_to(root / "inner")
    (root / "inner" / "up").symlink_to(tmp_path)
    (root / "out1").symlink_to(outside)
    (root / "out2").symlink_to(outside)
    (outside / "back").symlink_to(root)
    images, counts = found_in(root)
    assert images == ["a.png", "inner/b.png", "link.png", "out1/c.png"]
    assert counts == {"links that lead nowhere": 2, "links to folders that are read already": 4}


def test_what_lies_too_deep_for_a_path_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.png")
    monkeypatch.chdir(tmp_path)
    for _ in range(20):  # a path may have 4096 bytes
        Path("d" * 250).mkdir()
        os.chdir("d" * 250)
    monkeypatch.undo()
    assert found_in(tmp_path) == (["a.png"], {"that cannot be read": 1})


def test_names_that_are_not_utf8_are_said_in_utf8(tmp_path: Path) -> None:
    put(tmp_path, os.fsdecode(b"caf\xe9.png"), os.fsdecode(b".caf\xe9.png"))
    images, passed_over = find_images(tmp_path)
    assert len(images) == 1
    str(passed_over).encode()


def test_a_root_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_images(tmp_path / "gone")
