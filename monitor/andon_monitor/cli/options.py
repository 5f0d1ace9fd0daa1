"""Options that several commands share, and the settings from flags, environment and file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from andon_monitor.errors import UsageError

if TYPE_CHECKING:
    from andon_monitor.settings.groups import Settings
    from andon_monitor.sources.selection import Selection

ConfigFile = Annotated[Path | None, Option("--config", envvar="ANDON_CONFIG", help="YAML file with settings.")]
ModelFile = Annotated[Path | None, Option("--model", help="Model file from andon-trainer fit.")]
SourceUri = Annotated[
    str | None,
    Option(
        "--source",
        help="kafka://..., a folder, image or video file, rtsp://..., http://..., camera:0, genicam:..., pylon:... or "
        "watch:FOLDER.",
    ),
]
Then = Annotated[
    str | None,
    Option(metavar="WHAT", help="Images of a watched folder with a verdict: keep (default), delete or move:FOLDER."),
]
Assignments = Annotated[
    list[str] | None,
    Option("--set", metavar="KEY=VALUE", help="Any setting, such as --set inspection.too_dark=0. Repeatable."),
]
# Of every service: its HTTP server and its log, see `service_flags`.
Port = Annotated[str | None, Option(metavar="N", help="Port of /metrics; 0: any free port.")]
Serve = Annotated[bool | None, Option("--server/--no-server", help="Serve /metrics, /healthz, /readyz.")]
LogLevel = Annotated[str | None, Option(help="debug, info (default), warning or error.")]
LogFormat = Annotated[str | None, Option(help="human (default) or json.")]
Camera = Annotated[str | None, Option("--camera", help="Camera name for a source that does not give one.")]
Pending = Annotated[int, Option(min=1, help="Largest number of frames sent but not yet acknowledged.")]
KafkaTarget = Annotated[str, Option(metavar="URI", help="Topic to write to, kafka://host:port/topic.")]

# A part of a recording.
RecordingName = Annotated[str, Argument(help="A .mcap file, a folder of them or of images, or a video.")]
Begin = Annotated[
    str | None,
    Option("--from", metavar="TIME", help="First capture time: 2026-01-05T06:00:00Z, or +90 (s after the start)."),
]
End = Annotated[str | None, Option("--until", metavar="TIME", help="Capture time to stop before, in the same format.")]
Cameras = Annotated[list[str] | None, Option("--camera", help="Only this camera. Repeatable.")]


def service_flags(port: str | None, server: bool | None, level: str | None, style: str | None) -> dict[str, Any]:
    """The options of every service, by dotted key."""
    return {
        "server.port": port,
        "server.enabled": server,
        "logging.level": level,
        "logging.format": style,
    }


def load(flags: dict[str, Any], assignments: list[str] | None, config: Path | None) -> "Settings":
    """The settings. `flags` are by dotted key, None where not given. Raises UsageError."""
    from andon_monitor.settings.loading import load_settings, parse_assignment

    for assignment in assignments or []:
        key, value = parse_assignment(assignment)
        flags[key] = value
    return load_settings(flags, config)


def load_and_log(flags: dict[str, Any], assignments: list[str] | None, config: Path | None) -> "Settings":
    """The settings, for a command that logs: logging is set up as they say. Raises UsageError."""
    from andon_monitor.settings.loading import SECRET_KEYS
    from andon_monitor.telemetry import logs

    asked = (flags.get("logging.format"), os.environ.get("ANDON_LOGGING_FORMAT"))
    if "json" in asked or "logging.format=json" in (assignments or []):
        logs.start("info", "json")  # an error in the settings is JSON too
    settings = load(flags, assignments, config)
    logs.start(settings.logging.level, settings.logging.format)
    for key in SECRET_KEYS.intersection(flags):
        logs.log.warning("%s: given on the command line, where every user of this machine can read it", key)
    return settings


def selection(begin: str | None, end: str | None, cameras: list[str] | None) -> "Selection":
    """The part of a recording that the options name. Raises UsageError."""
    from andon_monitor.sources.selection import Selection, parse_moment

    return Selection(
        None if begin is None else parse_moment("--from", begin),
        None if end is None else parse_moment("--until", end),
        tuple(cameras or ()),
    )


def check_choice(option: str, value: str, *choices: str) -> None:
    """Raise UsageError where a value is not one of the choices."""
    if value not in choices:
        raise UsageError(f"{option}: {value!r} should be {' or '.join(choices)}")
