"""The dashboards Wall: for a screen that people read from three metres."""

from layout import dashboard
from panels import JSON
from tiles import alerts, cameras, clock, monitors, rate, sending


def wall(uid: str, title: str, rows: int) -> JSON:
    """The cameras, and a row of tiles below them, `rows` of the grid in all."""
    tiles = [monitors(6), sending(6), alerts(4), rate(4), clock(4)]
    height = rows - tiles[0]["gridPos"]["h"]
    return dashboard(
        uid,
        title,
        "What is each camera doing now, and is the line watched? For a screen that people read from three metres.",
        "5s",
        "15m",
        [cameras(height), *tiles],
    )
