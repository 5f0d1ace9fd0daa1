"""Which frames a trigger takes, by what the line says of them: a header, or a field of the part's identity."""

from andon_monitor.errors import UsageError
from andon_monitor.inspection.frames import Frame

ATTRIBUTE = "ce_"  # of a CloudEvent, as a Kafka header


class Trigger:
    """Takes frames whose header or field `name` has this value; without a value, the first frame of each new value.

    Fields are those of `part` in verdicts (`id`, `product`, `order`, ...). Values are compared as text.
    """

    def __init__(self, name: str, value: str | None = None) -> None:
        self._name = name
        self._value = value
        self._last: dict[str, str | None] = {}  # by camera

    def takes(self, frame: Frame) -> bool:
        """Whether the next frame of a camera is taken."""
        found = self._value_of(frame)
        if self._value is not None:
            return found == self._value
        last = self._last.get(frame.camera)
        self._last[frame.camera] = found
        return found is not None and found != last

    def _value_of(self, frame: Frame) -> str | None:
        for name, value in frame.headers:
            if name in (self._name, ATTRIBUTE + self._name):
                return value.decode(errors="replace")
        fields = {} if frame.part is None else frame.part.to_dict()
        return str(fields[self._name]) if self._name in fields else None


def parse_trigger(text: str) -> Trigger:
    """NAME=VALUE or NAME. Raises UsageError."""
    name, separator, value = text.partition("=")
    if not name:
        raise UsageError(f"--trigger: {text!r} should be NAME=VALUE or NAME, such as trigger=1 or id")
    return Trigger(name, value if separator else None)
