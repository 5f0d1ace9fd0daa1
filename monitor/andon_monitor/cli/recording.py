"""Commands for recordings: record, replay, repair."""

import math
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from andon_monitor.cli.options import (
    Assignments,
    Begin,
    Camera,
    Cameras,
    ConfigFile,
    End,
    KafkaTarget,
    Pending,
    RecordingName,
    check_choice,
    load_and_log,
    selection,
)
from andon_monitor.errors import SourceError, UsageError


def record(
    source: Annotated[
        str,
        Option(help="kafka://..., a folder, video file, rtsp://..., camera:0, genicam:..., pylon:... or watch:FOLDER."),
    ],
    output: Annotated[Path, Option("--output", "-o", help="Recording to write, such as line.mcap.")],
    verdicts: Annotated[
        str | None, Option(metavar="URI", help="Topic of verdicts to record as well, kafka://...")
    ] = None,
    start: Annotated[str, Option(help="Where to start in a topic: latest, earliest, or a time.")] = "latest",
    until_end: Annotated[bool, Option("--until-end", help="Stop at the present end of the topic.")] = False,
    file_size: Annotated[
        str | None, Option(metavar="SIZE", help="Start a new file after this size: 500MB, 2GB, ...")
    ] = None,
    file_time: Annotated[
        str | None, Option(metavar="TIME", help="Start a new file after this time: 10m, 1h, ...")
    ] = None,
    keep: Annotated[int | None, Option(min=1, help="Number of files to keep; older ones are deleted.")] = None,
    frames: Annotated[int | None, Option(min=1, help="Stop after this many frames.")] = None,
    duration: Annotated[str | None, Option(metavar="TIME", help="Stop after this time: 90s, 8h, ...")] = None,
    keep_free: Annotated[
        str, Option(metavar="SIZE", help="Stop before the disk has less free space than this.")
    ] = "1GB",
    camera: Camera = None,
    config: ConfigFile = None,
    settings: Assignments = None,
) -> None:
    """Record the frames of a source into MCAP files.

    The commands replay, compare and run read them. Recording a topic does not disturb its monitors. Ctrl-C stops. A
    crash leaves NAME.mcap.part, which can be read like any recording. With --file-size or --file-time the files are
    numbered.
    """
    loaded = load_and_log({}, settings, config)
    from andon_monitor.common.units import parse_duration, parse_size
    from andon_monitor.kafka.address import is_kafka
    from andon_monitor.recording.record import RecordingLimits, parse_start

    limits = RecordingLimits(
        file_size=None if file_size is None else parse_size("--file-size", file_size),
        file_seconds=None if file_time is None else parse_duration("--file-time", file_time),
        keep=keep,
        frames=frames,
        seconds=None if duration is None else parse_duration("--duration", duration),
        keep_free=parse_size("--keep-free", keep_free),
    )
    begin = parse_start(start)
    if verdicts is not None or is_kafka(source):
        from andon_monitor.recording.topics import record_topics

        record_topics(source, camera, verdicts, output, limits, begin, until_end, loaded.kafka)
    else:
        from andon_monitor.recording.job import record_source
        from andon_monitor.sources.uri import open_source

        opened = open_source(source, camera, settings=loaded.source, industrial=loaded.camera)
        record_source(opened, output, limits)


def replay(
    recording: RecordingName,
    to: KafkaTarget,
    speed: Annotated[str, Option(help="Factor of the recorded speed, such as 2.5, or max.")] = "1",
    begin: Begin = None,
    end: End = None,
    cameras: Cameras = None,
    loops: Annotated[int, Option(min=0, help="Number of times to replay; 0: until stopped.")] = 1,
    stamp: Annotated[str, Option(help="Capture time given to the frames: recorded, or now.")] = "recorded",
    pending: Pending = 64,
    config: ConfigFile = None,
    settings: Assignments = None,
) -> None:
    """Send the frames of a recording to a Kafka topic.

    Bytes, keys and headers are the original ones. Of a damaged recording, sends the frames that can be read and exits
    with code 1.
    """
    check_choice("--stamp", stamp, "recorded", "now")
    factor = _parse_speed(speed)
    loaded = load_and_log({}, settings, config)
    from andon_monitor.kafka.address import parse_address
    from andon_monitor.recording.replay import Replay
    from andon_monitor.recording.replay import replay as replay_frames

    job = Replay(recording, selection(begin, end, cameras), factor, loops, stamp == "now", pending)
    done = replay_frames(job, parse_address(to), loaded.kafka)
    if done.damage is not None:
        raise SourceError(done.damage)
    if done.published.refused:
        raise typer.Exit(1)


def repair(
    recording: Annotated[Path, typer.Argument(help="A damaged or unfinished .mcap file.")],
    output: Annotated[Path, Option("--output", "-o", help="The repaired file to write.")],
) -> None:
    """Copy what a damaged recording still holds into a new one.

    Exit code 1 if anything was lost.
    """
    from andon_monitor.recording.repair import repair as repair_file

    done = repair_file(recording, output)
    print(f"{output}: {done.frames} frames, {done.messages} messages; {recording}: {done.damage}")
    if done.damage.found:
        raise typer.Exit(1)


def _parse_speed(text: str) -> float | None:
    """The factor of the recorded speed; None for as fast as possible. Raises UsageError."""
    if text == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < math.inf:
        raise UsageError(f"--speed: {text!r} should be max, or a factor above 0 such as 1 or 2.5")
    return factor
