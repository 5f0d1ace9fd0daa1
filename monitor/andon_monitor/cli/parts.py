"""The command parts."""

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


def parts(
    verdicts: Annotated[str | None, Option(metavar="URI", help="Topic of verdicts to join, kafka://...")] = None,
    output: Annotated[
        str | None, Option("--parts", metavar="URI", help="Topic for the verdicts of parts, kafka://...")
    ] = None,
    port: Port = None,
    server: Serve = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    config: ConfigFile = None,
    settings: Assignments = None,
) -> None:
    """Join the verdicts of a part's views to one verdict for each part.

    parts.views says which views a product has. Several of these services share the work. Ctrl-C or SIGTERM stops; the
    next start continues, as open parts are kept in Kafka.
    """
    flags = {
        "output.verdicts": verdicts,
        "output.parts": output,
        **service_flags(port, server, log_level, log_format),
    }
    loaded = load_and_log(flags, settings, config)
    from andon_monitor.parts.service import PartService

    PartService(loaded).run()
