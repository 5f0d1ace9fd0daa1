"""Digital outputs: what is refused, and what is asked of libgpiod's Python package.

No line was switched: that needs a GPIO chip, or the kernel's simulated one (gpio-sim). So the one call that opens the
device gets another answer here; everything else is the package's own.
"""

import time
from typing import Any

import pytest
from andon_monitor.actions.links.base import LinkError, Message
from andon_monitor.actions.links.opening import make_link
from andon_monitor.errors import UsageError
from andon_monitor.settings.actions import TargetSettings

from tests.fixtures.actions import acting
from tests.fixtures.kafka_line import PATIENCE

gpiod = pytest.importorskip("gpiod", reason="gpiod is not installed; it comes with andon[gpio] on Linux")

GATE, HEARTBEAT, BUTTON = 1, 2, 3


class Lines:
    """The lines of a chip, as `gpiod.request_lines` gives them: every value written to each, in order."""

    def __init__(self) -> None:
        self.written: dict[int, list[bool]] = {}
        self.order: list[tuple[int, bool]] = []
        self.directions: dict[int, Any] = {}
        self.pressed = False
        self.gone = False
        self.open = False

    def request(self, path: str, consumer: str, config: dict[int, Any]) -> "Lines":
        assert (path, consumer) == ("/dev/gpiochip0", "andon-monitor")
        if self.gone:
            raise FileNotFoundError(2, "No such file or directory")
        self.directions = {line: settings.direction for line, settings in config.items()}
        self.open = True
        return self

    def set_value(self, line: int, value: Any) -> None:
        if self.gone:
            raise OSError(19, "No such device")
        assert self.directions[line] is gpiod.line.Direction.OUTPUT
        self.order.append((line, value is gpiod.line.Value.ACTIVE))
        self.written.setdefault(line, []).append(value is gpiod.line.Value.ACTIVE)

    def get_value(self, line: int) -> Any:
        assert self.directions[line] is gpiod.line.Direction.INPUT
        return gpiod.line.Value.ACTIVE if self.pressed else gpiod.line.Value.INACTIVE

    def release(self) -> None:
        self.open = False

    def wait_last(self, line: int, *values: bool) -> None:
        """Until the last values of a line are these."""
        deadline = time.monotonic() + PATIENCE
        while self.written.get(line, [])[-len(values) :] != list(values):
            assert time.monotonic() < deadline, self.written
            time.sleep(0.005)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    made = Lines()
    monkeypatch.setattr(gpiod, "request_lines", made.request)
    return made


def target(chip: str = "gpiochip0", **changed: Any) -> dict[str, Any]:
    rule = {"address": str(GATE), "hold": True, "window": 60.0}
    return {"name": "gate", "uri": f"gpio:///dev/{chip}", "rules": [rule], "acknowledge": str(BUTTON)} | changed


def test_a_defect_switches_a_line_until_the_button_is_pressed_and_the_heartbeat_toggles(lines: Lines) -> None:
    with acting(target(heartbeat=str(HEARTBEAT), heartbeat_interval=0.01)) as running:
        lines.wait_last(GATE, True, False)  # its safe state, until frames are taken
        lines.wait_last(HEARTBEAT, True, False, True)
        running.inspect("good")
        running.inspect("defect")
        lines.wait_last(GATE, True, False, True)
        lines.pressed = True
        lines.wait_last(GATE, True, False)
        running.running.clear()
        lines.wait_last(GATE, True)
        running.running.set()
        lines.wait_last(GATE, False)
        places = [number for number, (line, _) in enumerate(lines.order) if line == GATE][-2:]
        assert places[1] - places[0] == 1  # the heartbeat stood still in between
    assert lines.written[GATE][-1] is True  # the safe state
    assert not lines.open


def test_a_chip_that_goes_away_is_a_failure_and_is_found_again(lines: Lines) -> None:
    with acting(target()) as running:
        running.wait_up("gate")
        lines.gone = True
        running.inspect()
        running.wait_up("gate", False)
        lines.gone = False
        running.wait_up("gate")
        running.wait_counted("gate", "done", 1)
    lines.gone = True
    with pytest.raises(LinkError, match=r"/dev/gpiochip0: its lines cannot be used \(.*No such file or directory\)"):
        make_link(TargetSettings.model_validate(target())).open()


def test_what_is_no_chip_is_said() -> None:
    link = make_link(TargetSettings.model_validate(target("null")))
    with pytest.raises(LinkError, match="/dev/null: no GPIO chip"):
        link.probe()
    with pytest.raises(LinkError, match="not open"):
        link.send(Message(str(GATE), "1", ""))
    link.close()


def test_a_line_is_a_number_and_no_input_and_output_at_once() -> None:
    with pytest.raises(UsageError, match="'GPIO17' is not the number of a GPIO line"):
        make_link(TargetSettings.model_validate(target(heartbeat="GPIO17")))
    with pytest.raises(UsageError, match="line 1 is an output, too"):
        make_link(TargetSettings.model_validate(target(acknowledge=str(GATE))))
