"""What a sink of verdicts is."""

from collections.abc import Sequence
from typing import Protocol

from andon_monitor.inspection.inspector import Inspection


class Sink(Protocol):
    """Takes inspections in the order of their frames. One thread alone calls `write`; `close` comes after the last."""

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Return once what this sink keeps of `inspections` is durable. Raises OutputError; then the run ends."""

    def close(self, complete: bool) -> None:
        """Finish the output, or where the run failed (`complete` is false) let go of it. Raises OutputError."""
