"""The manifest of Amazon Lookout for Vision: a line of JSON for each image, with masks as picture files."""

from collections.abc import Callable
from typing import Any

import numpy as np
from andon_monitor.common.text import shown
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import DecodingLimits, decode_values

from andon_trainer.annotations.marked import Area, Marked, Pixels, Size, label_of
from andon_trainer.annotations.references import ImageFolder
from andon_trainer.annotations.text import parse_json
from andon_trainer.data.images import naming, read_bytes

BACKGROUND = "background"  # the class of what is no defect, in the map of a mask's colours
CLASSIFICATION, SEGMENTATION = "groundtruth/image-classification", "groundtruth/semantic-segmentation"
MAX_CLASSES = 100  # of a mask


def read(text: str, name: str, images: ImageFolder, limits: DecodingLimits) -> list[Marked]:
    """The images of a manifest; masks are looked for in `images`, too. Raises UsageError."""
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{name} line {number}"
            fields = parse_json(line, place)
            if not isinstance(fields, dict) or not isinstance(fields.get("source-ref"), str):
                raise UsageError(f"{place}: names no image; right is a line with source-ref")
            found.append(Marked(fields["source-ref"], place, tuple(_areas(fields, place, images, limits))))
    return found


def _areas(fields: dict[str, Any], place: str, images: ImageFolder, limits: DecodingLimits) -> list[Area]:
    classes, masks = [], []
    for key, value in fields.items():
        facts = fields.get(f"{key}-metadata")
        if not isinstance(facts, dict):
            continue
        if facts.get("type") == CLASSIFICATION:
            classes.append(Area(label_of(facts.get("class-name"), f"{place}: {key}")))
        elif facts.get("type") == SEGMENTATION and isinstance(value, str):
            masks += _mask(value, facts.get("internal-color-map"), f"{place}: {key}", images, limits)
    if not classes and not masks:
        raise UsageError(f"{place}: has no label; right is a label whose metadata have the type {CLASSIFICATION}")
    return classes + masks


def _mask(reference: str, colours: Any, place: str, images: ImageFolder, limits: DecodingLimits) -> list[Area]:
    if not isinstance(colours, dict) or not 1 <= len(colours) <= MAX_CLASSES:
        raise UsageError(f"{place}: internal-color-map should name up to {MAX_CLASSES} colours and their classes")
    areas = []
    for entry in colours.values():
        entry = entry if isinstance(entry, dict) else {}
        label, colour = label_of(entry.get("class-name"), place), entry.get("hex-color")
        try:
            values = bytes.fromhex(str(colour).removeprefix("#"))
        except ValueError:
            values = b""
        if len(values) != 3:
            raise UsageError(f"{place}: colour {shown(str(colour))} should be written as #2ca02c")
        if label.lower() != BACKGROUND:
            areas.append(Area(label, _colour(reference, values, place, images, limits), may_be_empty=True))
    return areas


def _colour(
    reference: str, colour: bytes, place: str, images: ImageFolder, limits: DecodingLimits
) -> Callable[[Size], Pixels]:
    def draw(size: Size) -> Pixels:
        path = images.find(reference, place)
        with naming(path):
            values = decode_values(read_bytes(path), limits)
        if values.shape[1::-1] != size:
            raise UsageError(
                f"{path}: a mask of {values.shape[1]} x {values.shape[0]} pixels, its image is {size[0]} x {size[1]}"
            )
        if values.dtype != np.uint8:
            raise UsageError(f"{path}: a mask of 16 bits; its colours have 8")
        matches: Pixels = np.all(values == np.frombuffer(colour, np.uint8), axis=2)
        return matches

    return draw
