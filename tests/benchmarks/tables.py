"""Tables of what `throughput` measured, in Markdown."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

NAMES = {
    "bare": "bare loop",
    "memory": "monitor, from memory",
    "recording": "from a recording",
    "kafka": "through Kafka",
    "plain": "plain script",
}
LOADS = {"half": "at 50 % of capacity", "heavy": "at 80 %"}
PERCENTILES = (50, 99, 99.9)

Results = Mapping[str, Any]


def of(results: Results) -> str:
    """All tables: speed, effort, latency, arithmetic, start-up; what was not measured is left empty."""
    workloads = {key: found for key, found in results.items() if "ways" in found}
    parts = [rates(workloads), effort(workloads), lateness(workloads), arithmetic(workloads)] if workloads else []
    parts += [waits(found["waits"]) for found in results.values() if "waits" in found]
    parts += [f"{key}: {found['when']}, {found['machine']}" for key, found in results.items()]
    return "\n\n".join(parts)


def rates(workloads: Results) -> str:
    """Frames a second, and their ratio to the bare loop of the same round: median and range."""
    rows = []
    for key, found in workloads.items():
        ways, bare = found["ways"], found["ways"]["bare"]
        row = [key]
        for way in NAMES:
            items = ways.get(way, [])
            ratios = [item["rate"] / alone["rate"] for item, alone in zip(items, bare, strict=bool(items))]
            share = "" if way == "bare" or not items else f", {spread(ratios)}"
            row.append(f"{median(items, 'rate'):.1f}{share}" if items else "")
        rows.append(row)
    return table(["frames a second", *NAMES.values()], rows)


def effort(workloads: Results) -> str:
    """Processor time a frame, and most memory."""
    rows = []
    for key, found in workloads.items():
        row = [key]
        for way in NAMES:
            items = found["ways"].get(way, [])
            memory = max((item["memory"] for item in items), default=0) / 1e6
            row.append(f"{1000 * median(items, 'cpu'):.2f} ms, {memory:.0f} MB" if items else "")
        rows.append(row)
    return table(["processor time a frame, peak memory", *NAMES.values()], rows)


def lateness(workloads: Results) -> str:
    """From when a frame was due to its verdict, over the frames of all rounds, and the time of a bare frame.

    With the share of all cores that others had in each round: a round in which it is large says nothing of the monitor.
    """
    rows = []
    for key, found in workloads.items():
        row = [key, f"{1000 * median(found['ways']['bare'], 'cpu'):.1f}"]
        for load in LOADS:
            late = [seconds for item in found["ways"].get(load, []) for seconds in item["late"]]
            figures = [f"{1000 * value:.1f}" for value in np.percentile(late, PERCENTILES)] if late else []
            row.append(" / ".join(figures))
            taken = [f"{100 * item.get('elsewhere', 0):.0f}" for item in found["ways"].get(load, [])]
            row.append(", ".join(taken) + " %" if taken else "")
        rows.append(row)
    loads = [head for name in LOADS.values() for head in (name, "others, each round")]
    return table(["ms from due to verdict, 50 / 99 / 99.9 %", "a bare frame", *loads], rows)


def arithmetic(workloads: Results) -> str:
    """What the network's arithmetic amounts to, next to a matrix product on all cores in the same rounds."""
    rows = []
    for key, found in workloads.items():
        ways, flops = found["ways"], found["flops"]
        row = [key, f"{flops / 1e9:.2f}"]
        if "peak" in ways:
            row.append(f"{median(ways['peak'], 'rate') / 1e9:.0f}")
        for way in ("bare", "memory"):
            if way in ways and "peak" in ways:
                shares = [i["rate"] * flops / p["rate"] for i, p in zip(ways[way], ways["peak"], strict=True)]
                row.append(f"{median(ways[way], 'rate') * flops / 1e9:.0f}, {spread(shares)}")
        rows.append(row)
    head = ["arithmetic", "GFLOP a frame", "GFLOP/s of a matrix product", "bare loop", "monitor, from memory"]
    return table(head, rows)


def waits(found: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """Start-up: seconds, and how many of them the processor worked."""
    rows = [[name, *(spread(values) for values in zip(*times, strict=True))] for name, times in found.items()]
    return table(["start-up", "seconds until the first line", "of processor time"], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """As Markdown."""
    lines = [head, ["---"] * len(head), *([*row, *[""] * (len(head) - len(row))] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def median(items: Sequence[Mapping[str, float]], name: str) -> float:
    """Median of a field."""
    return statistics.median(item[name] for item in items)


def spread(values: Sequence[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
