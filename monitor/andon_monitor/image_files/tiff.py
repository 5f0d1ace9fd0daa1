"""The directory of a TIFF file (TIFF 6.0, Adobe 1992)."""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from andon_monitor.errors import ImageError
from andon_monitor.image_files.header import (
    ORIENTATION_TAG,
    Header,
    damaged,
    inflating_work,
    unsupported,
    valid_orientation,
)

INTEGERS = {1: 1, 3: 2, 4: 4}  # bytes of each type of whole numbers
SHORT, LONG = 3, 4
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES = 256, 257, 258, 259, 262, 277
ROWS_PER_STRIP, PLANAR, TILE_WIDTH, TILE_HEIGHT, EXTRA_SAMPLES, SAMPLE_FORMAT = 278, 284, 322, 323, 338, 339
PREDICTOR, COLOR_MAP = 317, 320
PIECES = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles
COMPRESSIONS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits"}
MIN_IS_BLACK, RGB, PALETTE = 1, 2, 3
MAX_ENTRIES = 512  # of a directory; cameras write about twenty


@dataclass(frozen=True, slots=True)
class TiffFile:
    """The header, the same picture in a new file, its compression, its strips or tiles and the bytes that each holds.

    The new file has the fields that were checked here and no other, so the decoder cannot understand the file
    differently. `piece_bytes`: at least and at most, decompressed.
    """

    header: Header
    data: bytes
    compression: int
    pieces: list[bytes]
    piece_bytes: list[tuple[int, int]]


class _Directory:
    """The first directory of a file: fields by tag."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
        place = self._number(4, 4)
        count = self._number(place, 2)
        if count == 0 or count > MAX_ENTRIES or place + 2 + 12 * count + 4 > len(data):
            raise ImageError("undecodable", f"truncated image: its directory is missing ({len(data)} bytes)")
        self._entries = {self._number(at, 2): at for at in range(place + 2, place + 2 + 12 * count, 12)}
        self.next = self._number(place + 2 + 12 * count, 4)

    def _number(self, place: int, size: int) -> int:
        return int.from_bytes(self._data[place : place + size], self._order)

    def values(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """The whole numbers of a field."""
        at = self._entries.get(tag)
        if at is None:
            return default
        kind, count = self._number(at + 2, 2), self._number(at + 4, 4)
        size = INTEGERS.get(kind)
        if size is None or count == 0 or count * size > len(self._data):
            raise damaged(f"TIFF field {tag} with {count} values of type {kind}")
        place = at + 8 if count * size <= 4 else self._number(at + 8, 4)
        if place + count * size > len(self._data):
            raise ImageError("undecodable", f"truncated image: TIFF field {tag} is missing ({len(self._data)} bytes)")
        return tuple(self._number(place + i * size, size) for i in range(count))

    def value(self, tag: int, default: int) -> int:
        """The first number of a field."""
        return self.values(tag, (default,))[0]


def read_tiff(data: bytes) -> TiffFile:
    """Read a TIFF file of one page whose strips or tiles are all there. Raises ImageError."""
    fields = _Directory(data)
    width, height = fields.value(WIDTH, 0), fields.value(HEIGHT, 0)
    if not width or not height:
        raise damaged(f"{width} x {height} pixels")
    if fields.next:
        raise unsupported("TIFF with more than one page; save each page as a file")
    samples = fields.value(SAMPLES, 1)
    bits = fields.values(BITS, (1,))
    compression, photometric = fields.value(COMPRESSION, 1), fields.value(PHOTOMETRIC, MIN_IS_BLACK)
    extra = fields.values(EXTRA_SAMPLES)
    predictor = fields.value(PREDICTOR, 1)
    if compression not in COMPRESSIONS or predictor not in (1, 2):
        raise unsupported(f"TIFF with compression {compression}; save it with LZW, deflate or none")
    if set(fields.values(SAMPLE_FORMAT, (1,))) != {1}:
        raise unsupported("TIFF with signed or floating-point values; save it with 8 or 16 bits a channel")
    if set(bits) not in ({8}, {16}):
        said = " and ".join(map(str, sorted(set(bits))))
        raise unsupported(f"TIFF with {said} bits a channel; save it with 8 or 16")
    depth: Literal[8, 16] = 16 if bits[0] == 16 else 8
    colour = {MIN_IS_BLACK: 1, RGB: 3, PALETTE: 1}.get(photometric)
    palette = fields.values(COLOR_MAP) if photometric == PALETTE else ()
    if colour is None or samples - len(extra) != colour or len(extra) > 1 or len(bits) not in (1, samples):
        raise unsupported(f"TIFF with colours of kind {photometric} in {samples} channels; save it as grey or RGB")
    if photometric == PALETTE and (depth == 16 or len(palette) != 768 or samples != 1):
        raise unsupported("TIFF with a palette that is not of 256 colours")
    if samples > 1 and fields.value(PLANAR, 1) != 1:
        raise unsupported("TIFF with its channels in separate planes")
    tiled, size, pieces = _read_pieces(fields, data, width, height)
    orientation = valid_orientation(fields.value(ORIENTATION_TAG, 1))
    # LZW and PackBits are decompressed once more by what checks them.
    stored = width * height * samples * depth // 8
    checked = 0 if COMPRESSIONS[compression] in ("none", "deflate") else stored
    header = Header(
        "TIFF",
        width,
        height,
        1 if photometric == MIN_IS_BLACK else 3,
        depth=depth,
        alpha=len(extra) == 1,
        orientation=orientation,
        levels=65535 if depth == 16 else 255,
        working_bytes=size[0] * size[1] * samples * depth // 8 + checked,
        inflating_work=0 if COMPRESSIONS[compression] == "none" else inflating_work(stored, sum(map(len, pieces))),
    )
    entries = {
        WIDTH: (width,),
        HEIGHT: (height,),
        BITS: (depth,) * samples,
        COMPRESSION: (compression,),
        PHOTOMETRIC: (photometric,),
        SAMPLES: (samples,),
        PLANAR: (1,),
        PREDICTOR: (predictor,),
        **({TILE_WIDTH: size[:1], TILE_HEIGHT: size[1:]} if tiled else {ROWS_PER_STRIP: size[1:]}),
        **({COLOR_MAP: palette} if palette else {}),
        **({EXTRA_SAMPLES: extra} if extra else {}),
    }
    row = size[0] * samples * depth // 8
    rows = [size[1]] * len(pieces)
    if not tiled:  # the last strip may be shorter
        rows[-1] = height - size[1] * (len(pieces) - 1)
    expected = [(count * row, size[1] * row) for count in rows]
    return TiffFile(header, _written(data[:4], entries, PIECES[tiled], pieces), compression, pieces, expected)


def check_decompressed(file: TiffFile) -> None:
    """Raise ImageError where the compressed data are not the pixels: the decoder leaves what is damaged as it is."""
    name = COMPRESSIONS[file.compression]
    if name == "none":
        for piece, (least, _) in zip(file.pieces, file.piece_bytes, strict=True):
            if len(piece) < least:
                raise damaged("pixels are missing in this TIFF")
    elif name == "deflate":
        for piece, (least, most) in zip(file.pieces, file.piece_bytes, strict=True):
            inflater = zlib.decompressobj()
            try:
                size = len(inflater.decompress(piece, most + 1))
            except zlib.error as error:
                raise damaged(str(error)) from None
            if not least <= size <= most or not inflater.eof:
                raise damaged(
                    "more data than pixels in this TIFF" if size > most else "pixels are missing in this TIFF"
                )
    else:  # LZW and PackBits have no checksum; of damage, this finds what does not decompress
        try:
            with Image.open(io.BytesIO(file.data), formats=("TIFF",)) as image:
                image.load()
        except Exception as error:  # whatever it is, the file is not read
            raise damaged(str(error)) from None


def _read_pieces(fields: _Directory, data: bytes, width: int, height: int) -> tuple[bool, tuple[int, int], list[bytes]]:
    """Whether a picture is in tiles rather than strips, the width and height of one, and the bytes of all of them."""
    tile_width, tile_height = fields.value(TILE_WIDTH, 0), fields.value(TILE_HEIGHT, 0)
    tiled = bool(tile_width or tile_height)
    if not tiled:
        tile_width, tile_height = width, min(fields.value(ROWS_PER_STRIP, height), height)
    if not tile_width or not tile_height or tile_width * tile_height > 4 * max(width, 256) * max(height, 256):
        raise damaged(f"TIFF tiles of {tile_width} x {tile_height} pixels in {width} x {height}")
    offsets, counts = (fields.values(tag) for tag in PIECES[tiled])
    needed = -(-width // tile_width) * -(-height // tile_height)
    if len(offsets) != needed or len(counts) != needed:
        raise damaged(f"{len(offsets)} parts of a TIFF picture that needs {needed}")
    places = list(zip(offsets, counts, strict=True))
    if any(offset + count > len(data) or not count for offset, count in places) or sum(counts) > len(data):
        raise ImageError("undecodable", f"truncated image: pixels are missing ({len(data)} bytes)")
    return tiled, (tile_width, tile_height), [data[offset : offset + count] for offset, count in places]


def _written(start: bytes, entries: dict[int, tuple[int, ...]], tags: tuple[int, int], pieces: list[bytes]) -> bytes:
    """A TIFF file of these fields and strips or tiles, in the byte order of `start`."""
    order = "<" if start[:2] == b"II" else ">"
    body, place, offsets = [], 8, []
    for piece in pieces:
        offsets.append(place)
        body.append(piece)
        place += len(piece)
    entries = entries | {tags[0]: tuple(offsets), tags[1]: tuple(map(len, pieces))}
    directory = []
    for tag, values in sorted(entries.items()):
        kind, letter = (LONG, "I") if max(values) > 65535 or tag in tags else (SHORT, "H")
        packed = struct.pack(f"{order}{len(values)}{letter}", *values)
        if len(packed) > 4:
            body.append(packed)
            packed = struct.pack(f"{order}I", place)
            place += len(body[-1])
        directory.append(struct.pack(f"{order}HHI", tag, kind, len(values)) + packed.ljust(4, b"\0"))
    head = start + struct.pack(f"{order}I", place)
    return b"".join([head, *body, struct.pack(f"{order}H", len(directory)), *directory, bytes(4)])
