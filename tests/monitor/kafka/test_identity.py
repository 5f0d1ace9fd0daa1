"""What producers say about a part reaches its verdict, whatever they say, in every mode of CloudEvents."""

import base64
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.inspection.frames import verdict_id

from tests.fixtures.broker import load_broker
from tests.fixtures.commands import andon
from tests.fixtures.kafka_line import Line
from tests.fixtures.kafka_records import metric, producer
from tests.fixtures.mcap_recordings import read
from tests.fixtures.small_model import draw, encode

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EVENTS = 150  # more than frames in flight, and than verdicts in a group
BATCH, STRUCTURED = b"application/cloudevents-batch+json", b"application/cloudevents+json"


def event(number: int, image: bytes, **attributes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": "/press",
        "type": "andon.frame",
        "datacontenttype": "image/png",
        "data_base64": base64.b64encode(image).decode(),
        "part": str(number),
        **attributes,
    }


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_every_event_has_a_verdict_with_its_part(line: Line, delivery: str, tmp_path: Path) -> None:
    image, dark = encode(draw(1)), encode(draw(2, defect=True))
    (port,) = load_broker().free_ports(1)
    batch = [event(i, dark if i == 7 else image, product="cover") for i in range(EVENTS)]
    batch[9]["data_base64"] = "?"
    with producer(line, linger_ms=0) as send:
        headers = [("ce_part", b"4711"), ("ce_traceparent", PARENT), ("Serial", b"x" * 10_000), ("ce_note", b"a\xff\n")]
        send(image, key=b"left", headers=headers + [(f"ce_n{i}", b"v") for i in range(900)])
        send(json.dumps(batch).encode(), key=b"left", headers=[("content-type", BATCH)])
        send(json.dumps(event(1, image)).encode(), key=b"left", headers=[("content-type", STRUCTURED)])
        send(b"[" * 2**20, key=b"left", headers=[("content-type", STRUCTURED)])
    count = EVENTS + 3
    settings = [f"kafka.delivery={delivery}", 'kafka.part_headers={"Serial": "order"}', 'source.products=["cover"]']
    with line.monitor(*settings, port=port) as monitor:
        records = line.read(line.verdicts, count, extra=0.5)
        letters = line.read(line.letters, 2)
        assert metric(port, "andon_part_cuts_total") == 900 + 1 + 2 - 20
        assert metric(port, "andon_product_verdicts_total") == count
        monitor.signal(signal.SIGTERM)
        assert monitor.end() == 0, monitor.log.read_text()
    verdicts = [json.loads(record.value) for record in records]
    assert len(verdicts) == len({verdict["id"] for verdict in verdicts}) == count
    first, *of_batch = verdicts[: 1 + EVENTS]
    assert (first["part"]["id"], len(first["part"])) == ("4711", 2 + 20)
    assert first["part"]["order"].startswith("xxx")
    assert dict(records[0].headers)["ce_traceparent"] == PARENT
    assert [verdict["frame"]["event"] for verdict in of_batch] == list(range(EVENTS))
    assert [verdict.get("part", {}).get("id") for verdict in of_batch] == [
        None if i == 9 else str(i) for i in range(EVENTS)
    ]
    assert [i for i, verdict in enumerate(of_batch) if verdict["verdict"] != "good"] == [7, 9]
    assert [verdict.get("reason") for verdict in verdicts[-2:]] == [None, "malformed"]
    assert json.loads(letters[0].value) == batch[9]
    assert dict(letters[0].headers)["andon_event"] == b"9"
    assert letters[1].value == b"[" * 2**20

    # The group has read everything: a second monitor has only what comes now.
    with producer(line) as send:
        send(image, key=b"left")
    with line.monitor(*settings):
        assert len(line.read(line.verdicts, count + 1, extra=0.5)) == count + 1

    output, again = tmp_path / "all.mcap", tmp_path / "again.jsonl"
    done = andon("record", "--source", line.uri(line.frames), "-o", output, "--start", "earliest", "--until-end",
                 "--set", settings[1])  # fmt: skip
    assert done.returncode == 0, done.stderr
    frames = read(output)[0][:count]
    assert [verdict_id(frame.position, verdicts[0]["model"]["sha256"]) for frame in frames] == [
        verdict["id"] for verdict in verdicts
    ]
    done = andon("run", "--model", line.model, "--source", output, "--verdicts", again, "--no-server")
    for live, recorded in zip(verdicts, map(json.loads, again.read_text().splitlines()), strict=False):
        del live["latency"]
        assert (live.get("reason") == "malformed") or live == recorded
