"""What lies at the path of an image takes neither memory nor time without a bound."""

import os
from pathlib import Path

import pytest
from andon_monitor.errors import ImageError
from andon_monitor.image_files.reading import MAX_FILE_BYTES, read_image_file


def test_a_giant_file_is_refused_with_its_size(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(ImageError, match=f"a file of {2**40} bytes, at most {MAX_FILE_BYTES} are read") as raised:
        read_image_file(tmp_path / "a.png")
    assert raised.value.reason == "too_large"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(OSError, match="not a file"):
        read_image_file(tmp_path / "a.png")
