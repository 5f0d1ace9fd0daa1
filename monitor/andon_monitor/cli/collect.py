"""`collect`: training images from a camera or any other source."""

from pathlib import Path
from typing import Annotated

from typer import Option

from andon_monitor.cli.options import Assignments, ConfigFile, load_and_log
from andon_monitor.errors import UsageError

MAX_COUNT = 10_000  # images: their thumbnails are in memory, 8 kB each


def collect(
    source: Annotated[
        str,
        Option(
            help="kafka://..., rtsp://..., http://..., camera:0, genicam:..., pylon:..., watch:FOLDER, a recording, "
            "video or folder."
        ),
    ],
    output: Annotated[Path, Option("--output", "-o", help="Folder to write to; where it has images, it goes on.")],
    batch: Annotated[
        str | None, Option(metavar="NAME", help="Write into this subfolder: a day, a batch of material, ...")
    ] = None,
    count: Annotated[int, Option(min=1, max=MAX_COUNT, help="Stop at this many images in the folder, or batch.")] = 500,
    duration: Annotated[str | None, Option(metavar="TIME", help="Stop after this time: 90s, 8h, ...")] = None,
    size: Annotated[str, Option(metavar="SIZE", help="Stop at this size of the folder.")] = "10GB",
    enough: Annotated[
        int | None,
        Option(min=1, max=100, metavar="N", help="Stop where fewer than N of the last 100 views were new."),
    ] = None,
    empty: Annotated[
        str | None,
        Option(
            metavar="PATH",
            help="A picture of the station without a part, or a folder of them; 'first': the first frame is one.",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        Option(
            metavar="REASON",
            help="Keep what is left out by default: dark, empty, moving, blurred or near-duplicate. Repeatable.",
        ),
    ] = None,
    trigger: Annotated[
        str | None,
        Option(
            metavar="NAME[=VALUE]",
            help="Only frames whose header, or field of the part, has this value; without a value the first of each "
            "new one: trigger=1, id.",
        ),
    ] = None,
    camera: Annotated[
        str | None, Option(help="Of a source with several cameras, only this one; of others, the camera's name.")
    ] = None,
    start: Annotated[str, Option(help="Where to start in a topic: latest, earliest, or a time.")] = "latest",
    until_end: Annotated[bool, Option("--until-end", help="Stop at the present end of the topic.")] = False,
    keep_free: Annotated[
        str, Option(metavar="SIZE", help="Stop before the disk has less free space than this.")
    ] = "1GB",
    config: ConfigFile = None,
    settings: Assignments = None,
) -> None:
    """Collect training images of good parts.

    Writes frames as they came, and a manifest. Leaves out and counts: near-duplicates of what is there, dark and
    blurred frames, frames in motion, the empty station (--empty), damaged frames, and frames labelled as defects.
    Ctrl-C stops. The same command again goes on.
    """
    loaded = load_and_log({}, settings, config)
    from andon_monitor.collect import collector
    from andon_monitor.collect.image_folder import ImageFolder
    from andon_monitor.collect.selection import Selection, check_reasons
    from andon_monitor.collect.trigger import parse_trigger
    from andon_monitor.common.units import parse_duration, parse_size
    from andon_monitor.image_files.decoding import DecodingLimits
    from andon_monitor.kafka.any_source import open_any_source
    from andon_monitor.recording.record import parse_start

    limits = collector.CollectLimits(
        count=count,
        size=parse_size("--size", size),
        keep_free=parse_size("--keep-free", keep_free),
        seconds=None if duration is None else parse_duration("--duration", duration),
        enough=None if enough is None else enough / 100,
    )
    check_reasons("--keep", keep or ())
    if empty == "":
        raise UsageError("--empty: give a picture, a folder, or first")
    decoding = DecodingLimits(loaded.inspection.max_pixels, loaded.inspection.max_decoding_bytes)
    first = empty == collector.FIRST
    pictures = [] if empty is None or first else collector.empty_pictures(Path(empty), decoding)
    selection = Selection(
        decoding, camera, keep or (), pictures, first, None if trigger is None else parse_trigger(trigger)
    )
    opened = open_any_source(
        source, camera, loaded.kafka, parse_start(start), until_end, source=loaded.source, industrial=loaded.camera
    )
    try:
        folder = ImageFolder(output, batch)
        collector.remember_images(folder, selection, decoding)
    except BaseException:
        opened.close()
        raise
    collector.collect(opened, folder, selection, limits)
