"""The dashboard Line."""

from layout import dashboard
from panels import (
    ALERTS,
    BLUE,
    CAMERA,
    GREEN,
    GREY,
    JSON,
    LINE,
    RED,
    RUNBOOK,
    YELLOW,
    column,
    lines,
    panel,
    query,
    stat,
    steps,
    table,
)

STATES = [
    {"type": "range", "options": {"from": 100, "to": 131, "result": {"text": "SILENT", "color": GREY, "index": 0}}},
    {"type": "range", "options": {"from": 20, "to": 31, "result": {"text": "FROZEN", "color": GREY, "index": 1}}},
    {"type": "range", "options": {"from": 10, "to": 11, "result": {"text": "CANNOT SEE", "color": YELLOW, "index": 2}}},
    {"type": "value", "options": {"1": {"text": "DEFECT", "color": RED, "index": 3}}},
    {"type": "value", "options": {"0": {"text": "GOOD", "color": GREEN, "index": 4}}},
]


def line() -> JSON:
    """For the wall."""
    newest = f"camera:andon_last_frame_timestamp_seconds:max{{{CAMERA}}}"
    silence = "on (job) group_left () max by (job) (andon_silence_seconds)"
    return dashboard(
        "andon-line",
        "Line",
        "What is each camera doing now, and is the line watched?",
        "5s",
        "1h",
        [
            stat(
                "Cameras",
                "What each camera has seen within the last minute: good parts, a defect, frames that cannot be "
                "inspected, one picture again and again, or nothing at all.",
                [query(f"camera:andon_state:code{{{CAMERA}}}", "{{camera}}")],
                (24, 7),
                mappings=STATES,
                text="value_and_name",
                links=[{"title": "Runbook", "url": f"{RUNBOOK}#camerasilent", "targetBlank": True}],
            ),
            stat(
                "Cameras sending",
                "Cameras whose newest frame is younger than source.silence.",
                [query(f"sum(time() - {newest} < bool {silence})", "sending")],
                (6, 4),
                colours=steps((None, RED), (1, GREEN)),
            ),
            stat(
                "Monitors",
                "Replicas that Prometheus reaches.",
                [query(f"sum(up{{{LINE}}})", "running")],
                (6, 4),
                colours=steps((None, RED), (1, GREEN)),
            ),
            stat(
                "Alerts",
                "Critical and warning alerts that are firing; each has a section in the runbook.",
                [query(ALERTS, "firing")],
                (6, 4),
                colours=steps((None, GREEN), (1, RED)),
                links=[{"title": "Runbook", "url": RUNBOOK, "targetBlank": True}],
            ),
            stat(
                "Parts a minute",
                "Frames answered with a verdict, all cameras.",
                [query(f"60 * sum(rate(andon_verdicts_total{{{CAMERA}}}[$__rate_interval]))", "parts")],
                (6, 4),
                decimals=0,
                colours=steps((None, BLUE)),
            ),
            lines(
                "Defect rate",
                "Defects among the parts inspected, over five minutes. What is usual depends on the line; a rise is "
                "found by the CUSUM on the dashboard Quality.",
                [query(f"camera:andon_defects:ratio5m{{{CAMERA}}}", "{{camera}}")],
                (12, 9),
                unit="percentunit",
                lower=0,
                fill=10,
            ),
            table(
                "Last defects",
                "For each camera when its newest defect was captured, and counts over the time shown.",
                [
                    query(f"max by (camera) (andon_last_defect_timestamp_seconds{{{CAMERA}}} * 1000 > 0)", table=True),
                    query(
                        f'sum by (camera) (increase(andon_verdicts_total{{verdict="defect", {CAMERA}}}[$__range]))',
                        table=True,
                    ),
                    query(f"sum by (camera) (increase(andon_verdicts_total{{{CAMERA}}}[$__range]))", table=True),
                ],
                (12, 9),
                names={"camera": "Camera", "Value #A": "Last defect", "Value #B": "Defects", "Value #C": "Frames"},
                overrides=[column("Last defect", "dateTimeFromNow")],
                decimals=0,
            ),
            lines(
                "Parts",
                "Parts a minute by verdict, where andon-monitor parts or output.parts joins views. One is incomplete "
                "if a view is missing or could not be inspected.",
                [query(f"60 * sum by (verdict) (rate(andon_parts_total{{{LINE}}}[$__rate_interval]))", "{{verdict}}")],
                (12, 8),
                lower=0,
            ),
            lines(
                "Views missing",
                "Views a minute that had not come when their part was closed, by view; and those that came late.",
                [
                    query(
                        f"60 * sum by (view) (rate(andon_part_missing_views_total{{{LINE}}}[$__rate_interval]))",
                        "{{view}}",
                    ),
                    query(
                        f'60 * sum(rate(andon_part_views_total{{result="late", {LINE}}}[$__rate_interval]))',
                        "late, all views",
                    ),
                ],
                (12, 8),
                lower=0,
            ),
            panel(
                "state-timeline",
                "What the cameras saw",
                "The states above over time.",
                [query(f"camera:andon_state:code{{{CAMERA}}}", "{{camera}}")],
                (24, 7),
                mappings=STATES,
                custom={"fillOpacity": 80, "lineWidth": 0},
                options={"mergeValues": True, "showValue": "never", "legend": {"showLegend": False}},
            ),
        ],
    )
