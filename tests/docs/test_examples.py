"""Examples in pages: Python runs, settings and lines of JSON are read by the programs they are for."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from andon_monitor.settings.loading import load_settings

from tests.fixtures.pages import Block, blocks

PYTHON = list(blocks("python"))
# What takes too long for a test, and what is run instead.
SHORTER = (("budget=600,", "budget=120, iterations=4, side=64, size='small', networks=1, threads=1,"),)


@pytest.fixture
def folder(sample_folder: Path, model_file: Path, tmp_path: Path) -> Iterator[Path]:
    """A model and images under the names that the pages use."""
    shutil.copy(model_file, tmp_path / "part.onnx")
    shutil.copytree(sample_folder, tmp_path / "data")
    images = tmp_path / "images" / "good"
    images.mkdir(parents=True)
    for i, path in enumerate(sorted((sample_folder / "train" / "good").iterdir())[:4], 1):
        shutil.copy(path, images / f"{i:04d}.png")
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


@pytest.mark.parametrize("page", dict.fromkeys(block.page for block in PYTHON))
def test_the_python_of_a_page_runs(folder: Path, page: str) -> None:
    names: dict[str, object] = {}
    for block in PYTHON:
        if block.page == page:
            text = block.text
            for long, short in SHORTER:
                text = text.replace(long, short)
            exec(compile(text, str(block), "exec"), names)  # a page's blocks build on each other
    assert names


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_the_settings_in_pages_are_valid(block: Block, tmp_path: Path) -> None:
    config = tmp_path / "andon.yaml"
    config.write_text(block.text)
    loaded = load_settings({}, config).model_dump(mode="json")
    for group, values in yaml.safe_load(block.text).items():
        if isinstance(values, list):
            assert len(loaded[group]) == len(values)
        else:
            assert loaded[group].keys() >= values.keys()


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_the_json_in_pages_is_json(block: Block) -> None:
    for line in block.text.splitlines():
        assert isinstance(json.loads(line), dict)
