"""Digital outputs: what is refused. No output was switched: a simulated chip needs a kernel module (gpio-sim)."""

import pytest
from andon_monitor.actions.links.opening import make_link
from andon_monitor.errors import UsageError
from andon_monitor.settings.actions import TargetSettings

pytest.importorskip("gpiod", reason="gpiod is not installed; it comes with andon[gpio] on Linux")


def settings(chip: str, **target: str) -> TargetSettings:
    rule = {"address": "1", "pulse": 0.05}
    return TargetSettings.model_validate({"name": "gate", "uri": f"gpio:///dev/{chip}", "rules": [rule]} | target)


def test_a_line_is_a_number_and_no_input_and_output_at_once() -> None:
    with pytest.raises(UsageError, match="'GPIO17' is not the number of a GPIO line"):
        make_link(settings("gpiochip0", heartbeat="GPIO17"))
    with pytest.raises(UsageError, match="line 1 is an output, too"):
        make_link(settings("gpiochip0", acknowledge="1"))
