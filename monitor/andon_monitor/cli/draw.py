"""`draw`: where a model looks, drawn over a frame."""

from pathlib import Path
from typing import Annotated

from typer import Option

from andon_monitor.cli.options import Assignments, ConfigFile, load_and_log


def draw(
    source: Annotated[
        str, Option(help="kafka://..., rtsp://..., http://..., camera:0, a recording, a video, a folder or an image.")
    ],
    output: Annotated[Path, Option("--output", "-o", help="Mask file to write, .json; one that exists is changed.")],
    skip: Annotated[int, Option(min=0, metavar="N", help="Draw on the frame after the first N.")] = 0,
    camera: Annotated[str | None, Option(help="Of a source with several cameras, only this one.")] = None,
    start: Annotated[str, Option(help="Where to start in a topic: latest, earliest, or a time.")] = "latest",
    port: Annotated[int, Option(min=0, max=65535, metavar="N", help="Port of the page; 0: any free port.")] = 0,
    config: ConfigFile = None,
    settings: Assignments = None,
) -> None:
    """Draw a mask: a page, on this machine alone, to say where a model looks.

    Regions that are inspected and areas that are ignored, drawn over a frame of the source. fit --mask of
    andon-trainer reads the file. Ctrl-C stops it.
    """
    loaded = load_and_log({}, settings, config)
    from andon_monitor.draw.serving import serve
    from andon_monitor.image_files.decoding import DecodingLimits
    from andon_monitor.kafka.any_source import open_any_source
    from andon_monitor.recording.record import parse_start

    limits = DecodingLimits(loaded.inspection.max_pixels, loaded.inspection.max_decoding_bytes)
    opened = open_any_source(source, camera, loaded.kafka, parse_start(start))
    serve(opened, skip, output, port, limits)
