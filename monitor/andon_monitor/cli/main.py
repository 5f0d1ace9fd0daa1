"""The command line `andon-monitor`. Heavy modules are imported by the commands, so that --help answers at once."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from andon_monitor.errors import AndonError, SourceError, UsageError

if TYPE_CHECKING:
    from andon_monitor.settings.groups import Settings
    from andon_monitor.sources.selection import Selection

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Watch a production line through its cameras and say for every part: good, or defect.",
)

ConfigFile = Annotated[Path | None, Option("--config", envvar="ANDON_CONFIG", help="YAML file of settings.")]
ModelFile = Annotated[Path | None, Option("--model", help="Model file that andon-trainer fit made.")]
SourceUri = Annotated[
    str | None, Option("--source", help="kafka://..., a folder, image, video file, rtsp://..., http://... or camera:0.")
]
Sets = Annotated[
    list[str] | None, Option("--set", metavar="KEY=VALUE", help="Any setting: --set inspection.too_dark=0")
]


@app.callback(invoke_without_command=True)
def andon_monitor(version: Annotated[bool, Option("--version", help="Print the version.")] = False) -> None:
    """Watch a production line."""
    if version:
        from importlib.metadata import version as version_of

        print(f"andon {version_of('andon')}")
        raise typer.Exit


@app.command()
def run(
    model: ModelFile = None,
    source: SourceUri = None,
    verdicts: Annotated[
        str | None, Option(help="kafka://..., a .jsonl file, or - for standard output (the default).")
    ] = None,
    config: ConfigFile = None,
    shadow: Annotated[Path | None, Option(help="A second model that scores live frames, for metrics alone.")] = None,
    camera: Annotated[str | None, Option(help="Name of the camera where the source does not say.")] = None,
    pace: Annotated[str | None, Option(help="Tempo of a recording: max (the default) or recorded.")] = None,
    provider: Annotated[str | None, Option(help="auto, cpu, cuda or tensorrt.")] = None,
    threads: Annotated[str | None, Option(metavar="N", help="Frames worked on side by side.")] = None,
    batch_size: Annotated[str | None, Option(metavar="N", help="Frames in one batch on a GPU, at most.")] = None,
    dead_letters: Annotated[
        str | None, Option(help="Folder or kafka://... for frames that could not be inspected.")
    ] = None,
    evidence: Annotated[str | None, Option(help="kafka://... or the folder of a review page to fill.")] = None,
    summary: Annotated[Path | None, Option(help="JSON file for the summary.")] = None,
    port: Annotated[str | None, Option(metavar="N", help="Port of /metrics; 0: a free one.")] = None,
    server: Annotated[bool | None, Option("--server/--no-server", help="Serve /metrics, /healthz, /readyz.")] = None,
    log_level: Annotated[str | None, Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, Option(help="human or json.")] = None,
    settings: Sets = None,
) -> None:
    """Inspect every frame of a source and write a verdict for each.

    What is not given here comes from ANDON_... variables, then from the file. Ctrl-C or SIGTERM finishes what is in
    flight; a second one ends at once.
    """
    flags = {
        "model.path": model,
        "source.uri": source,
        "output.verdicts": verdicts,
        "shadow.path": shadow,
        "source.camera": camera,
        "source.pace": pace,
        "model.provider": provider,
        "model.threads": threads,
        "inspection.batch_size": batch_size,
        "output.dead_letters": dead_letters,
        "output.evidence": evidence,
        "output.summary": summary,
        "server.port": port,
        "server.enabled": server,
        "logging.level": log_level,
        "logging.format": log_format,
    }
    loaded = _load(flags, settings, config)
    from andon_monitor.common.console import console
    from andon_monitor.run.service import Service
    from andon_monitor.run.text import print_summary, progress_bar
    from andon_monitor.telemetry import logs

    logs.set_up(loaded.logging.level, loaded.logging.format)
    page = console(error=True)
    to_terminal = loaded.output.verdicts == "-" and sys.stdout.isatty()
    with progress_bar(None if to_terminal else page) as watchers:
        result = Service(loaded, watchers).run()
    print_summary(result, page)
    if result.damage is not None:
        raise SourceError(result.damage)


@app.command()
def check(
    model: ModelFile = None,
    source: SourceUri = None,
    config: ConfigFile = None,
    settings: Sets = None,
) -> None:
    """Say whether a run with these settings would work: the model, the source, Kafka, the outputs, the port."""
    loaded = _load({"model.path": model, "source.uri": source}, settings, config)
    from andon_monitor.common.console import console
    from andon_monitor.run.check import run_checks
    from andon_monitor.run.text import print_checks, print_settings

    page = console(error=False)
    print_settings(loaded, page)
    if not print_checks(run_checks(loaded), page):
        raise typer.Exit(1)


@app.command()
def tune(
    model: ModelFile = None,
    source: SourceUri = None,
    output: Annotated[Path | None, Option("--output", "-o", help="YAML file to write, with the best settings.")] = None,
    seconds: Annotated[float, Option(min=0.1, help="Seconds of one measurement, about.")] = 2.0,
    rounds: Annotated[int, Option(min=1, help="Measurements of each candidate; the median counts.")] = 3,
    config: ConfigFile = None,
    settings: Sets = None,
) -> None:
    """Find the provider, threads and batches that inspect the most frames a second on this machine.

    Frames are the first of a folder or a recording, inspected from memory. What is written is the file of --config, if
    given, with the best settings in it.
    """
    loaded = _load({"model.path": model, "source.uri": source}, settings, config)
    from andon_monitor.common.console import console, share_bar
    from andon_monitor.common.files import check_writable
    from andon_monitor.run import tune as tuning
    from andon_monitor.run.text import print_trials

    if output is not None:
        check_writable(output)
    with share_bar("measuring", console(error=True)) as progress:
        trials = tuning.tune(loaded, seconds, rounds, progress)
    print_trials(trials, console(error=False))
    if output is not None:
        tuning.write_settings(config, trials[0].values, output)


@app.command()
def publish(
    source: Annotated[str, typer.Argument(help="Folder, image, video file, rtsp://..., http://... or camera:0.")],
    to: Annotated[str, Option(metavar="URI", help="kafka://host:port/topic")],
    rate: Annotated[float | None, Option(min=0.001, help="Frames a second; else as fast as it goes.")] = None,
    pace: Annotated[str, Option(help="Without a rate: max, or recorded.")] = "max",
    stamp: Annotated[str, Option(help="Capture time of a recording's frames: now, or recorded.")] = "now",
    repeat: Annotated[int, Option(min=0, help="How often to play a recording; 0: for ever.")] = 1,
    pending: Annotated[int, Option(min=1, help="Frames sent and not yet acknowledged, at most.")] = 64,
    camera: Annotated[str | None, Option(help="Name of the camera where the source does not say.")] = None,
    config: ConfigFile = None,
    settings: Sets = None,
) -> None:
    """Put the frames of a folder, a video or a camera into a Kafka topic.

    A camera that goes away is looked for again; an outage of the brokers is waited out. Ctrl-C ends it once what was
    sent is acknowledged.
    """
    for name, value, known in (("--pace", pace, ("max", "recorded")), ("--stamp", stamp, ("now", "recorded"))):
        if value not in known:
            raise UsageError(f"{name}: {value!r} should be {' or '.join(known)}")
    loaded = _load({}, settings, config)
    from andon_monitor.kafka.address import parse_address
    from andon_monitor.kafka.publishing import Publication
    from andon_monitor.kafka.publishing import publish as publish_frames
    from andon_monitor.telemetry import logs

    logs.set_up(loaded.logging.level, loaded.logging.format)
    publication = Publication(source, camera, rate, pace == "recorded", stamp == "now", repeat, pending)
    if publish_frames(publication, parse_address(to), loaded.kafka).refused:
        raise typer.Exit(1)


@app.command()
def topics(
    address: Annotated[str, typer.Argument(metavar="URI", help="kafka://host:port/topic of the frames")],
    partitions: Annotated[int, Option(min=1, help="Partitions: as many monitors can share the cameras.")] = 8,
    verdicts: Annotated[str, Option(help="Topic of the verdicts.")] = "andon.verdicts",
    dead_letters: Annotated[str, Option(help="Topic of frames that could not be inspected.")] = "andon.dead-letters",
    defects: Annotated[str, Option(help="Topic of what people are shown.")] = "andon.defects",
    labels: Annotated[str, Option(help="Topic of what people say of it.")] = "andon.labels",
    config: ConfigFile = None,
    settings: Sets = None,
) -> None:
    """Make the topics of a line where they are missing, with sound settings."""
    loaded = _load({}, settings, config)
    from andon_monitor.kafka.address import parse_address
    from andon_monitor.kafka.topics import create, plan
    from andon_monitor.telemetry import logs

    logs.set_up(loaded.logging.level, loaded.logging.format)
    frames = parse_address(address)
    wanted = plan(frames.topic, verdicts, dead_letters, partitions, loaded.kafka, defects, labels)
    for topic, new in create(frames, wanted, loaded.kafka):
        print(f"{topic.name}: {topic.describe() if new else 'is there already, left as it is'}")


@app.command()
def record(
    source: Annotated[str, Option(help="kafka://..., a folder, video file, rtsp://... or camera:0.")],
    output: Annotated[Path, Option("--output", "-o", help="The recording, such as line.mcap.")],
    verdicts: Annotated[str | None, Option(metavar="URI", help="kafka://... of verdicts to record beside.")] = None,
    start: Annotated[str, Option(help="Where in a topic: latest, earliest, or a time.")] = "latest",
    until_end: Annotated[bool, Option("--until-end", help="Stop where the topic ends now.")] = False,
    file_size: Annotated[str | None, Option(metavar="SIZE", help="Begin another file beyond 500MB, 2GB, ...")] = None,
    file_time: Annotated[str | None, Option(metavar="TIME", help="Begin another file after 10m, 1h, ...")] = None,
    keep: Annotated[int | None, Option(min=1, help="Files that stay; older ones are removed.")] = None,
    frames: Annotated[int | None, Option(min=1, help="Stop after so many frames.")] = None,
    duration: Annotated[str | None, Option(metavar="TIME", help="Stop after 90s, 8h, ...")] = None,
    keep_free: Annotated[
        str, Option(metavar="SIZE", help="Stop where the disk would have less than this left.")
    ] = "1GB",
    camera: Annotated[str | None, Option(help="Name of the camera where the source does not say.")] = None,
    config: ConfigFile = None,
    settings: Sets = None,
) -> None:
    """Record the frames of a source into MCAP files, which replay, compare and run read.

    A topic is read beside its monitors, which do not notice. Ctrl-C ends the recording; what a crash leaves,
    NAME.mcap.part, can be read as it is. With --file-size or --file-time files are numbered.
    """
    loaded = _load({}, settings, config)
    from andon_monitor.common.units import parse_duration, parse_size
    from andon_monitor.recording.job import record_from
    from andon_monitor.recording.record import Limits, parse_start
    from andon_monitor.telemetry import logs

    logs.set_up(loaded.logging.level, loaded.logging.format)
    limits = Limits(
        file_size=None if file_size is None else parse_size("--file-size", file_size),
        file_seconds=None if file_time is None else parse_duration("--file-time", file_time),
        keep=keep,
        frames=frames,
        seconds=None if duration is None else parse_duration("--duration", duration),
        keep_free=parse_size("--keep-free", keep_free),
    )
    record_from(source, camera, verdicts, output, limits, parse_start(start), until_end, loaded.kafka)


@app.command()
def replay(
    recording: Annotated[str, typer.Argument(help="A .mcap file, a folder of them or of images, a video.")],
    to: Annotated[str, Option(metavar="URI", help="kafka://host:port/topic")],
    speed: Annotated[str, Option(help="Factor to the tempo of capture, or max.")] = "1",
    begin: Annotated[
        str | None, Option("--from", metavar="TIME", help="2026-01-05T06:00:00Z, or +90 (seconds).")
    ] = None,
    end: Annotated[str | None, Option("--until", metavar="TIME", help="Likewise; not included.")] = None,
    cameras: Annotated[list[str] | None, Option("--camera", help="Only this camera; may be given again.")] = None,
    loops: Annotated[int, Option(min=0, help="How often; 0: for ever.")] = 1,
    stamp: Annotated[str, Option(help="Capture time: recorded, or now.")] = "recorded",
    pending: Annotated[int, Option(min=1, help="Frames sent and not yet acknowledged, at most.")] = 64,
    config: ConfigFile = None,
    settings: Sets = None,
) -> None:
    """Put a recording's frames back into a topic, with the bytes, keys and headers they had.

    A damaged recording gives what is whole, and exit code 1.
    """
    if stamp not in ("recorded", "now"):
        raise UsageError(f"--stamp: {stamp!r} should be recorded or now")
    factor = _factor(speed)
    loaded = _load({}, settings, config)
    from andon_monitor.kafka.address import parse_address
    from andon_monitor.recording.replay import Replay
    from andon_monitor.recording.replay import replay as replay_frames
    from andon_monitor.telemetry import logs

    logs.set_up(loaded.logging.level, loaded.logging.format)
    job = Replay(recording, _selection(begin, end, cameras), factor, loops, stamp == "now", pending)
    done = replay_frames(job, parse_address(to), loaded.kafka)
    if done.damage is not None:
        raise SourceError(done.damage)
    if done.progress.refused:
        raise typer.Exit(1)


@app.command()
def repair(
    recording: Annotated[Path, typer.Argument(help="A damaged or unfinished .mcap file.")],
    output: Annotated[Path, Option("--output", "-o", help="The sound file to write.")],
) -> None:
    """Copy what is whole of a recording into a sound one. Exit code 1 where anything had been lost."""
    from andon_monitor.recording.repair import repair as repair_file

    done = repair_file(recording, output)
    print(f"{output}: {done.frames} frames, {done.messages} messages; {recording}: {done.damage}")
    if done.damage.found:
        raise typer.Exit(1)


@app.command()
def compare(
    recording: Annotated[str, typer.Argument(help="A .mcap file, a folder of them or of images, a video.")],
    model: ModelFile = None,
    baseline: Annotated[
        str | None, Option(help="old.onnx; recorded: the verdicts in the recording; or a .jsonl of verdicts.")
    ] = None,
    threshold: Annotated[float | None, Option(help="Judge by this score instead of the model's threshold.")] = None,
    false_alarm_rate: Annotated[
        float | None, Option(help="Judge by the threshold that flags this share of good parts.")
    ] = None,
    labels: Annotated[Path | None, Option(help="Labels as JSON lines, where the recording has none.")] = None,
    begin: Annotated[str | None, Option("--from", metavar="TIME", help="2026-01-05T06:00:00Z, or +90.")] = None,
    end: Annotated[str | None, Option("--until", metavar="TIME", help="Likewise; not included.")] = None,
    cameras: Annotated[list[str] | None, Option("--camera", help="Only this camera; may be given again.")] = None,
    json: Annotated[Path | None, Option(metavar="FILE", help="Write every figure as JSON.")] = None,
    junit: Annotated[Path | None, Option(metavar="FILE", help="Write the limits as JUnit XML.")] = None,
    report: Annotated[Path | None, Option(metavar="FILE", help="Write a page with pictures of what changed.")] = None,
    max_changed: Annotated[float | None, Option(min=0, max=1, help="Share of verdicts that may change.")] = None,
    max_flagged: Annotated[float | None, Option(min=0, max=1, help="Share of frames that may be flagged.")] = None,
    max_false_alarms: Annotated[float | None, Option(min=0, max=1, help="Share of good parts flagged.")] = None,
    min_detection: Annotated[float | None, Option(min=0, max=1, help="Share of defects flagged, at least.")] = None,
    max_new_misses: Annotated[int | None, Option(min=0, help="Defects that only the baseline finds.")] = None,
    max_new_false_alarms: Annotated[int | None, Option(min=0, help="Good parts that only the model flags.")] = None,
    max_latency: Annotated[float | None, Option(min=0, metavar="MS", help="Milliseconds a frame, one thread.")] = None,
    config: ConfigFile = None,
    settings: Sets = None,
) -> None:
    """Say what a new model, or another threshold, would have said about a recording.

    Exit code 1 where a limit given here is broken, or the recording is damaged.
    """
    if threshold is not None and false_alarm_rate is not None:
        raise UsageError("--threshold and --false-alarm-rate are both given; which one?")
    if false_alarm_rate is not None and not 0 < false_alarm_rate < 1:
        raise UsageError(f"--false-alarm-rate: {false_alarm_rate:g} should be above 0 and below 1, such as 0.001")
    loaded = _load({}, settings, config)
    from andon_monitor.common.console import console
    from andon_monitor.compare.job import Job, run_comparison
    from andon_monitor.compare.judges import Cut
    from andon_monitor.compare.limits import Limits
    from andon_monitor.compare.table import print_comparison
    from andon_monitor.telemetry import logs

    logs.set_up(loaded.logging.level, loaded.logging.format)
    limits = Limits(max_changed, max_flagged, max_false_alarms, min_detection, max_new_misses, max_new_false_alarms,
                    max_latency)  # fmt: skip
    cut, selection = Cut(threshold, false_alarm_rate), _selection(begin, end, cameras)
    job = Job(recording, model, baseline, cut, labels, selection, limits, json, junit, report)
    done = run_comparison(job, loaded)
    print_comparison(done.comparison, done.verdicts, console(error=False))
    if done.damage is not None:
        raise SourceError(done.damage)
    if not done.passed:
        raise typer.Exit(1)


@app.command()
def review(
    store: Annotated[Path | None, Option(help="Folder of the page; run --evidence fills the same.")] = None,
    defects: Annotated[str | None, Option(metavar="URI", help="kafka://... of the evidence, to fill it from.")] = None,
    verdicts: Annotated[str | None, Option(metavar="URI", help="kafka://... of the verdicts.")] = None,
    labels: Annotated[str | None, Option(metavar="URI", help="kafka://... to publish labels to.")] = None,
    model: ModelFile = None,
    address: Annotated[str | None, Option(help="Address to listen on; 127.0.0.1 is the default.")] = None,
    port: Annotated[str | None, Option(metavar="N", help="Port to listen on; 0: a free one.")] = None,
    prefix: Annotated[str | None, Option(help="Path under which a proxy shows the page, such as /andon.")] = None,
    config: ConfigFile = None,
    settings: Sets = None,
) -> None:
    """Serve the page where people look at defects and say what they are. Ctrl-C ends it."""
    flags = {
        "review.store": store,
        "review.defects": defects,
        "review.verdicts": verdicts,
        "review.labels": labels,
        "model.path": model,
        "review.address": address,
        "review.port": port,
        "review.prefix": prefix,
    }
    loaded = _load(flags, settings, config)
    from andon_monitor.review.serving import serve
    from andon_monitor.telemetry import logs

    logs.set_up(loaded.logging.level, loaded.logging.format)
    serve(loaded)


@app.command()
def user(name: Annotated[str, typer.Argument(help="Who is to look at the review page.")]) -> None:
    """Ask for a password and print a line for review.users_file, which holds its hash."""
    from andon_monitor.review.users import line

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    print(line(name, password))


@app.command()
def export(
    store: Annotated[Path, Option(help="Folder of the review page.")],
    output: Annotated[Path, Option("--output", "-o", help="A new folder.")],
) -> None:
    """Write what people said on the review page as folders that andon-trainer fit, calibrate and classify read."""
    from andon_monitor.review.export import export as export_labels

    done = export_labels(store, output)
    said = ", ".join(f"{count} {label}" for label, count in sorted(done.images.items()))
    gone = f"; {done.without_image} labels whose image is no longer kept" if done.without_image else ""
    print(f"{output}: {said or 'no image'}{gone}")


def main() -> None:
    """Run the command line: an error is one line on standard error and an exit code, never a traceback."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except AndonError as error:
        _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        _fail(error.format_message(), 2)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _load(flags: dict[str, Any], assignments: list[str] | None, config: Path | None) -> "Settings":
    import yaml

    from andon_monitor.settings.loading import load_settings

    for assignment in assignments or []:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {assignment}: right is --set key=value, such as --set server.port=0")
        flags[key] = yaml.safe_load(value)
    return load_settings(flags, config)


def _selection(begin: str | None, end: str | None, cameras: list[str] | None) -> "Selection":
    from andon_monitor.sources.selection import Selection, parse_moment

    return Selection(
        None if begin is None else parse_moment("--from", begin),
        None if end is None else parse_moment("--until", end),
        tuple(cameras or ()),
    )


def _factor(speed: str) -> float | None:
    """The tempo of a replay; None for as fast as it goes."""
    if speed == "max":
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise UsageError(f"--speed: {speed!r} should be max, or a factor above 0 such as 1 or 2.5")
    return factor


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
