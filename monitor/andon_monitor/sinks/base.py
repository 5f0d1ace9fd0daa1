"""The protocol that every sink of inspections follows."""

from collections.abc import Sequence
from typing import Protocol

from andon_monitor.common.process import Ending
from andon_monitor.inspection.inspector import Inspection


class Sink(Protocol):
    """Takes inspections in the order of their frames. A single thread calls `write`, and `close` after the last one."""

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Write `inspections`; return once everything written is durable. Raises OutputError, which ends the run."""

    def close(self, ending: Ending) -> None:
        """Finish the output; discard or leave it where the run did not get to the end. Raises OutputError."""
