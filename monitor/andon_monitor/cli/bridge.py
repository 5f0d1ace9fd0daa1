"""The command bridge."""

from typing import Annotated

from typer import Option

from andon_monitor.cli.options import Assignments, ConfigFile, load_and_log


def bridge(
    source: Annotated[
        str | None, Option(metavar="URI", help="Topic of verdicts of frames or parts, kafka://...")
    ] = None,
    port: Annotated[str | None, Option(metavar="N", help="Port of /metrics; 0: any free port.")] = None,
    server: Annotated[bool | None, Option("--server/--no-server", help="Serve /metrics, /healthz, /readyz.")] = None,
    log_level: Annotated[str | None, Option(help="debug, info (default), warning or error.")] = None,
    log_format: Annotated[str | None, Option(help="human (default) or json.")] = None,
    config: ConfigFile = None,
    settings: Assignments = None,
) -> None:
    """Act on the verdicts of a topic, as output.actions says.

    For targets that remember, and for lamps and counters. To reject parts, let run act itself: its way leads through no
    broker. Ctrl-C or SIGTERM stops; the next start continues.
    """
    flags = {
        "source.uri": source,
        "server.port": port,
        "server.enabled": server,
        "logging.level": log_level,
        "logging.format": log_format,
    }
    loaded = load_and_log(flags, settings, config)
    from andon_monitor.actions.bridge import BridgeService

    BridgeService(loaded).run()
