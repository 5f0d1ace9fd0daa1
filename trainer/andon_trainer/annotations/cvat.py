"""CVAT for images 1.1: one XML file with shapes and tags of each image."""

from collections.abc import Callable, Iterable
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np
from andon_monitor.common.text import shown
from andon_monitor.errors import UsageError, first_line

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
from andon_trainer.annotations.runs import in_box, lengths_of

Element = ElementTree.Element


def read(text: str, name: str) -> list[Marked]:
    """The images and what is marked on each. Raises UsageError."""
    # No file of CVAT has one, and entities in it can make a small file a large one.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UsageError(f"{name}: an XML file with a document type; CVAT writes none")
    try:
        root = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise UsageError(f"{name}: not XML ({first_line(error)})") from None
    if root.tag != "annotations":
        raise UsageError(f"{name}: <{shown(root.tag)}> should be <annotations>, as in CVAT for images 1.1")
    if root.find("track") is not None:
        raise UsageError(f"{name}: tracks of a video; export it from CVAT as CVAT for images 1.1")
    found = []
    for index, image in enumerate(root.iter("image"), start=1):
        place = f"{name}: image {index}"
        size = side(image.get("width"), f"{place}: width"), side(image.get("height"), f"{place}: height")
        reference = image.get("name")
        if not reference:
            raise UsageError(f"{place}: has no name")
        areas = tuple(
            Area(label_of(shape.get("label"), f"{place}, {shown(shape.tag)}"), _draw(shape, f"{place}, {shape.tag}"))
            for shape in image
        )
        found.append(Marked(reference, place, areas, size))
    return found


def write(images: Iterable[ExportedImage]) -> str:
    """The file for these images: a tag with the label, or a mask with it."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>"]
    for number_, image in enumerate(images):
        width, height = image.size
        lines.append(f'  <image id="{number_}" name={quoteattr(image.name)} width="{width}" height="{height}">')
        if image.mask is None or not image.mask.any():
            lines.append(f'    <tag label={quoteattr(image.label)} source="manual"></tag>')
        else:
            rows, columns = np.flatnonzero(image.mask.any(1)), np.flatnonzero(image.mask.any(0))
            left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            runs = ", ".join(map(str, lengths_of(image.mask[top:bottom, left:right].ravel())))
            lines.append(
                f'    <mask label={quoteattr(image.label)} source="manual" occluded="0" rle="{runs}" left="{left}" '
                f'top="{top}" width="{right - left}" height="{bottom - top}" z_order="0"></mask>'
            )
        lines.append("  </image>")
    return "\n".join([*lines, "</annotations>", ""])


def _draw(shape: Element, place: str) -> Callable[[Size], Pixels] | None:
    def get(name: str) -> float:
        return number(shape.get(name), f"{place}: {name}")

    match shape.tag:
        case "polygon":
            pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";")]
            if not all(len(pair) == 2 for pair in pairs):
                raise UsageError(f"{place}: points should be x,y;x,y;...")
            return polygon([(number(x, place), number(y, place)) for x, y in pairs], place)
        case "box":
            left, top, width, height = get("xtl"), get("ytl"), get("xbr") - get("xtl"), get("ybr") - get("ytl")
            degrees = number(shape.get("rotation", 0), f"{place}: rotation")
            return turned_box(left, top, width, height, degrees, (left + width / 2, top + height / 2), place)
        case "ellipse":
            return ellipse(get("cx"), get("cy"), get("rx"), get("ry"), place)
        case "mask":
            try:
                lengths = [int(length) for length in (shape.get("rle") or "").split(",")]
            except ValueError:
                raise UsageError(f"{place}: rle should be whole numbers with commas between") from None
            left, top, width, height = (int(get(key)) for key in ("left", "top", "width", "height"))
            return lambda size: in_box(lengths, (left, top, width, height), size, place)
        case "tag" | "polyline" | "points" | "cuboid" | "skeleton":  # they have no area
            return None
    raise UsageError(f"{place}: unknown; right are polygon, box, ellipse, mask and tag")
