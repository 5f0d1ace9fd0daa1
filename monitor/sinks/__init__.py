"""Where verdicts go: a file of JSON lines or standard output; dead letters into a folder. Kafka: `monitor.kafka`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from monitor.errors import UsageError
from monitor.inspection import Inspection


class Sink(Protocol):
    """Takes inspections in the order of their frames. One thread alone calls `write`; `close` comes after the last."""

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Return once what this sink keeps of `inspections` is durable. Raises OutputError; then the run ends."""

    def close(self, complete: bool) -> None:
        """Finish the output, or where the run failed (`complete` is false) let go of it. Raises OutputError."""


def open_sink(target: str, append: bool) -> Sink:
    """Open the sink that `target` names: `-` for standard output, or a path.

    `append`: add to a file that is there, as a service does, instead of replacing it. Raises UsageError.
    """
    from monitor.sinks.jsonl import JsonLines, StandardOutput

    if target == "-":
        return StandardOutput()
    if "://" in target:
        raise UsageError(f"{target}: unknown kind of sink; give kafka://..., a .jsonl file or - for standard output")
    return JsonLines(Path(target), append)
