"""Masks as lengths of runs, as each tool packs them. What a file claims is checked against the image first."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from andon_monitor.errors import UsageError
from numpy.typing import NDArray

from andon_trainer.annotations.marked import Pixels

# Of the text form of COCO: five bits a character and one that says that more follow, from this character on.
COCO_BASE, COCO_BITS, COCO_MORE = 48, 5, 0x20
MAX_COCO_CHARS = 8  # of one length: 40 bits are more than any image has pixels
# Of Label Studio: the length of a run has one of four sizes, in bits; a value has eight bits.
BRUSH_SIZES = (3, 4, 8, 16)
BRUSH_CHANNELS = 4
BRUSH_HEADER_BITS = 32 + 5 + 4 * 4


def expand(lengths: Any, pixels: int, place: str) -> NDArray[np.bool_]:
    """Runs of false and true in turn, beginning with false, as bool [pixels]. Raises UsageError."""
    if not isinstance(lengths, list) or not all(type(length) is int and 0 <= length <= pixels for length in lengths):
        raise UsageError(f"{place}: the lengths of runs should be whole numbers up to the image's {pixels} pixels")
    if sum(lengths) != pixels:
        raise UsageError(f"{place}: its runs are {sum(lengths)} pixels long, the image has {pixels}")
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, np.asarray(lengths, np.int64))


def lengths_of(flat: NDArray[np.bool_]) -> list[int]:
    """The runs of a flat mask, beginning with false."""
    changes = np.flatnonzero(np.diff(flat)) + 1
    ends = [0, *changes.tolist(), flat.size]
    lengths = [later - earlier for earlier, later in itertools.pairwise(ends)]
    return [0, *lengths] if flat.size and flat[0] else lengths


def coco_lengths(text: str, place: str) -> list[int]:
    """The lengths in COCO's text form, where each from the third on is the difference to that of two before."""
    lengths: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            code = ord(text[position]) - COCO_BASE if position < len(text) else -1
            if not 0 <= code < 2 * COCO_MORE or shift >= MAX_COCO_CHARS * COCO_BITS:
                raise UsageError(f"{place}: counts are not the run lengths of COCO")
            value |= (code & (COCO_MORE - 1)) << shift
            more = bool(code & COCO_MORE)
            shift += COCO_BITS
            position += 1
            if not more and code & (COCO_MORE >> 1):
                value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
    return lengths


class _Bits:
    """Reads whole numbers of any number of bits."""

    def __init__(self, data: bytes, place: str) -> None:
        self._data = data
        self._place = place
        self.position = 0

    def read(self, count: int) -> int:
        end = self.position + count
        if end > 8 * len(self._data):
            raise UsageError(f"{self._place}: a brush mask that ends early")
        chunk = int.from_bytes(self._data[self.position // 8 : (end + 7) // 8], "big")
        self.position = end
        return (chunk >> (-end % 8)) & ((1 << count) - 1)


def brush_mask(data: Any, width: int, height: int, place: str) -> Pixels:
    """A mask of Label Studio's brush: the picture that was painted, as runs of bytes in red, green, blue, alpha order.

    Raises UsageError.
    """
    if not isinstance(data, list) or not all(type(byte) is int and 0 <= byte < 256 for byte in data):
        raise UsageError(f"{place}: rle should be a list of bytes")
    bits = _Bits(bytes(data), place)
    count, size = bits.read(32), BRUSH_CHANNELS * width * height
    if count != size:
        raise UsageError(f"{place}: a brush mask of {count} values, right are {size} for {width} x {height} pixels")
    value_bits = bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in range(4)]
    values = np.zeros(count, np.uint8)
    start = 0
    while start < count:
        is_run = bits.read(1)
        end = start + 1 + bits.read(sizes[bits.read(2)])
        if end > count:
            raise UsageError(f"{place}: a brush mask with a run beyond the image")
        if is_run:
            values[start:end] = bits.read(value_bits) & 255
        else:
            values[start:end] = [bits.read(value_bits) & 255 for _ in range(start, end)]
        start = end
    return values.reshape(height, width, BRUSH_CHANNELS)[:, :, 3] > 0


def brush_bytes(mask: Pixels) -> list[int]:
    """A mask as Label Studio's brush has it: runs only, of all four channels."""
    pieces = [f"{BRUSH_CHANNELS * mask.size:032b}", f"{8 - 1:05b}", *(f"{size - 1:04b}" for size in BRUSH_SIZES)]
    longest = 1 << BRUSH_SIZES[-1]
    for number, pixels in enumerate(lengths_of(mask.ravel())):
        left = BRUSH_CHANNELS * pixels
        while left:
            length = min(left, longest)
            index = next(i for i, size in enumerate(BRUSH_SIZES) if length <= 1 << size)
            pieces.append(f"1{index:02b}{length - 1:0{BRUSH_SIZES[index]}b}{255 * (number % 2):08b}")
            left -= length
    text = "".join(pieces)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def in_box(lengths: Sequence[int], frame: tuple[int, int, int, int], size: tuple[int, int], place: str) -> Pixels:
    """The mask of an image whose runs fill the box `frame` (left, top, width, height) row by row. Raises UsageError."""
    left, top, width, height = frame
    if left < 0 or top < 0 or width < 1 or height < 1 or left + width > size[0] or top + height > size[1]:
        raise UsageError(f"{place}: a mask that does not lie in the image of {size[0]} x {size[1]} pixels")
    mask = np.zeros((size[1], size[0]), bool)
    mask[top : top + height, left : left + width] = expand(lengths, width * height, place).reshape(height, width)
    return mask
