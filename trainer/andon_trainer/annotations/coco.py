"""COCO: one JSON file with lists of images, categories and annotations."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from andon_monitor.common.text import shown
from andon_monitor.errors import UsageError

from andon_trainer.annotations.exported import ExportedImage
from andon_trainer.annotations.marked import Area, Marked, Pixels, Size, box, label_of, number, polygon, side
from andon_trainer.annotations.runs import coco_lengths, expand, lengths_of
from andon_trainer.data.sample import GOOD


def read(data: dict[str, Any], name: str) -> list[Marked]:
    """The images and what is marked on each. Raises UsageError."""
    categories = {
        entry.get("id"): label_of(entry.get("name"), f"{name}: category {index}")
        for index, entry in enumerate(_entries(data, "categories", name), start=1)
    }
    images = {}
    for index, entry in enumerate(_entries(data, "images", name), start=1):
        place = f"{name}: image {index}"
        if not isinstance(entry.get("file_name"), str):
            raise UsageError(f"{place}: has no file_name")
        if entry.get("id") in images:
            raise UsageError(f"{place}: id {shown(str(entry.get('id')))} comes twice")
        size = side(entry.get("width"), f"{place}: width"), side(entry.get("height"), f"{place}: height")
        images[entry.get("id")] = (entry["file_name"], place, size)
    areas: dict[Any, list[Area]] = {key: [] for key in images}
    for index, entry in enumerate(_entries(data, "annotations", name), start=1):
        place = f"{name}: annotation {index}"
        if entry.get("image_id") not in areas:
            raise UsageError(f"{place}: image_id {shown(repr(entry.get('image_id')))} is that of no image")
        if entry.get("category_id") not in categories:
            raise UsageError(f"{place}: category_id {shown(repr(entry.get('category_id')))} is that of no category")
        label = categories[entry["category_id"]]
        areas[entry["image_id"]] += [Area(label, draw) for draw in _shapes(entry, place)]
    return [Marked(*images[key][:2], tuple(areas[key]), images[key][2]) for key in images]


def write(images: Iterable[ExportedImage]) -> str:
    """The file for these images. A defect without a mask has an annotation with a box of no size."""
    found: dict[str, list[dict[str, Any]]] = {"images": [], "categories": [], "annotations": []}
    ids: dict[str, int] = {}
    for image_id, image in enumerate(images, start=1):
        width, height = image.size
        found["images"].append({"id": image_id, "file_name": image.name, "width": width, "height": height})
        if image.label == GOOD:
            continue
        fields: dict[str, Any] = {"bbox": [0, 0, 0, 0], "area": 0, "segmentation": []}
        if image.mask is not None and image.mask.any():
            rows, columns = np.flatnonzero(image.mask.any(1)), np.flatnonzero(image.mask.any(0))
            left, top = int(columns[0]), int(rows[0])
            fields = {
                "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
                "area": int(image.mask.sum()),
                "segmentation": {"size": [height, width], "counts": lengths_of(image.mask.ravel(order="F"))},
            }
        category = ids.setdefault(image.label, len(ids) + 1)
        found["annotations"].append(
            {"id": len(found["annotations"]) + 1, "image_id": image_id, "category_id": category, "iscrowd": 0, **fields}
        )
    found["categories"] = [{"id": number, "name": label} for label, number in ids.items()]
    return json.dumps(found, ensure_ascii=False) + "\n"


def _entries(data: dict[str, Any], key: str, name: str) -> list[dict[str, Any]]:
    entries = data.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UsageError(f"{name}: {key} should be a list of objects")
    for index, entry in enumerate(entries, start=1):
        for id_key in ("id", "image_id", "category_id"):
            if not isinstance(entry.get(id_key, 0), int | str):
                raise UsageError(f"{name}: {key} {index}: {id_key} should be a number or a text")
    return entries


def _shapes(entry: dict[str, Any], place: str) -> list[Callable[[Size], Pixels] | None]:
    shape = entry.get("segmentation")
    if isinstance(shape, dict):
        return [_runs(shape, place)]
    if isinstance(shape, list) and shape:
        return [_polygon(flat, place) for flat in shape]
    if shape:
        raise UsageError(f"{place}: segmentation should be polygons or run lengths")
    bbox = entry.get("bbox")
    if bbox is None:
        return [None]
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise UsageError(f"{place}: bbox should be left, top, width and height")
    left, top, width, height = (number(value, f"{place}: bbox") for value in bbox)
    return [None if width == height == 0 else box(left, top, left + width, top + height, place)]


def _polygon(flat: Any, place: str) -> Callable[[Size], Pixels]:
    if not isinstance(flat, list) or len(flat) % 2:
        raise UsageError(f"{place}: a polygon should be a list of x and y in turn")
    values = [number(value, place) for value in flat]
    return polygon(list(zip(values[::2], values[1::2], strict=True)), place)


def _runs(shape: dict[str, Any], place: str) -> Callable[[Size], Pixels]:
    def draw(size: Size) -> Pixels:
        if shape.get("size") != [size[1], size[0]]:
            raise UsageError(
                f"{place}: size {shown(str(shape.get('size')))}, right is [{size[1]}, {size[0]}], the image's height "
                "and width"
            )
        counts = shape.get("counts")
        lengths = coco_lengths(counts, place) if isinstance(counts, str) else counts
        return expand(lengths, size[0] * size[1], place).reshape(size[0], size[1]).T

    return draw
