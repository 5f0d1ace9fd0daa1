"""Opens the sink that a path or URI names."""

from pathlib import Path

from andon_monitor.common.redaction import show_address
from andon_monitor.errors import UsageError
from andon_monitor.sinks.base import Sink
from andon_monitor.sinks.jsonl import JsonLines, StandardOutput


def open_sink(target: str, append: bool) -> Sink:
    """Open the sink that `target` names: `-` for standard output, or a path.

    `append`: add to an existing file, as a service does, instead of replacing it. Raises UsageError.
    """
    if target == "-":
        return StandardOutput()
    if "://" in target:
        raise UsageError(
            f"{show_address(target)}: unknown kind of sink; give kafka://..., a .jsonl file or - for standard output"
        )
    return JsonLines(Path(target), append)
