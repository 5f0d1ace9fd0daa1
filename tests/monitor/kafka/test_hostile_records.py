"""Whatever a record or a batch holds gets a verdict and a dead letter, and the frames around it are inspected."""

import signal
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.inspection.frames import MAX_HEADERS

from tests.fixtures.broker import load_broker
from tests.fixtures.commands import andon
from tests.fixtures.kafka_line import Line
from tests.fixtures.kafka_records import CODECS, NotUtf8, bomb, metric, producer, send_compressed
from tests.fixtures.mcap_recordings import read
from tests.fixtures.small_model import draw, encode
from tests.monitor.kafka.test_source import peak_memory

BOTH = pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
HOSTILE: list[dict[str, Any]] = [
    {"headers": [(NotUtf8("x"), b"value"), ("shift", b"night")]},
    {"headers": [("", b"")] * (10 * MAX_HEADERS)},
]
ODD: list[dict[str, Any]] = [
    {"key": None},
    {"key": b"\xff\x00\n"},
    {"headers": [("ce_time", b"9999-12-31T23:59:59Z"), ("ce_time", b"\xff")]},
    {"headers": [("ce_time", b"9999-12-31T23:59:59Z")]},
    {"headers": [("n" * 2**20, b"v")]},
    {"headers": [("n", bytes(2**20))]},
    {"timestamp_ms": 0},
    {"key": b"k" * 2**20},
]


def in_order(verdicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of one partition's frames, by offset; where the key is lost a verdict may be in another partition."""
    return sorted(verdicts, key=lambda verdict: verdict["frame"]["offset"])


@BOTH
def test_whatever_records_hold_ends_and_stalls_nothing(line: Line, delivery: str, tmp_path: Path) -> None:
    image = encode(draw(1))
    (port,) = load_broker().free_ports(1)
    with producer(line, linger_ms=0) as send:
        send(image, key=b"left")
        for fields in [*HOSTILE, *ODD]:
            send(image, **{"key": b"left"} | fields)
        send(None, key=b"left")
        send(b"", key=b"left")
        send(image, key=b"left")
    count = 4 + len(HOSTILE) + len(ODD)
    with line.monitor(f"kafka.delivery={delivery}", port=port) as monitor:
        verdicts = line.read_verdicts(count, extra=0.5)
        letters = line.read(line.letters, 4, extra=0.5)
        assert metric(port, "andon_kafka_unreadable_records_total") == len(HOSTILE)
        assert metric(port, "andon_dead_letters_total") == len(HOSTILE) + 2
        monitor.signal(signal.SIGTERM)
        assert monitor.end() == 0, monitor.log.read_text()
    outcomes = {verdict["frame"]["offset"]: verdict for verdict in verdicts}
    assert len(verdicts) == len(outcomes) == count
    for offset in range(1, 1 + len(HOSTILE)):
        assert (outcomes[offset]["verdict"], outcomes[offset]["reason"]) == ("uninspectable", "malformed")
    assert outcomes[1]["detail"] == "the name of a header is not UTF-8"
    inspected = [outcomes[0], *[outcomes[1 + len(HOSTILE) + i] for i in range(len(ODD))], outcomes[count - 1]]
    assert {verdict["verdict"] for verdict in inspected} == {"good"}
    assert [outcomes[count - 3]["reason"], outcomes[count - 2]["reason"]] == ["empty", "empty"]
    assert len(letters) == len(HOSTILE) + 2
    headers = dict(letters[0].headers)
    assert (letters[0].key, letters[0].value, headers["\\xff\\xfe"]) == (b"left", image, b"value")
    assert (headers["andon_reason"], headers["andon_offset"]) == (b"malformed", b"1")

    output = tmp_path / "all.mcap"
    done = andon("record", "--source", line.uri(line.frames), "--verdicts", line.uri(line.verdicts), "-o", output,
                 "--start", "earliest", "--until-end")  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert f"{len(HOSTILE)} records could not be read, or not whole; the first: partition 0, offset 1" in done.stderr
    assert len(read(output)[0]) == count


@BOTH
def test_batches_that_would_fill_the_memory_are_skipped_in_every_compression(line: Line, delivery: str) -> None:
    line.preloaded = False  # its memory is measured
    image = encode(draw(1))
    for name in CODECS:
        with producer(line) as send:
            send(image)
        send_compressed(line, name, bomb(name, 128 * 2**20 if name == "snappy" else 900 * 2**20))
        with producer(line) as send:
            send(image)
    (port,) = load_broker().free_ports(1)
    with line.monitor(f"kafka.delivery={delivery}", "kafka.max_decompressed_bytes=16777216", port=port) as monitor:
        verdicts = in_order(line.read_verdicts(12))
        letters = line.read(line.letters, 4)
        peak = peak_memory(monitor.process.pid)
        assert metric(port, 'andon_kafka_unreadable_records_total{cause="too_large"}') == 4
    assert [verdict["verdict"] for verdict in verdicts] == ["good", "uninspectable", "good"] * 4
    assert {verdict.get("reason") for verdict in verdicts} == {None, "too_large"}
    assert [dict(letter.headers)["andon_offset"] for letter in letters] == [b"1", b"4", b"7", b"10"]
    assert peak < 600e6, f"{peak / 1e6:.0f} MB"


def test_frames_just_below_the_limit_pass_one_by_one_and_their_dead_letters_are_cut(line: Line) -> None:
    """60 MiB of zeros each: 40 of them are 2.4 GB, and none fits into the topic of dead letters."""
    line.preloaded = False
    payload = bomb("zstd", 60 * 2**20)
    for _ in range(40):
        send_compressed(line, "zstd", payload)
    with line.monitor() as monitor:
        verdicts = line.read_verdicts(40)
        letters = line.read(line.letters, 40)
        peak = peak_memory(monitor.process.pid)
    assert {verdict["reason"] for verdict in verdicts} == {"undecodable"}
    assert all(letter.value == b"" and dict(letter.headers)["andon_left_out"] for letter in letters)
    assert peak < 1e9, f"{peak / 1e6:.0f} MB"


@pytest.mark.parametrize("name", CODECS)
def test_frames_in_every_compression_of_producers_and_topics_are_inspected(line: Line, name: str) -> None:
    image = encode(draw(1))
    with producer(line, compression_type=name) as send:
        for _ in range(3):
            send(image, headers=[("same", bytes(5000))])
    with line.monitor():
        assert [verdict["verdict"] for verdict in line.read_verdicts(3)] == ["good"] * 3


def test_a_damaged_batch_is_skipped_with_a_verdict_for_each_of_its_offsets(
    cluster: Any, line: Line, tmp_path: Path
) -> None:
    image = encode(draw(1))
    with producer(line) as send:
        for _ in range(3):
            send(image, key=b"left")
    (segment,) = Path(cluster.folder).rglob(f"{line.frames}-0/00000000000000000000.log")
    content = bytearray(segment.read_bytes())
    first = int.from_bytes(content[8:12], "big") + 12
    content[first + 200] ^= 1  # within the second frame's image
    with segment.open("r+b") as file:
        file.write(content)
    with line.monitor() as monitor:
        verdicts = in_order(line.read_verdicts(3))
        assert "reading it again" in monitor.log.read_text()
        (letter,) = line.read(line.letters, 1)
    assert [verdict["verdict"] for verdict in verdicts] == ["good", "uninspectable", "good"]
    assert "damaged on the broker" in verdicts[1]["detail"]
    assert image[:50] in letter.value
    done = andon("record", "--source", line.uri(line.frames), "-o", tmp_path / "x.mcap", "--start", "earliest",
                 "--until-end")  # fmt: skip
    assert done.returncode == 1
    assert "1 records could not be read" in done.stderr
    assert len(read(tmp_path / "x.mcap")[0]) == 2
