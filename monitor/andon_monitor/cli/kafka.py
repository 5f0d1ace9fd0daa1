"""Commands for Kafka topics: publish, topics."""

from typing import Annotated

import typer
from typer import Option

from andon_monitor.cli.options import (
    Assignments,
    Camera,
    ConfigFile,
    KafkaTarget,
    Pending,
    Then,
    check_choice,
    load_and_log,
)


def publish(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder, image or video file, rtsp://..., http://..., camera:0, genicam:..., pylon:... or "
            "watch:FOLDER."
        ),
    ],
    to: KafkaTarget,
    rate: Annotated[float | None, Option(min=0.001, help="Frames per second; default: as many as possible.")] = None,
    pace: Annotated[str, Option(help="Speed without --rate: max, or recorded.")] = "max",
    stamp: Annotated[str, Option(help="Capture time given to a recording's frames: now, or recorded.")] = "now",
    repeat: Annotated[int, Option(min=0, help="Number of times to play a recording; 0: until stopped.")] = 1,
    pending: Pending = 64,
    camera: Camera = None,
    then: Then = None,
    config: ConfigFile = None,
    settings: Assignments = None,
) -> None:
    """Send frames from files or a camera to a Kafka topic.

    Reconnects to a lost camera and waits while the brokers are away. Ctrl-C stops once all frames sent are
    acknowledged.
    """
    check_choice("--pace", pace, "max", "recorded")
    check_choice("--stamp", stamp, "now", "recorded")
    loaded = load_and_log({"source.then": then}, settings, config)
    from andon_monitor.kafka.address import parse_address
    from andon_monitor.kafka.publishing import Publication
    from andon_monitor.kafka.publishing import publish as publish_frames

    publication = Publication(
        source, camera, rate, pace == "recorded", stamp == "now", repeat, pending, loaded.source, loaded.camera
    )
    if publish_frames(publication, parse_address(to), loaded.kafka).refused:
        raise typer.Exit(1)


def topics(
    address: Annotated[str, typer.Argument(metavar="URI", help="Topic of the frames, kafka://host:port/topic.")],
    partitions: Annotated[int, Option(min=1, help="Partitions: the largest number of monitors in a group.")] = 8,
    verdicts: Annotated[str, Option(help="Topic of verdicts.")] = "andon.verdicts",
    dead_letters: Annotated[str, Option(help="Topic of frames that could not be inspected.")] = "andon.dead-letters",
    defects: Annotated[str, Option(help="Topic of pictures for the review page.")] = "andon.defects",
    labels: Annotated[str, Option(help="Topic of labels from the review page.")] = "andon.labels",
    parts: Annotated[
        str, Option(help="Topic of the verdicts of parts; NAME.views and NAME.state belong to it.")
    ] = "andon.parts",
    changes: Annotated[
        str | None, Option(help="Topic of changes of models on the review page, such as andon.changes; default: none.")
    ] = None,
    models: Annotated[
        str | None,
        Option(help="Topic of models for monitors on several machines, such as andon.models; default: none."),
    ] = None,
    config: ConfigFile = None,
    settings: Assignments = None,
) -> None:
    """Create the Kafka topics of a line.

    Partition count, retention and message size suit camera frames. Existing topics stay unchanged.
    """
    loaded = load_and_log({}, settings, config)
    from andon_monitor.kafka.address import parse_address
    from andon_monitor.kafka.topics import create, plan

    frames = parse_address(address)
    wanted = plan(frames.topic, verdicts, dead_letters, partitions, loaded.kafka, defects, labels, parts, changes,
                  models)  # fmt: skip
    for topic, new in create(frames, wanted, loaded.kafka):
        print(f"{topic.name}: {topic.describe() if new else 'exists, unchanged'}")
