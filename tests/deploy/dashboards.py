"""What Grafana does to a dashboard's queries before Prometheus sees them."""

import json
from typing import Any

from tests.deploy.stack import DEPLOY

FOLDER = DEPLOY / "grafana" / "dashboards"
NAMES = ("line", "quality", "service")


def load(name: str) -> dict[str, Any]:
    """A dashboard as committed."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def substitute(expression: str, rate_interval: str = "10s", time_range: str = "5m") -> str:
    """All lines, cameras and models chosen, as the dashboard opens."""
    for variable, value in {
        "$line": ".*",
        "$camera": ".*",
        "$model": ".*",
        "$__rate_interval": rate_interval,
        "$__range": time_range,
    }.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression


def queries(board: dict[str, Any]) -> list[tuple[str, str]]:
    """(panel's title, expression) of every query of every panel."""
    return [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])]
