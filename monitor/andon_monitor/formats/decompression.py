"""Decompression into limited memory: the size that compressed data declares is never believed."""

import gzip
import io
import zlib
from typing import Protocol

import lz4.frame
import zstandard

STEP_BYTES = 2**20  # decompressed at once


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""


def unzstd(data: bytes, limit: int) -> bytes:
    """The content of a zstandard frame. Raises ValueError: damaged, or more than `limit` bytes."""
    try:
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            return _read(reader, limit)
    except zstandard.ZstdError as error:
        raise ValueError(f"not zstandard data ({error})") from None


def unlz4(data: bytes, limit: int) -> bytes:
    """The content of an LZ4 frame. Raises ValueError: damaged, or more than `limit` bytes."""
    try:
        with lz4.frame.LZ4FrameFile(io.BytesIO(data)) as reader:
            return _read(reader, limit)
    except (RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"not LZ4 data ({error})") from None


def gunzip(data: bytes, limit: int) -> bytes:
    """The content of a gzip file. Raises ValueError: damaged, or more than `limit` bytes."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as reader:
            return _read(reader, limit)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"not gzip data ({error})") from None


def _read(reader: _Reader, limit: int) -> bytes:
    parts, size = [], 0
    while part := reader.read(STEP_BYTES):
        parts.append(part)
        size += len(part)
        if size > limit:
            raise ValueError(f"more than {limit} bytes")
    return b"".join(parts)
