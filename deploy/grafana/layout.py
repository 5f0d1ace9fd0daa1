"""A whole dashboard: its variables, links and alerts, and its panels one after the other."""

from collections.abc import Sequence

from panels import BLUE, JSON, LINE, RED, RUNBOOK, SOURCE, YELLOW

WIDTH = 24  # columns of Grafana's grid
# Labels that say what an alert is about. An annotation writes the name of a label that is not there: all of them are
# joined to one that always is.
ABOUT = (
    "camera",
    "model",
    "signal",
    "instance",
    "topic",
    "view",
    "output",
    "reason",
    "cause",
    "recipe",
    "target",
    "sha256",
)


def variable(name: str, label: str, values: str, all_: str = ".*") -> JSON:
    """A choice whose values are a label's; all of them at first. `all_` is a pattern for them, known or not."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": values, "refId": "variable"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": all_,
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard(uid: str, title: str, description: str, refresh: str, since: str, panels: Sequence[JSON]) -> JSON:
    """A whole dashboard: panels are laid out from left to right, then downwards."""
    x = y = tallest = 0
    for number, item in enumerate(panels, 1):
        place = item["gridPos"]
        if x + place["w"] > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        item["id"] = number
        place |= {"x": x, "y": y}
        x, tallest = x + place["w"], max(tallest, place["h"])
    others = {"type": "dashboards", "title": "Andon", "tags": ["andon"], "asDropdown": False, "keepTime": True}
    runbook = {"type": "link", "title": "Runbook", "url": RUNBOOK, "icon": "doc", "targetBlank": True}
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["andon"],
        "schemaVersion": 42,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": refresh,
        "time": {"from": f"now-{since}", "to": "now"},
        "timezone": "browser",
        "links": [others | {"includeVars": True}, runbook],
        "annotations": {"list": [_alerts(), _new_models(), _refused_models()]},
        "templating": {
            "list": [
                variable("line", "Line", 'label_values(up{job=~"andon.*"}, job)', "andon.*"),
                variable("camera", "Camera", f"label_values(andon_frames_total{{{LINE}}}, camera)"),
                variable("model", "Model", f"label_values(andon_model_info{{{LINE}}}, model)"),
            ]
        },
        "panels": list(panels),
    }


def _alerts() -> JSON:
    """When critical and warning alerts fired."""
    firing = f'ALERTS{{alertstate="firing", severity=~"critical|warning", {LINE}}}'
    return _annotation("Alerts", RED, firing, "{{alertname}}")


def _new_models() -> JSON:
    """When a model took another one's place, by a hot swap or by a restart."""
    now = f"andon_model_info{{{LINE}}}"
    keys = "job, recipe, model, sha256"
    before = f"(count by (job, recipe) ({now} offset 2m))"
    known = f"(count by ({keys}) ({now} offset 2m))"
    new = f"count by ({keys}) ({now}) unless on ({keys}) {known} and on (job, recipe) {before}"
    return _annotation("New models", BLUE, new, "New model {{model}}")


def _refused_models() -> JSON:
    """When a new model file was refused, so that the old model went on."""
    refused = f'increase(andon_model_swaps_total{{result="refused", {LINE}}}[1m])'
    return _annotation("Refused models", YELLOW, f"sum by (job, instance, model) ({refused}) > 0", "Refused {{model}}")


def _annotation(name: str, color: str, events: str, title: str) -> JSON:
    joined = ", ".join(f'"{label}"' for label in ABOUT)
    about = f'label_replace(label_join({events}, "about", " ", {joined}), "about", "the whole line", "about", " *")'
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "iconColor": color,
        "expr": about,
        "step": "15s",
        "titleFormat": title,
        "textFormat": "{{about}}",
    }
