"""What is sent follows the schemas in docs/contracts, and has nothing that they do not know."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from andon_monitor.formats.model_notice import read_model_notice
from andon_monitor.inspection.frames import REASONS, TIME_SOURCES, Latency, Rejection, reject
from andon_monitor.inspection.inspector import Inspection, Inspector, Rules
from andon_monitor.inspection.part import Part
from andon_monitor.kafka import messages
from andon_monitor.kafka.messages import Message
from andon_monitor.model.file import Model
from andon_monitor.parts.joiner import Joiner
from andon_monitor.review.labels import add_label
from andon_monitor.review.models.line_models import LineFile, LineModels, try_notice
from andon_monitor.review.publishing import change_history, label_history, model_history
from andon_monitor.review.store import Store
from andon_monitor.settings.groups import ReviewSettings
from andon_monitor.telemetry.catalogue import INCOMPLETE_REASONS, PART_OUTCOMES
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.fixtures.part_views import RULES, make_view
from tests.fixtures.review_line import fill, ids
from tests.fixtures.small_model import draw, encode, make_frame

FOLDER = Path(__file__).parents[2] / "docs" / "contracts"
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
ASYNCAPI = yaml.safe_load((FOLDER / "asyncapi.v1.yaml").read_text())
PART = Part("4711", "cover", "A-17", "press-2", "top", 2**62, (("batch", "7"),))
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def closed(schema: Any) -> Any:
    """The same schema, but nothing is allowed that it does not name."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(value) for name, value in schema.items()}
    if isinstance(found.get("properties"), Mapping) and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(closed(schema))) for schema in SCHEMAS.values()
)


def check(value: Any, name: str) -> None:
    Draft202012Validator(closed(SCHEMAS[name]), registry=REGISTRY).validate(value)


@pytest.fixture(scope="module")
def inspections(model: Model) -> list[Inspection]:
    """A good frame, a defect and an uninspectable one, with all that a verdict may have."""
    given = [
        make_frame(encode(draw(1)), 0),
        make_frame(
            encode(draw(2, defect=True)), 1, part=PART, headers=(("ce_traceparent", PARENT),), time_source="stream"
        ),
        make_frame(b"x" * 100, 2, part=PART, file="a/b.png", key=b"left"),
    ]
    given[2] = replace(given[2], position=replace(given[2].position, event=3, topic_id="uuid"))
    inspector = Inspector(model, Rules(scales={"station-1": 0.05}))
    prepared = [inspector.prepare(frame) for frame in given]
    return [
        Inspection(item, replace(verdict, latency=Latency(0.1, 0.2, 0.3)), model=model)
        for item, verdict in zip(prepared, inspector.inspect(prepared), strict=True)
    ]


def test_the_schemas_are_schemas_and_readers_may_know_less() -> None:
    assert set(SCHEMAS) == {"verdict.v1", "evidence.v1", "label.v1", "part.v1", "change.v1", "model.v1"}
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)
        assert "additionalProperties" not in schema
    assert tuple(SCHEMAS["verdict.v1"]["properties"]["reason"]["enum"]) == REASONS
    assert tuple(SCHEMAS["verdict.v1"]["properties"]["capture_time_source"]["enum"]) == TIME_SOURCES
    assert tuple(SCHEMAS["part.v1"]["properties"]["reason"]["enum"]) == INCOMPLETE_REASONS
    assert tuple(SCHEMAS["part.v1"]["properties"]["verdict"]["enum"]) == PART_OUTCOMES


def test_verdicts_follow_their_schema(inspections: list[Inspection]) -> None:
    verdicts = [inspection.verdict for inspection in inspections]
    assert [verdict.outcome for verdict in verdicts] == ["good", "defect", "uninspectable"]
    full = replace(verdicts[1], kind="scratch", kind_probability=0.9, recipe="bottle")
    verdicts.append(reject(inspections[0].frame, Rejection("no_recipe", "no recipe takes it")))
    for verdict in [*verdicts, full, *(replace(verdicts[2], reason=reason) for reason in REASONS)]:
        check(json.loads(verdict.to_json()), "verdict.v1")
    fields = json.loads(full.to_json())
    missing = set(SCHEMAS["verdict.v1"]["properties"]) - set(fields) - {"reason", "detail", "regions_left_out"}
    assert not missing
    assert fields["regions"][0]["millimetres"]


def test_verdicts_of_parts_follow_their_schema() -> None:
    rules = replace(RULES, false_alarm_rate=0.001, max_parts=3)
    joiner = Joiner(rules)
    late = make_view("1", "top", 15, "defect")
    given = [
        *(make_view("1", "top", product="cover", order="A"), make_view("1", "left", outcome="uninspectable"), late),
        *(make_view("2"), make_view("2", "left"), make_view("2", "top", 2, "defect"), make_view("3", "other", 3)),
        *(make_view("4", "top", 4, product="a"), make_view("4", "left", 4, product="b"), make_view("5", "left", 30)),
        make_view("6", "left", 31),
    ]
    verdicts = [verdict for view in given for verdict in joiner.add(view)[1]] + joiner.finish()
    values = [json.loads(verdict.to_json()) for verdict in verdicts]
    for value in values:
        check(value, "part.v1")
    assert {value["cause"] for value in values} == {"complete", "late", "overflow", "end"}
    missing = set(SCHEMAS["part.v1"]["properties"]) - {name for value in values for name in value}
    assert not missing


def test_evidence_and_labels_follow_their_schemas(inspections: list[Inspection], tmp_path: Path) -> None:
    store = fill(tmp_path / "store", inspections)
    for kind in ("defect", "borderline", "good"):
        for frame_id in ids(store, kind):
            package = store.package(frame_id)
            assert package is not None
            with zipfile.ZipFile(BytesIO(package)) as archive:
                check(json.loads(archive.read("evidence.json")), "evidence.v1")
    (defect,) = ids(store)
    add_label(store, defect, "confirmed", "dent", "ann")
    store.labels.undo(defect, "bob")
    history = label_history(store)
    sent = [history.message(step, "andon.labels") for step in history.after(0, 10)]
    values = [json.loads(message.value or b"") for message in sent]
    for value in values:
        check(value, "label.v1")
    assert values[0]["part"] == PART.to_dict()
    check_headers(sent[0], "labelHeaders")


def test_changes_of_models_follow_their_schema(model: Model, tmp_path: Path) -> None:
    store, path = Store(tmp_path / "store"), tmp_path / "part.onnx"
    path.write_bytes(model.content)
    models = LineModels(store, [LineFile("bottle é", path)], ReviewSettings(changers=("anybody",)))
    try_notice(models, strict=True)
    models.undo(models.change_rate("bottle é", model.sha256, 0.2, "ann", "why not").number, "bob")
    history = change_history(store)
    sent = [history.message(change, "andon.changes") for change in history.after(0, 10)]
    values = [json.loads(message.value or b"") for message in sent]
    for value in values:
        check(value, "change.v1")
    assert [(value["step"], value["action"], value["by"]) for value in values] == [
        ("found", "replaced outside", ""), ("applied", "threshold", "ann"), ("applied", "undo", "bob"),
    ]  # fmt: skip
    assert sent[0].key == "bottle é".encode()
    check_headers(sent[0], "changeHeaders")
    history = model_history(store, tmp_path)
    told = [message for change in history.after(0, 10) if (message := history.message(change, "andon.models"))]
    notices = [json.loads(message.value or b"") for message in told]
    for notice in notices:
        check(notice, "model.v1")
        assert hashlib.sha256((tmp_path / notice["place"]).read_bytes()).hexdigest() == notice["sha256"]
    assert [notice["sha256"] for notice in notices] == [values[1]["new"], model.sha256]  # what people put on the line
    assert read_model_notice(told[0].value or b"").at == round(store.changes.newest(2)[1].at, 3)
    check_headers(told[0], "modelHeaders")


def resolve(reference: str) -> Any:
    found = ASYNCAPI
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if "$ref" in value else []
    return own + [found for item in value.values() for found in references(item)]


def check_headers(message: Message, name: str) -> None:
    """All headers that we send are in the AsyncAPI document, and as it says."""
    schema = resolve(f"#/components/schemas/{name}")
    known = dict(schema["properties"])
    for base in schema.get("allOf", []):
        known |= resolve(base["$ref"])["properties"]
    headers = {name: value.decode() for name, value in message.headers}
    flat = {"properties": known, "required": schema.get("required", []), "additionalProperties": False}
    Draft202012Validator(flat).validate(headers)


def test_the_asyncapi_document_says_what_is_sent_and_where(inspections: list[Inspection]) -> None:
    for reference in references(ASYNCAPI):
        assert resolve(reference) if reference.startswith("#") else reference.removesuffix(".json") in SCHEMAS
    addresses = {channel["address"] for channel in ASYNCAPI["channels"].values()}
    contracts = (FOLDER.parent / "contracts.md").read_text()
    assert all(f"| `{address}` |" in contracts for address in addresses)
    _, defect, bad = inspections
    check_headers(messages.verdict_message(defect.verdict, defect.frame, "t"), "verdictHeaders")
    check_headers(messages.part_message("1", "4711", 0.0, b"{}", "t"), "partHeaders")
    check_headers(messages.evidence_message(defect.verdict, defect.frame, b"", "t"), "evidenceHeaders")
    letter = messages.dead_letter(bad.frame, bad.verdict, "t")
    check_headers(letter, "deadLetterHeaders")
    assert json.loads(dict(letter.headers)["andon_part"]) == PART.to_dict()
    published = messages.frame_message(replace(defect.frame, part=replace(PART, other=()), headers=()), "t", "1")
    own = {name for name, _ in published.headers}
    assert {name for name in own if name.removeprefix("ce_") in PART.attributes()} == {
        f"ce_{name}" for name in PART.attributes() if name != "batch"
    }
