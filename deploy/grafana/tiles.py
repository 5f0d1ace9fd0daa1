"""Panels that more than one dashboard has: the cameras, and the row of tiles below them."""

from panels import (
    ALIVE,
    BLUE,
    CAMERA,
    GREEN,
    JSON,
    LIGHT_RED,
    LINE,
    ORANGE,
    RED,
    YELLOW,
    query,
    runbook,
    stat,
    steps,
    words,
)


def _range(lowest: float, highest: float, text: str, color: str, index: int) -> JSON:
    result = {"text": text, "color": color, "index": index}
    return {"type": "range", "options": {"from": lowest, "to": highest, "result": result}}


# Of the sums in camera:andon_state:code (deploy/prometheus/rules/records.yml).
STATES = [
    _range(1000, 1131, "NO MONITOR", RED, 0),
    _range(100, 131, "OFFLINE", RED, 1),
    _range(20, 31, "FROZEN", ORANGE, 2),
    _range(10, 11, "CANNOT SEE", YELLOW, 3),
    *words({1: ("DEFECT", LIGHT_RED), 0: ("GOOD", GREEN)}),
]
STATE = f"camera:andon_state:code{{{CAMERA}}}"
# With a label `place`: the camera, after its line where more than one line is shown.
_LINES = f"count(count by (job) ({STATE}))"
PLACED = (
    f'label_join({STATE}, "place", "", "camera") and on () {_LINES} == 1 '
    f'or label_join({STATE}, "place", " ", "job", "camera") and on () {_LINES} > 1'
)
SMALL = (22, 52)  # pixels of names and values in tiles of four rows


def cameras(height: int) -> JSON:
    """What each camera sees, over the whole width."""
    return stat(
        "Cameras",
        "What each camera has seen within the last minute: good parts, a defect, frames that cannot be inspected, one "
        "picture again and again, or nothing at all. NO MONITOR: no replica of its line runs.",
        [query(PLACED, "{{place}}")],
        (24, height),
        mappings=STATES,
        text="value_and_name",
        links=runbook("camerasilent"),
    )


def present_and_missing(title: str, description: str, queries: list[JSON], width: int, alert: str) -> JSON:
    """Two tiles: how many there are, which alone is wrong only where it is 0, and how many are missing."""
    return stat(
        title,
        description,
        queries,
        (width, 4),
        colours=steps((0, RED), (1, BLUE)),
        overrides=[
            {
                "matcher": {"id": "byFrameRefID", "options": "B"},
                "properties": [{"id": "thresholds", "value": steps((0, GREEN), (1, RED))}],
            }
        ],
        text="value_and_name",
        sizes=SMALL,
        links=runbook(alert),
    )


def monitors(width: int) -> JSON:
    """Replicas that run and that are missing."""
    return present_and_missing(
        "Monitors",
        "Replicas that Prometheus reaches, and those that it does not, or that it has not found any more for up to "
        "eight hours.",
        [
            query(f"sum(job:andon_monitors_up:sum{{{LINE}}})", "running"),
            query(f"sum(job:andon_monitors_missing:max{{{LINE}}})", "missing"),
        ],
        width,
        "nomonitor",
    )


def sending(width: int) -> JSON:
    """Cameras that send and that are missing."""
    return present_and_missing(
        "Cameras sending",
        "Cameras whose newest frame is younger than source.silence, and the others of the last day.",
        [
            query(f"sum({STATE} < bool 100)", "sending"),
            query(f"sum({STATE} >= bool 100)", "missing"),
        ],
        width,
        "camerasilent",
    )


def alerts(width: int) -> JSON:
    """Alerts that fire."""
    where = f'severity=~"critical|warning", {LINE}'
    # An alert about a line that nothing is known of has no job.
    nothing = 'ALERTS{{alertstate="{0}", alertname="NoMonitor", job=""}}'
    firing, pending = (
        f'(ALERTS{{alertstate="{state}", {where}}} or {nothing.format(state)})' for state in ("firing", "pending")
    )
    # Watchdog always fires: without it nobody evaluates the rules, and no alert means nothing.
    watchdog = 'ALERTS{alertname="Watchdog", alertstate="firing"}'
    watched = f"(max({watchdog}) and on () sum(job:andon_monitors_up:sum{{{LINE}}}) > 0)"
    return stat(
        "Alerts",
        "Critical and warning alerts that are firing; each has a section in the runbook. SOON: one begins to. No data: "
        "no monitor runs, or Prometheus evaluates no rules.",
        [query(f"count({firing}) or 0.5 * max({pending}) or 0 * {watched}", "firing")],
        (width, 4),
        mappings=[_range(0.4, 0.6, "SOON", YELLOW, 0)],
        colours=steps((0, GREEN), (1, RED)),
        text="value_and_name",
        sizes=SMALL,
        links=runbook(),
    )


def rate(width: int) -> JSON:
    """Frames answered."""
    return stat(
        "Verdicts a minute",
        "Frames answered with a verdict, all cameras.",
        [query(f"60 * sum(rate(andon_verdicts_total{{{CAMERA}}}[$__rate_interval]) {ALIVE})", "verdicts")],
        (width, 4),
        colours=steps((0, RED), (0.001, BLUE)),
        text="value_and_name",
        sizes=SMALL,
    )


def clock(width: int) -> JSON:
    """When all this was measured."""
    return stat(
        "As of",
        "When Prometheus answered. Where this is not the time on your watch, Grafana or Prometheus hangs, and nothing "
        "on this page is of now.",
        [query("1000 * vector(time())", "time")],
        (width, 4),
        unit="time:HH:mm:ss",
        colours=steps((0, BLUE)),
        text="value",
        sizes=(22, 40),
    )
