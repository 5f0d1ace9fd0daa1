"""Digital outputs, on a chip that the kernel simulates (gpio-sim), where this machine has one."""

from pathlib import Path

import pytest
from andon_monitor.actions.links.base import Message
from andon_monitor.actions.links.opening import make_link
from andon_monitor.errors import UsageError
from andon_monitor.settings.actions import TargetSettings

pytest.importorskip("gpiod", reason="gpiod is not installed; it comes with andon[gpio] on Linux")

SIMULATED = sorted(Path("/sys/devices/platform").glob("gpio-sim.*/gpiochip*"))


def settings(chip: str, **target: str) -> TargetSettings:
    rule = {"address": "1", "pulse": 0.05}
    return TargetSettings.model_validate({"name": "gate", "uri": f"gpio:///dev/{chip}", "rules": [rule]} | target)


def test_a_line_is_a_number_and_no_input_and_output_at_once() -> None:
    with pytest.raises(UsageError, match="'GPIO17' is not the number of a GPIO line"):
        make_link(settings("gpiochip0", heartbeat="GPIO17"))
    with pytest.raises(UsageError, match="line 1 is an output, too"):
        make_link(settings("gpiochip0", acknowledge="1"))


@pytest.mark.skipif(not SIMULATED, reason="no gpio-sim here: a kernel module, which no package brings")
def test_a_simulated_line_is_switched() -> None:
    folder = SIMULATED[0]
    link = make_link(settings(folder.name))
    assert "lines" in link.probe()
    link.open()
    for payload, value in (("1", "1"), ("0", "0")):
        link.send(Message("1", payload, ""))
        assert (folder / "sim_gpio1" / "value").read_text().strip() == value
    link.close()
