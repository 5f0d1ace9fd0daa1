"""Label Studio: a JSON file with a list of tasks, each an image with the annotations that people made."""

import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from andon_monitor.common.text import shown
from andon_monitor.errors import UsageError

from andon_trainer.annotations.exported import ExportedImage
from andon_trainer.annotations.marked import (
    Area,
    Marked,
    Pixels,
    Size,
    ellipse,
    label_of,
    number,
    polygon,
    side,
    turned_box,
)
from andon_trainer.annotations.runs import brush_bytes, brush_mask

LOCAL_FILES = "/data/local-files/?d="  # how a task names a file of Label Studio's local storage
# Of the results that say what an image shows; their labels are under the same name.
TYPES = ("polygonlabels", "rectanglelabels", "ellipselabels", "brushlabels", "choices")


def read(tasks: list[Any], name: str) -> tuple[list[Marked], int]:
    """The images that have an annotation, and the number of those without. Raises UsageError."""
    found, without = [], 0
    for index, task in enumerate(tasks, start=1):
        place = f"{name}: task {index}"
        fields = task.get("data") if isinstance(task, dict) else None
        if not isinstance(fields, dict) or not isinstance(fields.get("image"), str):
            raise UsageError(f"{place}: names no image; right is data: {{image: ...}}, as in an export as JSON")
        done = task.get("annotations", [])
        if not isinstance(done, list) or not all(isinstance(one, dict) for one in done):
            raise UsageError(f"{place}: annotations should be a list of objects")
        done = [one for one in done if not one.get("was_cancelled")]
        if not done:
            without += 1
            continue
        results = done[-1].get("result", [])  # the latest
        if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
            raise UsageError(f"{place}: result should be a list of objects")
        areas: list[Area] = []
        for number_, one in enumerate(results, start=1):
            areas += _areas(one, f"{place}, result {number_}")
        sizes = {size for one in results if (size := _size(one, place)) is not None}
        if len(sizes) > 1:
            raise UsageError(f"{place}: its results have images of different sizes")
        found.append(Marked(fields["image"], place, tuple(areas), next(iter(sizes), None)))
    return found, without


def write(images: Iterable[ExportedImage]) -> str:
    """Tasks with a choice `kind` and, where there is a mask, a brush `mask`. Images are those of the local storage."""
    tasks = []
    for image in images:
        width, height = image.size
        common = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
        choice = {"from_name": "kind", "type": "choices", "value": {"choices": [image.label]}, **common}
        results = [choice]
        if image.mask is not None and image.mask.any():
            value = {"format": "rle", "rle": brush_bytes(image.mask), "brushlabels": [image.label]}
            results.append({"from_name": "mask", "type": "brushlabels", "value": value, **common})
        tasks.append({"data": {"image": LOCAL_FILES + quote(image.name)}, "annotations": [{"result": results}]})
    return json.dumps(tasks, ensure_ascii=False) + "\n"


def _size(result: dict[str, Any], place: str) -> Size | None:
    width, height = result.get("original_width"), result.get("original_height")
    if width is None or height is None:
        return None
    return side(width, f"{place}: original_width"), side(height, f"{place}: original_height")


def _areas(result: dict[str, Any], place: str) -> list[Area]:
    kind, value = result.get("type"), result.get("value")
    if kind not in TYPES:
        # Text, ratings, plain shapes next to the labelled ones: nothing that says what an image shows.
        return []
    labels = value.get(kind) if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(labels, list):
        raise UsageError(f"{place}: {kind} without a list of labels")
    draw = _draw(kind, value, _size(result, place), place)
    return [Area(label_of(label, place), draw) for label in labels]


def _draw(kind: str, value: dict[str, Any], size: Size | None, place: str) -> Callable[[Size], Pixels] | None:
    if kind == "choices":
        return None
    if size is None:
        raise UsageError(f"{place}: has no original_width and original_height")
    width, height = size

    def across(key: str) -> float:
        return number(value.get(key), f"{place}: {key}") * width / 100

    def down(key: str) -> float:
        return number(value.get(key), f"{place}: {key}") * height / 100

    if kind == "brushlabels":
        rle = value.get("rle")
        return lambda size: brush_mask(rle, *size, place)
    if kind == "rectanglelabels":
        left, top = across("x"), down("y")
        degrees = number(value.get("rotation", 0), f"{place}: rotation")
        return turned_box(left, top, across("width"), down("height"), degrees, (left, top), place)
    if kind == "ellipselabels":
        return ellipse(across("x"), down("y"), across("radiusX"), down("radiusY"), place)
    points = value.get("points")
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise UsageError(f"{place}: points {shown(repr(points))} should be pairs of per cents")
    return polygon([(number(x, place) * width / 100, number(y, place) * height / 100) for x, y in points], place)
