"""The dashboard Line."""

from layout import dashboard
from panels import CAMERA, JSON, LINE, column, lines, of_every, panel, query, table, words
from tiles import PLACED, STATE, STATES, alerts, cameras, clock, monitors, rate, sending

NO_PARTS = "In the time shown no views were joined to parts (output.parts, andon-monitor parts)."


def line() -> JSON:
    """For whoever stands at the line."""
    known = f"camera:andon_last_frame_timestamp_seconds:last1d{{{CAMERA}}}"
    rows = "job, camera"
    newest = f"last_over_time(andon_last_defect_timestamp_seconds{{{CAMERA}}}[1d])"
    counts = [
        f"sum by ({rows}) (increase(andon_verdicts_total{{{which}{CAMERA}}}[$__range]))"
        for which in ('verdict="defect", ', "")
    ]
    return dashboard(
        "andon-line",
        "Line",
        "What is each camera doing now, and is the line watched?",
        "5s",
        "1h",
        [
            cameras(9),
            monitors(6),
            sending(6),
            alerts(4),
            rate(4),
            clock(4),
            lines(
                "Defect rate",
                "Defects among the parts inspected, over five minutes. What is usual depends on the line; a rise is "
                "found by the CUSUM on the dashboard Quality.",
                [query(f"camera:andon_defects:ratio5m{{{CAMERA}}}", "{{camera}}")],
                (8, 7),
                unit="percentunit",
                lower=0,
                fill=10,
            ),
            table(
                "Last defects",
                "The cameras of the last day: what each does now, when its newest defect was captured, and how many "
                "frames and defects there were in the time shown.",
                [
                    query(of_every(rows, known, STATE)),
                    query(f"1000 * ({of_every(rows, known, newest)})"),
                    *(query(of_every(rows, known, count)) for count in counts),
                ],
                (8, 7),
                {"camera": "Camera", "A": "Now", "B": "Last defect", "C": "Defects", "D": "Frames", "job": "Line"},
                sort="-Last defect",
                overrides=[
                    column("Now", mappings=STATES, cellOptions={"type": "color-background"}, width=110),
                    column("Last defect", "dateTimeFromNow", mappings=words({0: ("none", "text")}), width=120),
                    column("Defects", "locale", width=75),
                    column("Frames", "locale", width=85),
                    column("Line", width=90),
                ],
                decimals=0,
                empty="No camera was seen within a day.",
            ),
            lines(
                "Parts",
                "Parts a minute by verdict, where andon-monitor parts or output.parts joins views. One is incomplete "
                "if a view is missing or could not be inspected.",
                [query(f"60 * sum by (verdict) (rate(andon_parts_total{{{LINE}}}[$__rate_interval]))", "{{verdict}}")],
                (8, 7),
                lower=0,
                empty=NO_PARTS,
            ),
            panel(
                "state-timeline",
                "What the cameras saw",
                "The states above over time.",
                [query(PLACED, "{{place}}")],
                (16, 6),
                mappings=STATES,
                color={"mode": "thresholds"},
                custom={"fillOpacity": 80, "lineWidth": 0},
                options={
                    "mergeValues": True,
                    "showValue": "auto",
                    "rowHeight": 0.9,
                    "legend": {"showLegend": False},
                    "tooltip": {"mode": "single"},
                },
                empty="No camera was seen in the time shown.",
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
                        f'60 * sum(rate(andon_part_views_total{{result="late", {LINE}}}[$__rate_interval])) '
                        f"and on () count(andon_parts_total{{{LINE}}})",
                        "late, all views",
                    ),
                ],
                (8, 6),
                lower=0,
                empty=NO_PARTS,
            ),
        ],
    )
