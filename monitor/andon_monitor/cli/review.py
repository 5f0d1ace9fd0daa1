"""Commands of the review page: review, user, export."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from andon_monitor.cli.options import Assignments, ConfigFile, ModelFile, load_and_log


def review(
    store: Annotated[
        Path | None, Option(help="Folder with the page's data; run --evidence can write to the same folder.")
    ] = None,
    defects: Annotated[
        str | None, Option(metavar="URI", help="Topic of pictures to fill the page from, kafka://...")
    ] = None,
    verdicts: Annotated[str | None, Option(metavar="URI", help="Topic of verdicts to count, kafka://...")] = None,
    parts: Annotated[
        str | None, Option(metavar="URI", help="Topic of the verdicts of parts to show, kafka://...")
    ] = None,
    labels: Annotated[str | None, Option(metavar="URI", help="Topic to publish labels to, kafka://...")] = None,
    model: ModelFile = None,
    address: Annotated[str | None, Option(help="Address to listen on; default: 127.0.0.1.")] = None,
    port: Annotated[str | None, Option(metavar="N", help="Port to listen on; 0: any free port.")] = None,
    prefix: Annotated[str | None, Option(help="Path under which a proxy serves the page, such as /andon.")] = None,
    config: ConfigFile = None,
    settings: Assignments = None,
) -> None:
    """Serve the web page where people label defects. Ctrl-C stops it."""
    flags = {
        "review.store": store,
        "review.defects": defects,
        "review.verdicts": verdicts,
        "review.parts": parts,
        "review.labels": labels,
        "model.path": model,
        "review.address": address,
        "review.port": port,
        "review.prefix": prefix,
    }
    loaded = load_and_log(flags, settings, config)
    from andon_monitor.review.serving import serve
    from andon_monitor.setup.serving import setup_of

    serve(loaded, *setup_of(loaded))


def user(name: Annotated[str, typer.Argument(help="Name of a person who may use the review page.")]) -> None:
    """Ask for a password and print a line for review.users_file.

    The line holds a hash of the password.
    """
    from andon_monitor.review.users import line

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    print(line(name, password))


def export(
    store: Annotated[Path, Option(help="Folder with the review page's data.")],
    output: Annotated[Path, Option("--output", "-o", help="Folder to create.")],
) -> None:
    """Write labelled images as folders for andon-trainer.

    The commands fit, calibrate and classify of andon-trainer read them.
    """
    from andon_monitor.review.export import export as export_labels

    done = export_labels(store, output)
    said = ", ".join(f"{count} {label}" for label, count in sorted(done.images.items()))
    gone = f"; {done.without_image} labels whose image is no longer kept" if done.without_image else ""
    print(f"{output}: {said or 'no image'}{gone}")
