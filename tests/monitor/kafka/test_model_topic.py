"""A model changed on a page reaches a monitor on another machine by topic and shared folder, and nothing else does."""

import hashlib
import json
from pathlib import Path

from andon_monitor.formats.model_notice import ModelNotice
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.topics import create, plan
from andon_monitor.settings.groups import KafkaSettings
from kafka import KafkaProducer

from tests.fixtures.kafka_line import Line
from tests.fixtures.small_model import build_model, draw, encode
from tests.monitor.kafka.test_review import page
from tests.monitor.review.models.test_pages import send

UNLIKE = build_model(golden=lambda golden: type(golden)(golden.frames, golden.scores + 1))


def tell(line: Line, topic: str, notice: ModelNotice) -> None:
    """Send a notice as somebody else might, who may write to topic and folder."""
    producer = KafkaProducer(bootstrap_servers=line.servers)
    producer.send(topic, value=notice.to_json(), key=notice.file.encode()).get(timeout=300)
    producer.close()


def test_a_change_on_the_page_reaches_a_monitor_elsewhere(line: Line, tmp_path: Path) -> None:
    topic, changes = f"{line.name}.models", f"{line.name}.changes"
    wanted = [
        t for t in plan("", "", "", 1, KafkaSettings(), changes=changes, models=topic) if t.name in (topic, changes)
    ]
    made = list(create(parse_address(line.uri(topic)), wanted, KafkaSettings()))
    assert [found.describe().split(", ")[1] for found, new in made if new] == ["kept for 87600 h", "compacted"]
    first = line.model.read_bytes()
    office, shared = tmp_path / "office" / line.model.name, tmp_path / "shared"
    office.parent.mkdir()
    shared.mkdir()
    office.write_bytes(first)
    both = ("--set", f"model.topic={line.uri(topic)}", "--set", f"model.shared={shared}")
    mine = (
        "--model",
        str(office),
        "--set",
        "review.changers=[anybody]",
        "--set",
        f"review.changes={line.uri(changes)}",
    )
    settings = ("model.watch=0.1", *both[1::2])
    with page(line, tmp_path / "store", *mine, *both) as (_, visitor):
        with line.monitor(*settings) as monitor:
            line.send([encode(draw(i)) for i in range(8)])
            line.read_verdicts(8)
            assert send(visitor, "/model?value=20&unit=percent", "/models/threshold", why="quieter")[0] == 200
            second = office.read_bytes()
            monitor.wait_for(f"{hashlib.sha256(second).hexdigest()[:12]} from the topic of models")
            monitor.wait_for("model swapped: ")
            assert line.model.read_bytes() == second
            # What is not what it says, or does not score as it says, changes nothing.
            name, other = line.model.stem, hashlib.sha256(UNLIKE).hexdigest()
            (shared / "x.onnx").write_bytes(UNLIKE)
            tell(line, topic, ModelNotice(file="another", sha256=other, place="x.onnx", at=1.0))
            tell(line, topic, ModelNotice(file=name, sha256="0" * 64, place="x.onnx", at=2.0))
            monitor.wait_for(f"x.onnx: holds {other[:12]}, not {'0' * 12}; trying again")
            tell(line, topic, ModelNotice(file=name, sha256=other, place="x.onnx", at=3.0))
            monitor.wait_for(f"; {line.model} stays as it is")
            assert line.model.read_bytes() == second
        assert send(visitor, "/models", "/models/undo")[0] == 200
        with line.monitor(*settings) as monitor:  # it was away when that was said
            monitor.wait_for(f"{hashlib.sha256(first).hexdigest()[:12]} from the topic of models")
        assert line.model.read_bytes() == office.read_bytes() == first
    steps = [json.loads(record.value) for record in line.read(changes, 3)]
    assert [(step["step"], step["action"], step["why"]) for step in steps] == [
        ("found", "replaced outside", ""), ("applied", "threshold", "quieter"), ("applied", "undo", ""),
    ]  # fmt: skip
