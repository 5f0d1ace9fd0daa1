"""The dashboard Quality."""

from layout import dashboard
from panels import (
    CAMERA,
    JSON,
    LIGHT_RED,
    LINE,
    MODEL,
    column,
    dashed,
    lines,
    panel,
    quantile,
    query,
    runbook,
    steps,
    table,
)

NO_SHADOW = "In the time shown no shadow ran (shadow.path)."


def flagged(verdict: str, shadow: str) -> str:
    """The share of the shadow's frames with this verdict of the model and that one of the shadow."""
    where = f'verdict="{verdict}", shadow="{shadow}", {CAMERA}'
    some, all_ = (f"sum(rate(andon_shadow_verdicts_total{{{labels}}}[$__rate_interval]))" for labels in (where, CAMERA))
    return f"{some} / {all_}"


def quality() -> JSON:
    """For whoever asks whether parts are worse or the camera sees less."""
    limit = "max(andon_drift_limit{" + LINE + "})"
    keys = "job, instance, model, recipe, method, false_alarm_rate, created_at, sha256"
    drifts = [
        lines(
            f"Drift of the {signal}",
            f"{meaning} In standard deviations of the calibration frames; beyond a limit frames look different.",
            [
                query(
                    f'camera_model_signal:andon_drift_score:current{{signal="{signal}", {MODEL}}}',
                    "{{camera}} {{model}}",
                ),
                query(limit, "upper limit"),
                query(f"-{limit}", "lower limit"),
            ],
            (8, 8),
            overrides=[dashed("limit")],
            links=runbook(anchor),
        )
        for signal, anchor, meaning in (
            ("score", "scoredrift", "Parts, light or model have changed as a whole."),
            ("brightness", "imagedrift", "The light has changed."),
            ("sharpness", "imagedrift", "The lens has moved, or is dirty."),
        )
    ]
    return dashboard(
        "andon-quality",
        "Quality",
        "Are the parts worse, or does the camera see them differently?",
        "30s",
        "6h",
        [
            lines(
                "Have defects become more frequent? (CUSUM)",
                "A Bernoulli CUSUM of the verdicts, part by part: at the limit the defect rate is up. Where the drifts "
                "below are quiet meanwhile, it is the parts.",
                [
                    query(f"camera_model:andon_defect_cusum:current{{{MODEL}}}", "{{camera}} {{model}}"),
                    query(f"min(andon_defect_cusum_limit{{{LINE}}})", "limit"),
                ],
                (8, 8),
                lower=0,
                overrides=[dashed("limit")],
                links=runbook("defectrateup"),
            ),
            lines(
                "Defect rate",
                "Defects among the parts inspected, over five minutes, and the share of good parts that the threshold "
                "was set to flag.",
                [
                    query(f"camera:andon_defects:ratio5m{{{CAMERA}}}", "{{camera}}"),
                    query(f"max(andon_false_alarm_rate{{{LINE}}})", "false-alarm rate (limit)"),
                ],
                (8, 8),
                unit="percentunit",
                lower=0,
                overrides=[dashed("limit")],
            ),
            lines(
                "Kinds of defects",
                "Defects an hour by what they look like, where the model tells kinds (andon-trainer classify).",
                [
                    query(
                        f"3600 * sum by (kind) (rate(andon_defect_kinds_total{{{CAMERA}}}[$__rate_interval]))",
                        "{{kind}}",
                    )
                ],
                (8, 8),
                lower=0,
                custom={"stacking": {"mode": "normal"}},
                fill=40,
                empty="In the time shown no model told kinds of defects (andon-trainer classify).",
            ),
            *drifts,
            lines(
                "Scores against the threshold",
                "Median and 99th percentile of score / threshold by camera; above 1 is a defect. Dots are frames: "
                "their id finds the verdict.",
                [
                    query(quantile(0.5, "andon_score_ratio", "camera", MODEL), "{{camera}} median", dots=True),
                    query(quantile(0.99, "andon_score_ratio", "camera", MODEL), "{{camera}} 99 %"),
                ],
                limited=True,
                colours=steps((1, LIGHT_RED)),
                lower=0,
            ),
            panel(
                "heatmap",
                "Distribution of score / threshold",
                "How many parts lie where: a second band above 1 is a kind of defect, a band that moves is drift.",
                [
                    query(
                        f"sum by (le) (increase(andon_score_ratio_bucket{{{MODEL}}}[$__rate_interval]))",
                        "{{le}}",
                        heatmap=True,
                    )
                ],
                (12, 8),
                options={
                    "calculate": False,
                    "color": {"mode": "scheme", "scheme": "Blues", "reverse": False, "steps": 64},
                    "yAxis": {"unit": "short"},
                    "legend": {"show": False},
                    "cellGap": 1,
                },
            ),
            lines(
                "Scores by model",
                "Median of score / threshold by model: a new model may lie on another level.",
                [query(quantile(0.5, "andon_score_ratio", "model", MODEL), "{{model}}")],
                (8, 8),
                lower=0,
            ),
            lines(
                "Frames that could not be inspected",
                "By reason, a minute.",
                [
                    query(
                        f"60 * sum by (reason) (rate(andon_uninspectable_total{{{CAMERA}}}[$__rate_interval]))",
                        "{{reason}}",
                    )
                ],
                (8, 8),
                lower=0,
                custom={"stacking": {"mode": "normal"}},
                fill=40,
                links=runbook("uninspectableframes"),
            ),
            table(
                "Thresholds",
                "The score above which a part is a defect, by camera and model; an operator's override shows here.",
                [query(f"max by (job, camera, model) (andon_threshold{{{MODEL}}})")],
                (8, 8),
                {"camera": "Camera", "model": "Model", "A": "Threshold", "job": "Line"},
                sort="Camera",
                decimals=3,
                overrides=[column("Threshold", width=100), column("Line", width=90)],
                empty="No model inspects frames now.",
            ),
            lines(
                "Flagged by one of model and shadow",
                "Share of the frames that both judged; where a shadow runs (shadow.path).",
                [
                    query(flagged("good", "defect"), "by the shadow alone"),
                    query(flagged("defect", "good"), "by the model alone"),
                ],
                unit="percentunit",
                lower=0,
                empty=NO_SHADOW,
            ),
            lines(
                "Scores of the shadow against its threshold",
                "Median and 99th percentile of its score / threshold by camera, as above for the model.",
                [
                    query(quantile(0.5, "andon_shadow_score_ratio", "camera", CAMERA), "{{camera}} median"),
                    query(quantile(0.99, "andon_shadow_score_ratio", "camera", CAMERA), "{{camera}} 99 %"),
                ],
                limited=True,
                colours=steps((1, LIGHT_RED)),
                lower=0,
                empty=NO_SHADOW,
            ),
            table(
                "Models in use",
                "Each replica's models, and how thresholds were set: conformal is measured, tail extrapolated.",
                [query(f"max by ({keys}) (andon_model_info{{{LINE}}})")],
                (24, 6),
                {
                    "instance": "Replica",
                    "model": "Model",
                    "recipe": "Recipe",
                    "method": "Threshold by",
                    "false_alarm_rate": "Good parts flagged",
                    "created_at": "Fitted at",
                    "sha256": "SHA-256 of the file",
                    "job": "Line",
                },
                sort="Replica",
                overrides=[column("SHA-256 of the file", width=560)],
                empty="No model is in use now.",
            ),
        ],
    )
