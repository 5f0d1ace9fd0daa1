"""Labels of frames from a file, as `andon-monitor export` and people write them."""

import json
from collections.abc import Mapping
from pathlib import Path

from andon_monitor.errors import UsageError
from andon_monitor.inspection.frames import Frame
from andon_monitor.recording.places import Place, parse_place, place_of

Labels = Mapping[Place | str, str]  # by place or file


def read_labels(path: Path) -> dict[Place | str, str]:
    """Labels by place or file, from lines {"frame": {"topic": ..., "partition": ..., "offset": ...}, "label": "good"}.

    `file` may name the image instead of `frame`. Raises UsageError.
    """
    labels: dict[Place | str, str] = {}
    try:
        lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise UsageError(f"--labels {path}: cannot be read ({error.strerror})") from None
    for number, line in enumerate(lines, start=1):
        try:
            fields = json.loads(line)
            key = fields["file"] if "file" in fields else parse_place(fields["frame"])
            label = fields["label"]
            if not isinstance(label, str) or not label:
                raise ValueError("no label")
            labels[key] = label
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f'{path} line {number}: expected {{"frame": {{"topic": "andon.frames", "partition": 0, "offset": 7}}, '
                '"label": "good"}'
            ) from None
    return labels


def label_of(frame: Frame, labels: Labels) -> str | None:
    """A frame's label: the one given, else the recorded one."""
    return labels.get(place_of(frame.position)) or labels.get(frame.file or "") or frame.label
