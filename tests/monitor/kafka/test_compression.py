"""What any producer compresses is read; what would fill the memory or is damaged is refused."""

import gzip
from collections.abc import Callable

import cramjam
import lz4.frame
import numpy as np
import pytest
import zstandard
from andon_monitor.kafka.compression import CODECS, DamagedError, TooLargeError, decompress
from kafka.codec import gzip_encode, lz4_encode, zstd_encode

from tests.fixtures.kafka_records import CODECS as NUMBERS
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
    codec = NUMBERS[encoder.split()[0]]
    assert decompress(codec, memoryview(compressed), len(data)) == data
    if len(data) > 1:
        with pytest.raises(TooLargeError, match=r"more than \d+ bytes"):
            decompress(codec, compressed, len(data) - 1)


@pytest.mark.parametrize("codec", NUMBERS)
def test_what_is_damaged_is_refused(codec: str) -> None:
    assert CODECS[NUMBERS[codec]] == codec
    compressed = ENCODERS[codec](CONTENTS["noise"])
    for damaged in (b"\x01", b"not compressed at all", b"\x00" + compressed):
        with pytest.raises(DamagedError, match=codec):
            decompress(NUMBERS[codec], damaged, 2**30)


@pytest.mark.parametrize("codec", NUMBERS)
def test_a_bomb_is_given_up_at_the_limit(codec: str) -> None:
    with pytest.raises(TooLargeError):
        decompress(NUMBERS[codec], bomb(codec, 200 * 2**20), 2**22)


def test_several_streams_in_a_row_are_one_content_and_an_unknown_codec_is_damage() -> None:
    for codec in ("gzip", "lz4", "zstd"):
        encode = ENCODERS[codec]
        assert decompress(NUMBERS[codec], encode(b"a" * 10) + encode(b"b" * 20), 100) == b"a" * 10 + b"b" * 20
    with pytest.raises(DamagedError, match="unknown compression 7"):
        decompress(7, b"", 1)
