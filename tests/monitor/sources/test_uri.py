"""A source is opened by its name, or refused in one line."""

from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.sources.uri import open_source


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("no/such/folder", "no/such/folder: no such folder or file"),
        ("ftp://host/x", "unknown kind of source ftp://"),
        ("kafka://broker:9092/andon.frames", "a topic is not a source of this command"),
        ("night.mcap", "night.mcap: no such folder or file"),
        ("camera:front", "not a number of a camera; right is camera:0"),
        ("camera:77", "camera:77: no camera answers at this address"),
        ("rtsp://user:secret@127.0.0.1:1/x", r"rtsp://127.0.0.1:1/x: no camera answers at this address"),
    ],
)
def test_a_source_that_cannot_be_opened_is_one_clear_line(uri: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        open_source(uri)
    assert "secret" not in str(caught.value)


def test_an_empty_folder_and_an_unknown_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no images in it; known formats: jpg"):
        open_source(str(tmp_path))
    (tmp_path / "manifest.jsonl").write_text("")
    with pytest.raises(UsageError, match="no images in it"):
        open_source(str(tmp_path))
    with pytest.raises(UsageError, match="not a file that can be read; known formats: mcap, jpg"):
        open_source(str(tmp_path / "manifest.jsonl"))
    (tmp_path / "broken.mp4").write_text("no video")
    with pytest.raises(UsageError, match="not a video that OpenCV can read"):
        open_source(str(tmp_path / "broken.mp4"))
