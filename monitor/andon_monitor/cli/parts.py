"""The command parts."""

from typing import Annotated

from typer import Option

from andon_monitor.cli.options import Assignments, ConfigFile, load_and_log


def parts(
    verdicts: Annotated[str | None, Option(metavar="URI", help="Topic of verdicts to join, kafka://...")] = None,
    output: Annotated[
        str | None, Option("--parts", metavar="URI", help="Topic for the verdicts of parts, kafka://...")
    ] = None,
    port: Annotated[str | None, Option(metavar="N", help="Port of /metrics; 0: any free port.")] = None,
    server: Annotated[bool | None, Option("--server/--no-server", help="Serve /metrics, /healthz, /readyz.")] = None,
    log_level: Annotated[str | None, Option(help="debug, info (default), warning or error.")] = None,
    log_format: Annotated[str | None, Option(help="human (default) or json.")] = None,
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
        "server.port": port,
        "server.enabled": server,
        "logging.level": log_level,
        "logging.format": log_format,
    }
    loaded = load_and_log(flags, settings, config)
    from andon_monitor.parts.service import PartService

    PartService(loaded).run()
