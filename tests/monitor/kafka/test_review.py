"""The review page on a real broker: monitors and pages die, and no defect is lost or shown twice."""

import json
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from andon_monitor.kafka.address import parse_address
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery, Progress, StoredFrame
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from tests.fixtures.broker import load_broker
from tests.fixtures.kafka_line import PATIENCE, Line, Monitor
from tests.fixtures.preloaded import Process
from tests.fixtures.review_page import Client
from tests.fixtures.small_model import parts

ALL = ("evidence.rate=1000", "evidence.burst=1000")


@contextmanager
def page(line: Line, store: Path, *settings: str) -> Iterator[tuple[Monitor, Client]]:
    """`andon-monitor review` as a process, and a visitor to it."""
    log = line.folder / f"page-{time.monotonic_ns()}.log"
    command = ["review", "--store", str(store)]
    command += ["--defects", line.uri(line.defects), "--verdicts", line.uri(line.verdicts)]
    command += ["--labels", line.uri(line.labels), "--model", str(line.model), "--port", "0", *settings]
    with log.open("w") as file:
        process = Process("andon_monitor", command, file, file)
    shown = Monitor(process, log)
    try:
        shown.wait_for("review page at")
        found = re.search(r"review page at (\S+)/", log.read_text())
        assert found is not None
        yield shown, Client(found.group(1))
    finally:
        shown.kill()


def defects(store: Path, wanted: int, seconds: float = PATIENCE) -> list[StoredFrame]:
    """The defects on the page, once there are so many."""
    deadline = time.monotonic() + seconds
    while True:
        rows = Store(store).frames.find(FrameQuery(kind="defect"))
        if len(rows) >= wanted or time.monotonic() > deadline:
            return rows
        time.sleep(0.2)


def test_replicas_restarts_and_crashes_lose_and_double_nothing(line: Line, tmp_path: Path) -> None:
    evidence = (f"output.evidence={line.uri(line.defects)}", *ALL)
    store = tmp_path / "store"
    images = [data for data, _ in parts(160, every=4)]
    with page(line, store) as (shown, visitor), line.monitor(*evidence) as first, line.monitor(*evidence) as second:
        line.send(images[:60], cameras=("left", "right", "top", "back"))
        assert len(defects(store, 5)) >= 5
        shown.kill()  # the page, in the middle of reading
        line.send(images[60:120], cameras=("left", "right", "top", "back"))
        first.kill()  # a monitor, in the middle of its work
        with page(line, store) as (again, _), line.monitor(*evidence):
            line.send(images[120:], cameras=("left", "right", "top", "back"))
            answers = line.read_answers(160)
            wanted = {answer["id"] for answer in answers if answer["verdict"] == "defect"}
            assert len(wanted) >= 40
            rows = defects(store, len(wanted))
            logs = "\n".join(f"{path.name}: {path.read_text()}" for path in sorted(line.folder.glob("*.log")))
            assert sorted(row.id for row in rows) == sorted(wanted), logs
            assert {row.topic for row in rows} == {line.frames}
            again.signal(signal.SIGTERM)
            assert again.end() == 0
        second.signal(signal.SIGTERM)
        assert second.end() == 0
        assert visitor.url
    # A page that begins anew, with an empty store, comes to the same.
    with page(line, tmp_path / "other"):
        assert sorted(row.id for row in defects(tmp_path / "other", len(wanted))) == sorted(wanted)


def test_a_burst_of_defects_fills_neither_topic_nor_store(line: Line, tmp_path: Path) -> None:
    """Each place has a bound in bytes; what goes beyond the rate has its verdict and is counted."""
    admin = KafkaAdminClient(bootstrap_servers=line.servers)
    configs = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, line.defects)])
    admin.close()
    assert re.search(r"'retention\.bytes'[^}]*'2147483648'", str(configs)), configs
    settings = ("evidence.rate=0.001", "evidence.burst=12", f"output.evidence={line.uri(line.defects)}")
    images = [data for data, _ in parts(60, every=1)]
    store = tmp_path / "store"
    (port,) = load_broker().free_ports(1)
    with line.monitor(*settings, port=port), page(line, store, "--set", "review.keep_bytes=100000"):
        line.send(images)
        assert len(line.read_answers(60)) == 60
        assert len(line.read(line.defects, 12, extra=2.0)) == 12
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=300).read().decode()
        assert 'andon_evidence_total{kind="defect"} 12.0' in metrics
        assert 'andon_evidence_skipped_total{kind="defect",reason="rate"} 48.0' in metrics
        defects(store, 6)
        sizes = [path.stat().st_size for path in store.glob("frames/*/*.zip")]
        assert 0 < sum(sizes) <= 100_000


def labels_noted(store: Path, uri: str, wanted: int, seconds: float = PATIENCE) -> None:
    """Wait until the store says that so many steps are published."""
    deadline = time.monotonic() + seconds
    while Store(store).progress.next_offsets(str(parse_address(uri))).get(0, 0) < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_labels_are_published_once_each_in_order(line: Line, tmp_path: Path) -> None:
    store = tmp_path / "store"
    uri = line.uri(line.labels)
    with line.monitor(f"output.evidence={line.uri(line.defects)}", *ALL):
        line.send([data for data, _ in parts(8, every=4)])
        line.read_answers(8)
    with page(line, store) as (shown, visitor):
        frame = defects(store, 2)[0].id
        for label in ("confirmed", "false alarm"):
            assert visitor.label(frame, label=label) == 200
        labels_noted(store, uri, 2)
        shown.kill()
    with page(line, store) as (_, visitor):
        assert visitor.label(frame, label="unsure") == 200
        records = line.read(line.labels, 3, extra=1.0)
        labels_noted(store, uri, 3)
    values = [json.loads(record.value) for record in records]
    assert [value["judgement"] for value in values] == ["confirmed", "false alarm", "unsure"]
    assert [value["label"] for value in values] == ["defect", "good", None]
    assert {value["id"] for value in values} == {frame}
    assert values[0]["frame"]["topic"] == line.frames
    headers = [dict(record.headers) for record in records]
    assert [header["ce_type"] for header in headers] == 3 * [b"andon.label"]
    assert len({header["ce_id"] for header in headers}) == 3

    # Killed after the broker had the last step and before the store knew: it comes again, under the id it had.
    Store(store).progress.set(Progress(str(parse_address(uri)), 0, 2))
    with page(line, store):
        again = line.read(line.labels, 4, extra=1.0)
    assert [dict(record.headers)["ce_id"] for record in again] == [h["ce_id"] for h in [*headers, headers[-1]]]


def test_what_others_put_into_the_topic_is_refused_and_the_rest_is_shown(line: Line, tmp_path: Path) -> None:
    producer = KafkaProducer(bootstrap_servers=line.servers)
    for topic in (line.defects, line.verdicts):
        for value in (b"", b"<script>alert(1)</script>", b"PK\x03\x04" + bytes(1000), b'{"id": "../../x"}', None):
            producer.send(topic, value=value, key=b"x").get(timeout=300)
    producer.close()
    with line.monitor(f"output.evidence={line.uri(line.defects)}", *ALL):
        line.send([data for data, _ in parts(8, every=4)])
        with page(line, tmp_path / "store") as (shown, visitor):
            assert len(defects(tmp_path / "store", 2)) == 2
            assert "since the start: not a package of evidence" in shown.log.read_text()
            status, body = visitor.get("/defects")
            assert status == 200
            assert body.count('class="tile"') == 2


def test_a_topic_that_is_not_there_is_said_and_the_page_stays(line: Line, tmp_path: Path) -> None:
    with page(line, tmp_path / "store", "--defects", line.uri("no-such-topic")) as (shown, visitor):
        shown.wait_for("no such topic")
        assert visitor.get("/defects")[0] == 200
    assert Store(tmp_path / "store").frames.find(FrameQuery(kind="defect")) == []


def test_exactly_once_verdicts_come_with_their_evidence(line: Line, tmp_path: Path) -> None:
    evidence = (f"output.evidence={line.uri(line.defects)}", "kafka.delivery=exactly-once", *ALL)
    images = [data for data, _ in parts(40, every=4)]
    with line.monitor(*evidence) as first:
        line.send(images)
        line.read(line.defects, 3)
        first.kill()
    with line.monitor(*evidence), page(line, tmp_path / "store"):
        wanted = {answer["id"] for answer in line.read_answers(40) if answer["verdict"] == "defect"}
        assert len(wanted) >= 10
        assert sorted(row.id for row in defects(tmp_path / "store", len(wanted))) == sorted(wanted)
