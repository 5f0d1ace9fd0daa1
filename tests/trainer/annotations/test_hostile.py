"""Files of annotations that nobody's tool wrote: one line, and nothing is left."""

import json
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.errors import AndonError

from tests.fixtures.commands import call
from tests.trainer.annotations.folders import HEIGHT, WIDTH, picture, save


def coco(file_name: Any = "a.png", width: Any = WIDTH, **annotation: Any) -> str:
    """A file with one image, and one annotation of it."""
    image = {"id": 1, "file_name": file_name, "width": width, "height": HEIGHT}
    fields = {"image_id": 1, "category_id": 1, **annotation}
    return json.dumps({"images": [image], "categories": [{"id": 1, "name": "dent"}], "annotations": [fields]})


def runs(counts: Any, size: Any = (HEIGHT, WIDTH)) -> str:
    return coco(segmentation={"size": list(size), "counts": counts})


def cvat(inside: str, name: str = "a.png") -> str:
    return f'<annotations><image name="{name}" width="{WIDTH}" height="{HEIGHT}">{inside}</image></annotations>'


def brush(values: list[int]) -> str:
    value = {"format": "rle", "rle": values, "brushlabels": ["dent"]}
    result = {"type": "brushlabels", "value": value, "original_width": WIDTH, "original_height": HEIGHT}
    return json.dumps([{"data": {"image": "a.png"}, "annotations": [{"result": [result]}]}])


BILLION = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><annotations>&c;</annotations>'
COUNT = list((4 * WIDTH * HEIGHT).to_bytes(4, "big"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (coco("../secret.png"), r"image 1: ../secret.png: leads out of the folder of images"),
        (coco("a/../../secret.png"), r"leads out of the folder"),
        (coco("..\\secret.png"), r"leads out of the folder"),
        (coco("/etc/passwd"), r"image 1: /etc/passwd: an absolute path"),
        (coco("C:\\secret.png"), r"an absolute path"),
        (coco("a\0.png"), r"image 1: a\?.png: leads out"),
        (coco("x" * 5000), r"leads out of the folder of images, or is no name"),
        (coco("x" * 500), r"no such image in"),
        (coco("link.png"), r"image 1: link.png: a link out of"),
        (coco("missing.png"), r"image 1: missing.png: no such image in"),
        (coco("text.png"), r"text.png: "),
        (coco(7), r"image 1: has no file_name"),
        (coco(width=10**9), r"should be a number of pixels"),
        (coco(width=61), r"image 1: 61 x 40 pixels, .*a.png has 60 x 40"),
        (coco(segmentation=[[0, 0] * 200_000]), r"annotation 1: a polygon of 200000 corners; right are 3 to 100000"),
        (coco(segmentation=[[0, 0, 1, 1]]), r"a polygon of 2 corners"),
        (coco(segmentation=[[0, 0, 1e300, 0, 1, 1]]), r"annotation 1: 1e\+300 should be a number of pixels"),
        (coco(segmentation=[[0, 0, "x", 0, 1, 1]]), r"'x' should be a number of pixels"),
        (coco(bbox=[500, 0, 5, 5]), r"a box outside of the image of 60 x 40 pixels"),
        (coco(image_id=9), r"annotation 1: image_id 9 is that of no image"),
        (coco(image_id=[1]), r"image_id should be a number or a text"),
        (runs([10**12]), r"run.*whole numbers up to the image's 2400 pixels"),
        (runs([2400] * 3), r"its runs are 7200 pixels long, the image has 2400"),
        (runs([-1, 2401]), r"whole numbers"),
        (runs("zzzzzzzzzzzzzzz~~~~~~~~~~~"), r"counts are not the run lengths of COCO"),
        (runs([2400], (10**9, 10**9)), r"size \[1000000000, 1000000000\], right is \[40, 60\]"),
        (brush([255] * 12), r"a brush mask of 4294967295 values, right are 9600"),
        (brush(COUNT), r"a brush mask that ends early"),
        (brush([*COUNT, 255, 255, 255, *[255] * 100]), r"a run beyond the image"),
        (brush([256]), r"rle should be a list of bytes"),
        (cvat('<mask label="a" rle="6" left="58" top="0" width="3" height="2"/>'), r"does not lie in the image"),
        (cvat('<mask label="a" rle="9999999999999" left="0" top="0" width="3" height="2"/>'), r"whole numbers up to"),
        (cvat('<polygon label="a" points="1;2"/>'), r"points should be x,y;x,y"),
        (cvat('<bomb label="a"/>'), r"image 1, bomb: unknown"),
        (cvat('<box xtl="1"/>'), r"label None should be a text"),
        (BILLION, r"an XML file with a document type"),
        ("<annotations>", r"not XML"),
        ("<a/>", r"<a> should be <annotations>"),
        ('{"images": [{"id": NaN}]}', r"not JSON \(NaN is no number\)"),
        ("[" * 100_000, r"JSON that is nested too deeply|not JSON"),
        ('{"images": ' + "9" * 5000 + "}", r"not JSON"),
        ('{"images": [}', r"not JSON \(.* at character 12\)"),
        ("hello", r"of no format that is known: lookout, coco, cvat, label-studio"),
        ("\xff\xfe", r"not UTF-8 at byte 0"),
        ('{"source-ref": "a.png"}', r"line 1: has no label"),
        ('{"images": []}', r"names no image with an annotation"),
        ('[{"data": {}}]', r"task 1: names no image"),
    ],
)
def test_a_hostile_file_is_one_line(content: str, message: str, tmp_path: Path) -> None:
    images = tmp_path / "images"
    save(images / "a.png", picture(1))
    save(tmp_path / "secret.png", picture(2))
    (images / "link.png").symlink_to(tmp_path / "secret.png")
    (images / "text.png").write_text("no image")
    file = tmp_path / "file"
    file.write_bytes(content.encode("latin-1") if content.startswith("\xff") else content.encode())
    done = call("import", file, tmp_path / "out", "--images", images)
    assert isinstance(done.exception, AndonError), done.output
    with pytest.raises(AndonError, match=message):
        raise done.exception
    said = str(done.exception)
    assert "\n" not in said
    assert len(said) < 500
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "images", "secret.png"]


def test_what_is_missing_or_unmarked_is_left_out_on_request(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture(1))
    save(tmp_path / "b.png", picture(2))
    names = ["a.png", "b.png", "c.png", "d.png"]
    images = [{"id": i, "file_name": name, "width": WIDTH, "height": HEIGHT} for i, name in enumerate(names)]
    annotations = [{"image_id": i, "category_id": 1, "bbox": [1, 1, 9, 9]} for i in (0, 2)]
    file = tmp_path / "coco.json"
    file.write_text(
        json.dumps({"images": images, "categories": [{"id": 1, "name": "dent"}], "annotations": annotations})
    )
    said = str(call("import", file, tmp_path / "out").exception)
    assert said.endswith("c.png: no such image in " + str(tmp_path) + ", and 1 others; --skip-missing leaves them out")
    done = call("import", file, tmp_path / "out", "--skip-missing")
    assert "1 good images to learn from, 0 to test with; 1 dent" in done.output
    done = call("import", file, tmp_path / "only", "--skip-missing", "--skip-unmarked")
    assert "0 good images to learn from" in done.output
    assert "exists and is not empty" in str(call("import", file, tmp_path / "out", "--skip-missing").exception)
