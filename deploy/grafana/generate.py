"""The Grafana dashboards as code: one place for units, colours and layout, so that they stay alike.

    .venv/bin/python deploy/grafana/generate.py            writes deploy/grafana/dashboards/*.json

Grafana reads them from there (provisioning/). Classic JSON, schema version 42.
"""

import json
from pathlib import Path

from line import line
from quality import quality
from service import service
from wall import wall

FOLDER = Path(__file__).parent / "dashboards"


def render() -> dict[str, str]:
    """File name to content."""
    boards = {
        "line.json": line(),
        "quality.json": quality(),
        "service.json": service(),
        # Rows of 38 pixels that fit with the line of variables above, which Grafana's kiosk mode shows or not.
        "wall.json": wall("andon-wall", "Wall", 26),
        "wall-1440.json": wall("andon-wall-1440", "Wall, 1440 pixels high", 35),
    }
    return {name: json.dumps(board, indent=1) + "\n" for name, board in boards.items()}


def main() -> None:
    """Write the files."""
    for name, content in render().items():
        (FOLDER / name).write_text(content)


if __name__ == "__main__":
    main()
