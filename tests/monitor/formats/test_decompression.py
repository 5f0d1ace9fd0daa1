"""What anybody compresses is read; what would fill the memory or is damaged is refused."""

import gzip
from collections.abc import Callable
from typing import cast, get_args

import cramjam
import lz4.frame
import numpy as np
import pytest
import zstandard
from andon_monitor.errors import UsageError
from andon_monitor.formats import decompression
from andon_monitor.formats.decompression import (
    Codec,
    DamagedError,
    TooLargeError,
    decompress,
    missing_codecs,
    require_codecs,
)
from kafka.codec import gzip_encode, lz4_encode, zstd_encode

from tests.fixtures.kafka_records import bomb

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip_encode,
    "gzip fast": lambda data: gzip.compress(data, 1),
    "snappy": lambda data: bytes(cramjam.snappy.compress_raw(data)),
    "lz4": lz4_encode,
    "lz4 linked": lambda data: lz4.frame.compress(data, block_linked=True, content_checksum=True),
    "lz4 without a size": lambda data: lz4.frame.compress(data, store_size=False),
    "zstd": zstd_encode,
    "zstd best": zstandard.ZstdCompressor(level=22).compress,
    "zstd without a size": zstandard.ZstdCompressor(write_content_size=False).compress,
}
CODECS = get_args(Codec)
CONTENTS = {
    "nothing": b"",
    "a byte": b"a",
    "zeros": bytes(3 * 2**20),
    "noise": np.random.default_rng(1).bytes(5 * 2**20),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("content", CONTENTS)
def test_what_a_producer_compresses_is_read(encoder: str, content: str) -> None:
    data = CONTENTS[content]
    compressed = ENCODERS[encoder](data)
    codec = cast(Codec, encoder.split()[0])
    assert decompress(codec, memoryview(compressed), len(data)) == data
    if len(data) > 1:
        with pytest.raises(TooLargeError, match=r"more than \d+ bytes"):
            decompress(codec, compressed, len(data) - 1)


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_damaged_is_refused(codec: Codec) -> None:
    compressed = ENCODERS[codec](CONTENTS["noise"])
    for damaged in (b"\x01", b"not compressed at all", b"\x00" + compressed):
        with pytest.raises(DamagedError, match=codec):
            decompress(codec, damaged, 2**30)


@pytest.mark.parametrize("codec", CODECS)
def test_a_bomb_is_given_up_at_the_limit(codec: Codec) -> None:
    with pytest.raises(TooLargeError):
        decompress(codec, bomb(codec, 200 * 2**20), 2**22)


def test_a_codec_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    require_codecs()  # all come with this program
    monkeypatch.setattr(decompression, "cramjam", None)
    monkeypatch.setattr(decompression, "lz4_frame", None)
    assert missing_codecs() == {"snappy": "cramjam", "lz4": "lz4"}
    with pytest.raises(UsageError, match=r"^data compressed by snappy, lz4 cannot be read: pip install cramjam lz4$"):
        require_codecs()


def test_several_streams_in_a_row_are_one_content() -> None:
    codecs: tuple[Codec, ...] = ("gzip", "lz4", "zstd")
    for codec in codecs:
        encode = ENCODERS[codec]
        assert decompress(codec, encode(b"a" * 10) + encode(b"b" * 20), 100) == b"a" * 10 + b"b" * 20
