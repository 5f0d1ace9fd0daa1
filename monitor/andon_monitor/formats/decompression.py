"""Decompression into limited memory: the size that compressed data declares is never believed.

For batches of Kafka records, chunks of recordings and archives, and array files.
"""

import zlib
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Literal

from andon_monitor.errors import UsageError


def _optional(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        return None


# All three come with this program; an environment that somebody has put together may lack one.
cramjam, lz4_frame, zstandard = _optional("cramjam"), _optional("lz4.frame"), _optional("zstandard")

Codec = Literal["gzip", "snappy", "lz4", "zstd"]

PIECE_BYTES = 2**22  # decompressed at a time
GZIP_WINDOW_BITS = 31  # zlib's number for the gzip format
# Java's Snappy streams: a magic, two version numbers, then blocks with a length of 4 bytes in front.
XERIAL_MAGIC = b"\x82SNAPPY\x00"
XERIAL_HEADER_BYTES = 16
BLOCK_LENGTH_BYTES = 4
# zstd allocates its window before it decompresses, and Kafka's producers use windows of up to 128 MiB.
MAX_WINDOW_BYTES = 2**27


class TooLargeError(ValueError):
    """More bytes than allowed."""


class DamagedError(ValueError):
    """Not what the codec writes."""


def missing_codecs() -> dict[str, str]:
    """The compressions that cannot be read here, each with the package that is missing."""
    needed = {"snappy": ("cramjam", cramjam), "lz4": ("lz4", lz4_frame), "zstd": ("zstandard", zstandard)}
    return {name: package for name, (package, module) in needed.items() if module is None}


def require_codecs() -> None:
    """Raise UsageError where a compression cannot be read: any producer of records may use any of them."""
    missing = missing_codecs()
    if missing:
        packages = " ".join(missing.values())
        raise UsageError(f"data compressed by {', '.join(missing)} cannot be read: pip install {packages}")


def decompress(codec: Codec, data: bytes | memoryview, limit: int) -> bytes:
    """Decompress at most `limit` bytes. Raises TooLargeError and DamagedError, which are ValueErrors."""
    try:
        return _DECODERS[codec](data, limit)
    except TooLargeError:
        raise TooLargeError(f"more than {limit} bytes when its {codec} is decompressed") from None
    except Exception as error:  # each library has its own
        reason = str(error) or type(error).__name__
        raise DamagedError(f"{codec} does not decompress ({reason})") from None


def _collect(read: Callable[[], bytes], limit: int) -> bytes:
    """Call `read` until it returns nothing."""
    pieces: list[bytes] = []
    size = 0
    while piece := read():
        size += len(piece)
        if size > limit:
            raise TooLargeError
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _gzip(data: bytes | memoryview, limit: int) -> bytes:
    stream, rest = zlib.decompressobj(GZIP_WINDOW_BITS), bytes(data)

    def read() -> bytes:
        nonlocal stream, rest
        while True:
            piece = stream.decompress(rest, PIECE_BYTES)
            rest = stream.unconsumed_tail
            if stream.eof and stream.unused_data:  # several members in a row
                stream, rest = zlib.decompressobj(GZIP_WINDOW_BITS), stream.unused_data
            elif not piece and not stream.eof:
                raise DamagedError("it ends too early")
            elif not piece or stream.eof:
                return piece
            if piece:
                return piece

    return _collect(read, limit)


def _snappy(data: bytes | memoryview, limit: int) -> bytes:
    if bytes(data[: len(XERIAL_MAGIC)]) != XERIAL_MAGIC:
        return _snappy_block(data, limit)
    position, left = XERIAL_HEADER_BYTES, limit
    blocks: list[bytes] = []
    while position < len(data):
        end = position + BLOCK_LENGTH_BYTES
        length = int.from_bytes(data[position:end], "big")
        if not 0 < length <= len(data) - end:
            raise DamagedError("a block of no sound length")
        position = end + length
        blocks.append(_snappy_block(data[end:position], left))
        left -= len(blocks[-1])
    return b"".join(blocks)


def _snappy_block(data: bytes | memoryview, limit: int) -> bytes:
    # The length in front is what is allocated; the decoder refuses a block that holds more or less.
    if cramjam.snappy.decompress_raw_len(data) > limit:
        raise TooLargeError
    return bytes(cramjam.snappy.decompress_raw(data))


def _lz4(data: bytes | memoryview, limit: int) -> bytes:
    stream, rest = lz4_frame.LZ4FrameDecompressor(), bytes(data)

    def read() -> bytes:
        nonlocal rest
        while True:
            if stream.eof and not (rest := stream.unused_data or b""):
                return b""
            piece: bytes = stream.decompress(rest, PIECE_BYTES)
            rest = b""
            if piece:
                return piece
            if stream.needs_input and not stream.eof:
                raise DamagedError("it ends too early")

    return _collect(read, limit)


def _zstd(data: bytes | memoryview, limit: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    with decompressor.stream_reader(data, read_across_frames=True) as stream:
        return _collect(lambda: stream.read(PIECE_BYTES), limit)


_DECODERS: Mapping[Codec, Callable[[bytes | memoryview, int], bytes]] = {
    "gzip": _gzip,
    "snappy": _snappy,
    "lz4": _lz4,
    "zstd": _zstd,
}
