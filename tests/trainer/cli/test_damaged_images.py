"""Every command names an image that it cannot read, in one line, and writes nothing."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fixtures.commands import refused
from tests.fixtures.images import bomb

COMMANDS = ("fit", "evaluate", "calibrate", "classify", "reduce", "denoise", "compress")
OF_GOOD_PARTS = ("fit", "calibrate", "denoise", "compress")  # commands that take one folder of good parts
OUTPUTS = {"reduce": "x.csv", "denoise": "cleaned", "compress": "x.andon"}


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
WHOLE = saved(PICTURE, "PNG")
DAMAGED = {
    "truncated": (WHOLE[: len(WHOLE) // 2], "truncated image"),
    "empty": (b"", "empty: 0 bytes"),
    "CMYK": (saved(PICTURE.convert("CMYK"), "JPEG"), "CMYK"),
    "two pages": (saved(PICTURE, "TIFF", save_all=True, append_images=[PICTURE]), "more than one page"),
    "too large": (bomb(), "at most 50000000 pixels"),
}


@pytest.fixture(scope="module")
def folders(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each command a folder of ten images, of one kind of defect where it wants defects."""
    root = tmp_path_factory.mktemp("damaged")
    for folder, label in (("good", "train/good"), ("kinds/good", "test/good"), ("kinds/hole", "test/*")):
        (root / folder).mkdir(parents=True)
        found = sorted(sample_folder.glob(f"{label}/*.*"))
        images = [path for path in found if ("good" in path.parts) == ("good" in label)]
        for i, path in enumerate(images[:10]):
            shutil.copy(path, root / folder / f"{i}{path.suffix}")
    return root


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_image_is_named_and_nothing_is_written(
    model_file: Path, folders: Path, tmp_path: Path, command: str, damage: str
) -> None:
    content, message = DAMAGED[damage]
    data = tmp_path / "data"
    shutil.copytree(folders / ("good" if command in OF_GOOD_PARTS else "kinds"), data)
    odd = (data if command in OF_GOOD_PARTS else data / "hole") / "odd.png"
    odd.write_bytes(content)
    output = tmp_path / OUTPUTS.get(command, "x.onnx")
    model = () if command == "fit" else (model_file,)
    wanted = ("--json", tmp_path / "x.json") if command == "evaluate" else ("-o", output)
    said = refused(command, *model, data, *wanted)
    assert said.startswith(f"{odd}: ")
    assert message in said
    assert "\n" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_limits_of_size_are_settings_of_every_command(model_file: Path, folders: Path, tmp_path: Path) -> None:
    for command in COMMANDS:
        output = tmp_path / OUTPUTS.get(command, "x.onnx")
        model = () if command == "fit" else (model_file,)
        wanted = ("--json", tmp_path / "x.json") if command == "evaluate" else ("-o", output)
        data = folders / ("good" if command in OF_GOOD_PARTS else "kinds")
        said = refused(command, *model, data, *wanted, "--max-pixels", "1000")
        assert "pixels, at most 1000 pixels are allowed" in said, command
        said = refused(command, *model, data, *wanted, "--max-decoding-bytes", "0")
        assert said == "--max-decoding-bytes 0: give a number between 1 and 1e+12"
