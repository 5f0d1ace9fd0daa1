"""Digital outputs of this machine, by the kernel's GPIO character device (libgpiod)."""

import os
from typing import Any
from urllib.parse import urlsplit

import gpiod
from gpiod.line import Direction, Value

from andon_monitor.actions.links.base import LinkError, Message
from andon_monitor.errors import UsageError, first_line
from andon_monitor.settings.actions import TargetSettings

CONSUMER = "andon-monitor"  # as `gpioinfo` shows it
MAX_LINE = 1023


class GpioLink:
    """The lines of a chip that the rules, the heartbeat (it toggles) and the acknowledgement name.

    The kernel keeps an output's value when the process ends, or resets it, as the driver wants: what the gate does then
    must follow from a heartbeat that no longer toggles, in hardware.
    """

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings
        self._chip = urlsplit(settings.uri).path
        self._request: gpiod.LineRequest | None = None
        outputs = [rule.address for rule in settings.rules]
        outputs += [] if settings.heartbeat is None else [settings.heartbeat]
        self._outputs = sorted({_line(settings, text) for text in outputs})
        self._input = None if settings.acknowledge is None else _line(settings, settings.acknowledge)
        if self._input in self._outputs:
            raise UsageError(f"output.actions: {settings.name}: acknowledge: line {self._input} is an output, too")

    def open(self) -> None:
        """Take the lines; nobody else may use them then."""
        self.close()
        output = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.INACTIVE)
        lines: dict[Any, Any] = dict.fromkeys(self._outputs, output)  # as gpiod declares it
        if self._input is not None:
            lines[self._input] = gpiod.LineSettings(direction=Direction.INPUT)
        try:
            self._request = gpiod.request_lines(self._chip, consumer=CONSUMER, config=lines)
        except (OSError, ValueError) as error:
            raise LinkError(f"{self._chip}: its lines cannot be used ({first_line(error)})") from None

    def check(self) -> None:
        """Does nothing: lines that were taken stay ours."""

    def send(self, message: Message) -> None:
        """Set a line: 1 or true is active."""
        self._set(int(message.address), message.payload.strip().lower() in ("1", "true"))

    def beat(self, address: str, count: int, alive: bool) -> None:
        """Toggle the heartbeat's line; while frames are not answered, it stands still."""
        if alive:
            self._set(int(address), bool(count % 2))

    def acknowledged(self, address: str) -> bool:
        """Whether the line is active, as of a button that is pressed."""
        try:
            return self._request is not None and self._request.get_value(int(address)) is Value.ACTIVE
        except OSError as error:
            raise LinkError(f"{self._chip}: line {address} cannot be read ({first_line(error)})") from None

    def probe(self) -> str:
        """Look whether the chip is there, and may be used; its lines are left alone."""
        if not gpiod.is_gpiochip_device(self._chip):
            raise LinkError(f"{self._chip}: no GPIO chip")
        if not os.access(self._chip, os.R_OK | os.W_OK):
            raise LinkError(f"{self._chip}: no permission; add the user to the group of the device")
        with gpiod.Chip(self._chip) as chip:
            count = chip.get_info().num_lines
        highest = max((*self._outputs, -1 if self._input is None else self._input))
        if highest >= count:
            raise LinkError(f"{self._chip}: line {highest}: it has {count} lines")
        return f"a chip of {count} lines"

    def close(self) -> None:
        """Give the lines back."""
        request, self._request = self._request, None
        if request is not None:
            request.release()

    def _set(self, line: int, active: bool) -> None:
        if self._request is None:
            raise LinkError(f"{self._chip}: not open")
        try:
            self._request.set_value(line, Value.ACTIVE if active else Value.INACTIVE)
        except OSError as error:
            raise LinkError(f"{self._chip}: line {line} cannot be set ({first_line(error)})") from None


def _line(settings: TargetSettings, text: str) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) > MAX_LINE:
        raise UsageError(
            f"output.actions: {settings.name}: {text[:40]!r} is not the number of a GPIO line, 0 to {MAX_LINE}"
        )
    return int(text)
