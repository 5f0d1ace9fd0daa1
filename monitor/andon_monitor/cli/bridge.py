"""The command bridge."""

from typing import Annotated

from typer import Option

from andon_monitor.cli.options import (
    Assignments,
    ConfigFile,
    LogFormat,
    LogLevel,
    Port,
    Serve,
    load_and_log,
    service_flags,
)


def bridge(
    source: Annotated[
        str | None, Option(metavar="URI", help="Topic of verdicts of frames or parts, kafka://...")
    ] = None,
    port: Port = None,
    server: Serve = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    config: ConfigFile = None,
    settings: Assignments = None,
) -> None:
    """Act on the verdicts of a topic, as output.actions says.

    For targets that remember, and for lamps and counters. To reject parts, let run act itself: its way leads through no
    broker. Ctrl-C or SIGTERM stops; the next start continues.
    """
    flags = {
        "source.uri": source,
        **service_flags(port, server, log_level, log_format),
    }
    loaded = load_and_log(flags, settings, config)
    from andon_monitor.actions.bridge import BridgeService

    BridgeService(loaded).run()
