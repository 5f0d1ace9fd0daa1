"""Rules: which verdicts they take, and how many; templates: checked before the start."""

import json
from typing import Any

import pytest
from andon_monitor.actions.encoder import Encoder
from andon_monitor.actions.facts import fact_of, late_fact, made_late, parse_fact
from andon_monitor.actions.rules import Rule, compile_rules
from andon_monitor.errors import UsageError
from andon_monitor.inspection.part import Part
from andon_monitor.inspection.regions import Region, Regions
from andon_monitor.settings.actions import TargetSettings
from andon_monitor.settings.loading import load_settings

from tests.fixtures.actions import fact, live_frame, make_verdict
from tests.fixtures.deploy import DEPLOY


def rules(uri: str = "mqtt://broker", *given: dict[str, Any], **target: Any) -> list[Rule]:
    settings = {"name": "t", "uri": uri, "rules": [{"address": "a"} | rule for rule in given or ({},)]}
    return compile_rules(TargetSettings.model_validate(settings | target))


def fired(rule: dict[str, Any], outcomes: str) -> str:
    """Of outcomes by their first letters: x where the rule fires."""
    names = {name[0]: name for name in ("good", "defect", "uninspectable", "incomplete", "late")}
    (one,) = rules("mqtt://broker", rule)
    return "".join("x" if one.fires(fact(names[letter])) else "." for letter in outcomes)


def test_what_is_not_good_is_rejected_unless_somebody_says_otherwise() -> None:
    assert fired({}, "gduil") == ".xxxx"
    assert fired({"verdicts": ["defect"]}, "gduil") == ".x..."
    assert fired({"verdicts": ["good"]}, "gduil") == "x...."


@pytest.mark.parametrize(
    ("rule", "outcomes", "expected"),
    [
        ({"at_least": 3, "of_last": 3}, "ddgdddddd", ".....x..x"),  # in a row, then counted again
        ({"at_least": 2, "of_last": 4}, "dggdgggdgd", "...x.....x"),
        ({"at_least": 2, "of_last": 4}, "dgggdggg", "........"),
        ({"at_least": 2, "of_last": 2, "verdicts": ["uninspectable"]}, "uduu", "...x"),
    ],
)
def test_so_many_of_the_last_ones(rule: dict[str, Any], outcomes: str, expected: str) -> None:
    assert fired(rule, outcomes) == expected


def test_verdicts_of_other_cameras_and_products_do_not_count() -> None:
    (rule,) = rules("mqtt://b", {"camera": "top-*", "product": "cover", "at_least": 2, "of_last": 2})
    cover, plate = Part(product="cover"), Part(product="plate")
    assert not rule.fires(fact(camera="top-1", part=cover))
    assert not rule.fires(fact(camera="side", part=cover, outcome="good"))
    assert not rule.fires(fact(camera="top-1", part=plate, outcome="good"))
    assert rule.fires(fact(camera="top-2", part=cover))


def test_kinds_and_regions_of_defects() -> None:
    (rule,) = rules("mqtt://b", {"kind": "scratch*", "region": [0, 0, 100, 50]})
    assert rule.fires(fact(kind="scratch deep", boxes=((90.0, 40.0, 30.0, 30.0),)))
    assert not rule.fires(fact(kind="dent", boxes=((90.0, 40.0, 30.0, 30.0),)))
    assert not rule.fires(fact(kind="scratch", boxes=((100.0, 0.0, 5.0, 5.0), (0.0, 50.0, 9.0, 9.0))))
    assert rule.fires(fact(kind="scratch", boxes=()))  # nobody knows where: it may be there
    assert rule.fires(fact("uninspectable"))


def test_a_template_has_the_verdicts_fields() -> None:
    given = {"address": "line/$camera/${verdict}s", "payload": '{"part": "$part", "at": "$captured_at", "all": $json}'}
    (rule,) = rules("mqtt://b", given)
    part = Part(id='7 "x"', product="cover", encoder=100)
    found = fact(camera="a/b+#", part=part, to_json=lambda: '{"x": 1}')
    assert rule.address.render(found) == "line/a_b__/defects"
    assert json.loads(rule.payload.render(found)) == {
        "part": '7 "x"',
        "at": "1970-01-01T00:00:00.000Z",
        "all": {"x": 1},
    }
    (rule,) = rules("mqtt://b", {"after_counts": 50, "payload": "$reject_at $$"})
    assert rule.payload.render(found) == "150 $"
    assert rule.payload.render(fact()) == " $"


@pytest.mark.parametrize(
    ("uri", "rule", "said"),
    [
        ("mqtt://b", {"address": "a/$camra"}, "rule 1: address: $camra: unknown field; known are $id, $verdict"),
        ("mqtt://b", {"address": "line/#"}, "a topic to write to has no + or #"),
        ("mqtt://b", {"payload": "5 $"}, "rule 1: payload: '5 $' has a $ without a field; write $$"),
        ("mqtt://b", {"payload": "{verdict: $verdict}"}, "is not JSON once its fields are filled in"),
        ("mqtt://b", {"payload": '{"kind": $kind}'}, "is not JSON once its fields are filled in"),
        ("mqtt://b", {"payload": "$reject_at"}, "$reject_at needs after_counts"),
        ("modbus://b", {"address": "coil:$encoder", "pulse": 1}, "has fields, so there is no safe state"),
    ],
)
def test_a_template_that_is_wrong_is_said_before_the_start(uri: str, rule: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        rules(uri, rule)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "rule", "target", "said"),
    [
        ("mqtt://b", {"at_least": 2}, {}, "at_least 2 is more than of_last 1"),
        ("mqtt://b", {"after": 1, "after_counts": 1}, {}, "after and after_counts are both given"),
        ("modbus://b", {"pulse": 1, "hold": True}, {}, "pulse and hold are both given"),
        ("modbus://b", {"hold": True}, {}, "hold needs the target's acknowledge"),
        ("modbus://b", {}, {"remember": True}, "remember is for mqtt and webhook alone"),
        ("modbus://b", {}, {"qos": 0}, "qos is for mqtt alone"),
        ("mqtt://b", {}, {"remember": True, "qos": 0}, "remember needs qos 1 or 2"),
        ("mqtt://b", {"after": 1}, {"remember": True}, "are for targets that act now"),
        ("mqtt://b", {}, {"ca_file": "a.pem"}, "files for TLS are given, but mqtt:// has none"),
        ("mqtt://b", {}, {"username": "a"}, "username and password_file belong together"),
        ("mqtt://user:secret@b", {}, {}, "no user or password in the address"),
        ("mqtt:b", {}, {}, "right is mqtt://host:port"),
        ("amqp://b", {}, {}, "unknown kind of target"),
        ("https://b/x", {}, {}, "a webhook has no address but its uri"),
        ("gpio://host", {}, {}, "right is gpio:///dev/gpiochip0"),
    ],
)
def test_settings_that_do_not_fit_together(uri: str, rule: dict[str, Any], target: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="Value error") as caught:
        rules(uri, rule, **target)
    assert said in str(caught.value)
    assert "user:secret" not in str(caught.value).partition("[type=")[0]


def test_the_example_in_deploy_is_valid() -> None:
    actions = load_settings({}, DEPLOY / "actions.yaml").output.actions
    assert {target.kind for target in actions} == {"modbus", "opcua", "webhook", "mqtt"}
    for target in actions:
        assert compile_rules(target)


def test_the_fact_of_a_verdict_is_that_of_its_json() -> None:
    frame = live_frame(3, Part(id="p", product="cover", encoder=12))
    region = Region((1, 2, 3, 4), (), 12, 0.1, (1, 2, 3.0))
    verdict = make_verdict(frame, kind="scratch", kind_probability=0.5, p_value=0.1, regions=Regions((region,)))
    one, other = fact_of(verdict), parse_fact(verdict.to_json().encode())
    for name in ("id", "outcome", "camera", "part", "kind", "score", "threshold", "p_value", "model", "boxes"):
        assert getattr(one, name) == getattr(other, name), name
    assert other.to_json() == verdict.to_json()
    late = late_fact(frame)
    assert late.outcome == "late"
    assert late.id != verdict.id
    assert json.loads(late.to_json())["part"] == {"id": "p", "product": "cover", "encoder": 12}


def test_a_value_makes_no_other_address() -> None:
    part = Part(id='x"."Stop";i=5', station="$SYS/+")
    (rule,) = rules(
        "opc.tcp://plc", {"address": 'ns=3;s="Andon"."$part"', "hold": True, "safe": "leave"}, acknowledge="i=1"
    )
    assert rule.address.render(fact(part=part)) == 'ns=3;s="Andon"."x___Stop__i_5"'
    (rule,) = rules("mqtt://broker", {"address": "$station/reject"})
    assert rule.address.render(fact(part=part)) == "_SYS__/reject"


def test_a_verdict_that_comes_too_late_is_not_good_in_its_json() -> None:
    late = made_late(fact_of(make_verdict(live_frame(3), "good")))
    assert late.outcome == "late"
    fields = json.loads(late.to_json())
    assert (fields["verdict"], fields["late_verdict"]) == ("late", "good")


@pytest.mark.parametrize("field", ["id", "camera"])
def test_texts_of_a_verdict_in_a_topic_are_bounded(field: str) -> None:
    fields = json.loads(make_verdict(live_frame(3), reason="x" * 5000, kind="scratch").to_json())
    assert len(parse_fact(json.dumps(fields).encode()).reason or "") == 200
    with pytest.raises(ValueError, match="is not a text of at most 200 characters"):
        parse_fact(json.dumps(fields | {field: "x" * 201}).encode())


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b"{}", b'{"verdict": "fine"}', b"[" * 5000])
def test_what_is_no_verdict_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"not|is"):
        parse_fact(value)


def test_an_encoder_runs_on_at_the_speed_of_the_last_frames() -> None:
    encoder = Encoder()
    assert encoder.time_of(100) is None
    encoder.observe(10.0, 1000)
    assert encoder.time_of(1100) is None
    encoder.observe(10.5, 1050)  # 100 counts a second
    assert encoder.time_of(1100) == pytest.approx(11.0)
    encoder.observe(11.0, 1200)  # faster
    assert encoder.time_of(1400) == pytest.approx(12.0)
    encoder.observe(11.5, 5)  # set to zero
    assert encoder.time_of(100) is None
