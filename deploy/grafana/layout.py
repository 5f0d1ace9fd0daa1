"""A whole dashboard: its variables, links and alerts, and its panels one after the other."""

from collections.abc import Sequence

from panels import JSON, LINE, RED, RUNBOOK, SOURCE

WIDTH = 24  # columns of Grafana's grid


def variable(name: str, label: str, values: str) -> JSON:
    """A choice whose values are a label's; all of them at first."""
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
        "allValue": ".*",
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
        "annotations": {
            "list": [
                {
                    "name": "Alerts",
                    "datasource": SOURCE,
                    "enable": True,
                    "iconColor": RED,
                    "expr": f'ALERTS{{alertstate="firing", severity=~"critical|warning", {LINE}}}',
                    "titleFormat": "{{alertname}}",
                    "textFormat": "{{camera}} {{instance}}",
                }
            ]
        },
        "templating": {
            "list": [
                variable("line", "Line", 'label_values(up{job=~"andon.*"}, job)'),
                variable("camera", "Camera", f"label_values(andon_frames_total{{{LINE}}}, camera)"),
                variable("model", "Model", f"label_values(andon_model_info{{{LINE}}}, model)"),
            ]
        },
        "panels": list(panels),
    }
