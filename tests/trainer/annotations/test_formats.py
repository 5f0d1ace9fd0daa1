"""What other tools write is read as they mean it, and what we write comes back the same."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from andon_trainer.annotations import coco, cvat, label_studio
from andon_trainer.annotations.marked import Marked

from tests.fixtures.commands import call
from tests.trainer.annotations.folders import HEIGHT, WIDTH, contents, part, picture, ring, save

# By pycocotools 2.0.11 and label-studio-converter 0.0.59.
RING_COCO = (
    "e<i0?000000000000000000^OI37MI37MI37MI37MI37MI37MI37MI37MI37MI37?00000000000000000000000000000000000000V<XO_C"
)
SMALL_BRUSH = [0, 0, 0, 192, 57, 27, 254, 39, 0, 191, 255, 124, 2, 63, 248, 192, 39, 255, 190, 1, 127, 255, 35, 128, 0]


def import_(file: Path, out: Path, *options: str | Path) -> str:
    done = call("import", file, out, *options)
    assert done.exit_code == 0, done.exception
    return " ".join(done.output.split())


@pytest.mark.parametrize("name", ["coco", "cvat", "label-studio"])
def test_a_folder_that_was_exported_is_imported_again(name: str, tmp_path: Path) -> None:
    folder = part(tmp_path / "part")
    done = call("export", folder, "-o", tmp_path / "file", "--format", name)
    assert "8 images" in done.output, done.exception
    said = import_(tmp_path / "file", tmp_path / "again", "--images", folder)
    assert contents(tmp_path / "again") == contents(folder)
    assert "4 good images to learn from, 1 to test with; 1 dent, 2 scratch, 2 of them with a mask" in said


def test_a_manifest_of_lookout_for_vision_is_imported(tmp_path: Path) -> None:
    colours = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    colours[ring()] = (0x2C, 0xA0, 0x2C)[::-1]
    colours[0, :3] = (0x1F, 0x77, 0xB4)[::-1]
    save(tmp_path / "images/masks/bad.png", colours)
    names = {"white": ("BACKGROUND", "#ffffff"), "1": ("scratch", "#2ca02c"), "2": ("dirt", "#1f77b4")}
    mask = {
        "type": "groundtruth/semantic-segmentation",
        "internal-color-map": {key: {"class-name": n, "hex-color": c} for key, (n, c) in names.items()},
    }
    lines = []
    for number, name in enumerate(["normal"] * 5 + ["anomaly"] * 2):
        save(tmp_path / f"images/line/{number}.png", picture(number))
        facts = {"type": "groundtruth/image-classification", "class-name": name, "confidence": 1}
        fields: dict[str, Any] = {
            "source-ref": f"s3://bucket/some/line/{number}.png",
            "anomaly-label": int(name == "anomaly"),
            "anomaly-label-metadata": facts,
        }
        if number == 6:
            fields |= {"anomaly-mask-ref": "s3://bucket/masks/bad.png", "anomaly-mask-ref-metadata": mask}
        lines.append(json.dumps(fields))
    (tmp_path / "train.manifest").write_text("\n".join(lines) + "\n")
    said = import_(tmp_path / "train.manifest", tmp_path / "out", "--images", tmp_path / "images", "--test-good", "0.4")
    assert "3 good images to learn from, 2 to test with; 1 anomaly, 1 scratch, 1 of them with a mask" in said
    found = contents(tmp_path / "out")
    expected = ring()
    expected[0, :3] = True
    assert found[(tmp_path / "images/line/6.png").read_bytes()] == ("scratch", expected.tobytes())
    assert found[(tmp_path / "images/line/5.png").read_bytes()] == ("anomaly", None)


def drawn(marked: Marked) -> Any:
    """All areas of an image, drawn."""
    masks = [area.draw((WIDTH, HEIGHT)) for area in marked.areas if area.draw]
    return np.logical_or.reduce(masks)


def rectangle(left: int, top: int, right: int, bottom: int) -> Any:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": RING_COCO}}, ring()),
        ({"segmentation": [[10, 5, 19, 5, 19, 14, 10, 14]]}, rectangle(10, 5, 20, 15)),
        ({"segmentation": [[50, 30, 99, 30, 99, 99, 50, 99]]}, rectangle(50, 30, WIDTH, HEIGHT)),
        ({"bbox": [10, 5, 10, 10]}, rectangle(10, 5, 20, 15)),
    ],
)
def test_shapes_of_coco(fields: dict[str, Any], expected: Any) -> None:
    image = {"id": "a", "file_name": "a.png", "width": WIDTH, "height": HEIGHT}
    data = {
        "images": [image],
        "categories": [{"id": 7, "name": "scratch"}],
        "annotations": [{"image_id": "a", "category_id": 7, **fields}],
    }
    assert np.array_equal(drawn(coco.read(data, "x")[0]), expected)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ('<polygon label="a" points="10.0,5.0;19.0,5.0;19.0,14.0;10.0,14.0"/>', rectangle(10, 5, 20, 15)),
        ('<box label="a" xtl="10" ytl="5" xbr="20" ybr="15"/>', rectangle(10, 5, 20, 15)),
        ('<mask label="a" rle="0, 3, 2, 1" left="4" top="7" width="3" height="2"/>', None),
    ],
)
def test_shapes_of_cvat(shape: str, expected: Any) -> None:
    if expected is None:
        expected = rectangle(4, 7, 7, 8) | rectangle(6, 8, 7, 9)
    text = f'<annotations><image id="0" name="a.png" width="{WIDTH}" height="{HEIGHT}">{shape}</image></annotations>'
    assert np.array_equal(drawn(cvat.read(text, "x")[0]), expected)


def test_boxes_and_ellipses_that_are_turned() -> None:
    text = (
        f'<annotations><image name="a" width="{WIDTH}" height="{HEIGHT}">'
        '<box label="a" xtl="20" ytl="18" xbr="40" ybr="22" rotation="90"/></image>'
        f'<image name="b" width="{WIDTH}" height="{HEIGHT}">'
        '<ellipse label="a" cx="30" cy="20" rx="20" ry="10"/></image></annotations>'
    )
    turned, ellipse = (drawn(marked) for marked in cvat.read(text, "x"))
    rows, columns = np.nonzero(turned)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 30, 28, 32)
    assert abs(ellipse.sum() / (np.pi * 20 * 10) - 1) < 0.1  # the border belongs to it


def test_shapes_of_label_studio_are_in_per_cent() -> None:
    common = {"original_width": WIDTH, "original_height": HEIGHT}
    box = {"x": 50, "y": 25, "width": 10, "height": 50, "rotation": 0, "rectanglelabels": ["dent"]}
    points = [[50, 25], [58, 25], [58, 72.5], [50, 72.5]]
    results = [
        {"type": "rectanglelabels", "value": box, **common},
        {"type": "polygonlabels", "value": {"points": points, "polygonlabels": ["dent"]}, **common},
        {"type": "textarea", "value": {"text": ["a remark"]}},
    ]
    tasks = [
        {"data": {"image": "/data/upload/1/0a1b2c3d-a.png"}, "annotations": [{"result": [one]}]} for one in results
    ]
    marked, without = label_studio.read([*tasks, {"data": {"image": "b.png"}, "annotations": []}], "x")
    assert without == 1
    assert np.array_equal(drawn(marked[0]), rectangle(30, 10, 36, 30))
    assert np.array_equal(drawn(marked[1]), rectangle(30, 10, 36, 30))
    assert marked[2].areas == ()


def test_a_brush_of_label_studio_is_read() -> None:
    expected = np.zeros((6, 8), bool)
    expected[1:4, 2:6] = True
    expected[2, 3] = False
    value = {"format": "rle", "rle": SMALL_BRUSH, "brushlabels": ["dent"]}
    result = {"type": "brushlabels", "value": value, "original_width": 8, "original_height": 6}
    marked, _ = label_studio.read([{"data": {"image": "a.png"}, "annotations": [{"result": [result]}]}], "x")
    draw = marked[0].areas[0].draw
    assert draw is not None
    assert np.array_equal(draw((8, 6)), expected)
