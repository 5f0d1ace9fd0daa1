"""From verdicts to a real MQTT broker: at their times, none that is old or late, and what a fault leaves behind."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.inspection.part import Part

from tests.fixtures.actions import Running, acting, live_frame, make_verdict
from tests.fixtures.kafka_line import PATIENCE
from tests.fixtures.mosquitto import Mosquitto, Subscriber, running_broker

GATE = "line/gate"
STATUS = "line/monitor"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker for tests that do not end it."""
    with running_broker(tmp_path_factory.mktemp("mosquitto")) as started:
        yield started


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that may be killed and frozen."""
    with running_broker(tmp_path) as started:
        yield started


@pytest.fixture
def heard(broker: Mosquitto) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker)
    yield subscriber
    subscriber.close()


def gate(broker: Mosquitto, *rules: dict[str, Any], **target: Any) -> dict[str, Any]:
    """An MQTT target; every test has a topic of its own, as retained messages stay."""
    known = [{"address": GATE, "window": 60.0} | rule for rule in rules or ({},)]
    return {"name": "gate", "uri": broker.uri, "rules": known} | target


def test_a_defect_is_a_message_with_its_properties_and_a_good_part_is_none(
    broker: Mosquitto, heard: Subscriber
) -> None:
    with acting(gate(broker, {"address": "props/$camera"})) as running:
        running.inspect("good")
        verdict = running.inspect("defect", part=Part(id="p1"))
        running.wait_counted("gate", "done", 1)
        heard.wait_until("props/station-1", 1)
    (message,) = [message for message in heard.messages if message.topic == "props/station-1"]
    assert message.payload.decode() == verdict.to_json()
    assert message.properties.ContentType == "application/json"
    assert message.properties.UserProperty == [("id", verdict.id)]
    assert message.properties.MessageExpiryInterval >= 1
    assert message.qos == 1
    registry = running.metrics.registry
    for name in ("andon_action_seconds_count", "andon_capture_to_action_seconds_count"):
        assert registry.get_sample_value(name, {"target": "gate"}) == 1


def test_a_pulse_begins_at_its_time_after_capture_and_ends(broker: Mosquitto, heard: Subscriber) -> None:
    rule = {"address": "pulse", "payload": "1", "after": 0.3, "pulse": 0.1}
    with acting(gate(broker, rule)) as running:
        running.wait_up("gate")
        captured = time.monotonic()
        running.inspect()
        heard.wait_until("pulse", 1)
        assert time.monotonic() - captured >= 0.29
        heard.wait_until("pulse", 2)
        assert time.monotonic() - captured >= 0.39
    assert heard.payloads("pulse") == ["1", "0"]


def test_pulses_that_overlap_are_one(broker: Mosquitto, heard: Subscriber) -> None:
    rule = {"address": "overlap", "payload": "1", "pulse": 1.0}
    with acting(gate(broker, rule)) as running:
        for _ in range(3):
            running.inspect()
        running.wait_counted("gate", "done", 3)
        heard.wait_for("overlap", "1", "1", "1", "0")


def test_counts_of_an_encoder_are_a_time(broker: Mosquitto, heard: Subscriber) -> None:
    rule = {"address": "counts", "payload": "$encoder $reject_at", "after_counts": 100}
    with acting(gate(broker, rule)) as running:
        running.wait_up("gate")
        running.inspect("good", part=Part(encoder=0))
        time.sleep(0.1)
        begun = time.monotonic()
        running.inspect("defect", part=Part(encoder=50))  # about 500 counts a second
        heard.wait_until("counts", 1)
        assert heard.payloads("counts") == ["50 150"]
        assert time.monotonic() - begun > 0.05


def test_what_is_held_stays_until_it_is_acknowledged(broker: Mosquitto, heard: Subscriber) -> None:
    rule = {"address": "stop", "payload": "1", "hold": True, "at_least": 3, "of_last": 3}
    with acting(gate(broker, rule, acknowledge="stop/acknowledge")) as running:
        running.wait_up("gate")
        for _ in range(2):
            running.inspect()
        running.inspect("good")
        for _ in range(3):
            running.inspect()
        running.wait_counted("gate", "done", 1)
        heard.wait_for("stop", "1")
        heard.client.publish("stop/acknowledge", b"", 1)
        assert heard.wait_for("stop", "0") == ["1", "0"]


def test_a_frame_without_a_verdict_in_time_is_rejected_once_and_stops_the_heartbeat(
    broker: Mosquitto, heard: Subscriber
) -> None:
    rule = {"address": "late", "payload": "$verdict"}
    with acting(gate(broker, rule, heartbeat="late/monitor", heartbeat_interval=0.02), action_deadline=0.2) as running:
        heard.wait_until("late/monitor", 2)
        frame = running.take()
        running.wait_counted("gate", "done", 1)
        assert heard.wait_for("late", "late") == ["late"]
        stale = wait_state(heard, "late/monitor", "stale")
        running.engine.decide(frame, make_verdict(frame, "defect"))  # now it comes; it was acted on
        wait_state(heard, "late/monitor", "online", stale["count"])
        assert heard.payloads("late") == ["late"]
        assert running.metrics.registry.get_sample_value("andon_actions_alive") == 1
    heard.wait_for("late/monitor", '{"state": "offline"}')


def wait_state(heard: Subscriber, topic: str, state: str, above: int = -1) -> dict[str, Any]:
    """Until the heartbeat shows this state, with a count above that one."""
    seen = 0
    while True:
        seen += 1
        said = json.loads(heard.wait_until(topic, seen)[seen - 1])
        if said["state"] == state and said["count"] > above:
            return said


def test_safe_states_before_the_first_frame_while_it_hangs_and_after_the_end(
    broker: Mosquitto, heard: Subscriber
) -> None:
    rule = {"address": "safe", "payload": "1", "pulse": 0.02, "safe": "active"}
    running = Running([gate(broker, rule)], action_deadline=0.1)
    try:
        heard.wait_for("safe", "1", "0")  # from its start until it takes frames
        running.running.clear()
        heard.wait_for("safe", "1", "0", "1")
        running.running.set()
        heard.wait_for("safe", "1", "0", "1", "0")
        running.take()  # and it hangs; the late frame's own pulse does not end the safe state
        heard.wait_for("safe", "1")
        running.wait_counted("gate", "done", 1)
    finally:
        running.engine.close()
    heard.wait_for("safe", "1")


def test_nothing_from_before_the_start_is_acted_on(broker: Mosquitto, heard: Subscriber) -> None:
    with acting(gate(broker, {"address": "old"})) as running:
        running.wait_up("gate")
        old = live_frame(1000, ago=3600)
        running.engine.expect(old)
        running.engine.decide(old, make_verdict(old))
        running.inspect()
        running.wait_counted("gate", "done", 1)
        assert (running.counted("gate", "old"), running.counted("gate", "late")) == (1, 0)
    assert len(heard.wait_until("old", 1)) == 1


def test_an_action_whose_moment_has_passed_is_not_done(broker: Mosquitto, heard: Subscriber) -> None:
    rule = {"address": "passed", "after": 0.01, "window": 0.01}
    with acting(gate(broker, rule)) as running:
        running.wait_up("gate")
        frame = running.take()
        time.sleep(0.05)  # the model takes longer than the part to the gate
        running.engine.decide(frame, make_verdict(frame))
        running.wait_counted("gate", "late", 1)
        assert running.counted("gate", "done") == 0
    assert heard.payloads("passed") == []


def test_a_broker_that_is_killed_gets_no_old_action_and_goes_on(own_broker: Mosquitto) -> None:
    rules = ({"payload": "$part", "window": 0.1},)
    with acting(gate(own_broker, *rules, timeout=0.5)) as running:
        running.wait_up("gate")
        own_broker.kill()
        for number in range(20):
            running.inspect(part=Part(id=f"lost {number}"))
        running.wait_counted("gate", "failed", 20)
        assert not running.is_up("gate")
        own_broker.start()
        running.wait_up("gate")
        heard = Subscriber(own_broker)
        running.inspect(part=Part(id="next"))
        running.wait_counted("gate", "done", 1)
        assert heard.wait_until(GATE, 1) == ["next"]
        heard.close()


def test_a_broker_that_hangs_delays_nobody(own_broker: Mosquitto, broker: Mosquitto, heard: Subscriber) -> None:
    other = {"name": "other", "uri": broker.uri, "rules": [{"address": "other", "window": 60.0, "payload": "$part"}]}
    with acting(gate(own_broker, {"window": 0.1}, timeout=0.3, queue=5), other) as running:
        running.wait_up("gate")
        running.wait_up("other")
        own_broker.freeze(True)
        for number in range(30):
            running.inspect(part=Part(id=str(number)))
        running.wait_counted("other", "done", 30)
        assert heard.wait_until("other", 30) == [str(number) for number in range(30)]
        deadline = time.monotonic() + PATIENCE
        while sum(running.counted("gate", result) for result in ("failed", "dropped", "late")) < 30:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert running.counted("gate", "done") == 0
        own_broker.freeze(False)
        running.wait_up("gate")
        running.inspect()
        running.wait_counted("gate", "done", 1)


def test_deciding_never_waits_for_a_target(own_broker: Mosquitto) -> None:
    own_broker.freeze(True)
    done = threading.Event()
    with acting(gate(own_broker, {"window": 0.1}, timeout=0.3)) as running:

        def decide() -> None:
            for _ in range(1000):
                running.inspect()
            done.set()

        threading.Thread(target=decide, daemon=True).start()
        assert done.wait(60)
        own_broker.freeze(False)


def test_a_wrong_rule_ends_the_start_and_what_was_opened(broker: Mosquitto) -> None:
    before = threading.active_count()
    bad = {"name": "bad", "uri": broker.uri, "rules": [{"address": "$x"}]}
    with pytest.raises(UsageError, match="bad: rule 1: address"):
        Running([gate(broker), bad])
    assert threading.active_count() == before
