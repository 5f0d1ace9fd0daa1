"""`fit`: from a folder of good parts to a model file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from andon_monitor.common.files import write_whole
from andon_monitor.common.units import parse_duration, parse_latency
from andon_monitor.image_files.decoding import DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS
from andon_monitor.model.mask import read_mask

from andon_trainer.architecture import DEFAULT_SIZE, parse_layers
from andon_trainer.cli.arguments import (
    AssumeGood,
    Cameras,
    Data,
    FalseAlarmRate,
    LabelsFile,
    MaxDecodingBytes,
    MaxPixels,
    Output,
    Report,
    check_all_writable,
    open_data,
)
from andon_trainer.cli.console import graceful_interrupt, note, note_all, out, progress_bar, say
from andon_trainer.options import FitOptions, parse_region

if TYPE_CHECKING:
    from andon_trainer.data.audit import Outlier

OUTLIERS_NAMED = 5
INPUT, TRAINING, NETWORK = "Images", "Training", "Network"  # headings in the help text


def fit(
    data: Data,
    output: Output,
    report: Report = None,
    false_alarm_rate: FalseAlarmRate = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the model in verdicts and metrics. Default: the name of the file.")
    ] = None,
    keep_outliers: Annotated[
        bool,
        typer.Option(
            "--keep-outliers",
            help="Use all held-out images for the threshold. By default, the few that score far above all others are "
            "left out, because they may show defects.",
        ),
    ] = False,
    assume_good: AssumeGood = False,
    cameras: Cameras = None,
    labels: LabelsFile = None,
    colour: Annotated[str, typer.Option(help="auto, grey or rgb.", rich_help_panel=INPUT)] = "auto",
    region: Annotated[
        str | None,
        typer.Option(
            help="Use only this region of every image: left,top,width,height in pixels.",
            metavar="L,T,W,H",
            rich_help_panel=INPUT,
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="Where the model looks: a JSON file from andon-monitor draw, or an image that is black where it does "
            "not look.",
            metavar="FILE",
            rich_help_panel=INPUT,
        ),
    ] = None,
    any_size: Annotated[
        bool, typer.Option("--any-size", help="Accept images of different sizes.", rich_help_panel=INPUT)
    ] = False,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    max_decoding_bytes: MaxDecodingBytes = DEFAULT_MAX_BYTES,
    side: Annotated[
        int | None,
        typer.Option(
            help="Resolution: images are scaled to an area of about SIDE x SIDE pixels. Default: chosen from the "
            "images and the budget, 256 or 384.",
            metavar="SIDE",
            rich_help_panel=INPUT,
        ),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="Longest time to take, such as 90s, 10m or 1h.", rich_help_panel=TRAINING)
    ] = "10m",
    iterations: Annotated[
        int | None,
        typer.Option(
            help="Most training steps to take, of all networks together. Default: 9000; dense 3000.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Images in a training step. Default: 16; dense 256.", rich_help_panel=TRAINING),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Highest learning rate. Default: 3e-3; dense 1e-3.", rich_help_panel=TRAINING),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            help="Seed of all random choices. The same seed gives the same weights on the same machine with the same "
            "number of threads, if the budget is long enough.",
            rich_help_panel=TRAINING,
        ),
    ] = 0,
    device: Annotated[
        str, typer.Option(help="Device to train on: auto, cpu or cuda.", rich_help_panel=TRAINING)
    ] = "auto",
    threads: Annotated[
        int,
        typer.Option(help="CPU threads to train on; 0 finds the fastest number.", rich_help_panel=TRAINING),
    ] = 0,
    architecture: Annotated[
        str,
        typer.Option(help="conv-dense, or dense for small images.", rich_help_panel=NETWORK),
    ] = "conv-dense",
    size: Annotated[
        str,
        typer.Option(
            help="Size of the network: small, base or large. Only with --architecture conv-dense.",
            rich_help_panel=NETWORK,
        ),
    ] = DEFAULT_SIZE,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Image network whose features of good parts are rebuilt as well: built-in (default), small (its first "
            "stages), none, or an ONNX file with one input [N, 3, H, W]. Only with --architecture conv-dense.",
            metavar="FILE",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    networks: Annotated[
        int | None,
        typer.Option(
            help="Number of networks, 1 to 5. Each is trained without a different part of the images; their scores "
            "are averaged. Default: 1; of fewer than 250 images up to 3, as the budget allows. Only with "
            "--architecture conv-dense.",
            metavar="N",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            help="Longest time for a frame on one core of this machine, such as 10ms, or 100fps: the best model that "
            "keeps it, with a smaller encoder or fewer pixels. Only with --architecture conv-dense.",
            metavar="TIME",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    layers: Annotated[
        str,
        typer.Option(
            help="Sizes of the layers, from the pixels to the pixels. Only with --architecture dense.",
            metavar="N-...-N",
            rich_help_panel=NETWORK,
        ),
    ] = "784-128-64-32-64-128-784",
    kind: Annotated[
        str | None,
        typer.Option(
            help="Kind of dense autoencoder: plain (default), denoising, sparse or variational. Only with "
            "--architecture dense.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            help="Reconstruction loss: l1-ssim (default of conv-dense, not with dense), mse (default of dense) or bce.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
) -> None:
    """Fit a model on images of good parts, set its threshold, and write one ONNX file.

    Ctrl-C stops the training and writes the best model so far; a second Ctrl-C stops at once and writes nothing.
    """
    options = FitOptions(
        name=name or output.stem,
        false_alarm_rate=false_alarm_rate,
        architecture=architecture,
        layers=parse_layers(layers),
        kind=kind,
        loss=loss,
        budget=parse_duration("--budget", budget),
        iterations=iterations,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        side=side,
        size=size,
        encoder=encoder,
        networks=networks,
        latency=None if latency is None else parse_latency("--latency", latency),
        colour=colour,
        region=None if region is None else parse_region(region),
        mask=None if mask is None else read_mask(mask),
        any_size=any_size,
        max_pixels=max_pixels,
        max_decoding_bytes=max_decoding_bytes,
        keep_outliers=keep_outliers,
        device=device,
        threads=threads,
    )

    dataset = open_data(data, assume_good, cameras, labels)
    check_all_writable(output, report)

    import torch  # noqa: F401  # first: where torch is missing, that is what the error says
    from andon_monitor.model.fitness import assess

    from andon_trainer import fitting
    from andon_trainer.cli.tables import evaluation_table, print_fitness, rates_table
    from andon_trainer.report.advice import batches_note, blank_note, data_warnings, one_network_note
    from andon_trainer.report.page import write_report
    from andon_trainer.report.rates import rate_rows, what_would_help
    from andon_trainer.report.words import (
        chosen_rate_note,
        describe_calibration,
        describe_latency,
        describe_levels,
        describe_mask,
        describe_training,
        few_images_note,
    )

    with progress_bar() as progress, graceful_interrupt() as interrupted:
        fitted = fitting.fit(dataset, options, progress=progress, interrupted=interrupted)
    write_whole(output, fitted.content)
    if fitted.evaluation is not None:
        out.print(evaluation_table(fitted.evaluation))
        note_all(fitted.evaluation.notes)
    card = fitted.model.card
    rows = rate_rows(card, fitted.evaluation)
    out.print(rates_table(rows))
    if card.input.levels is not None:
        say(describe_levels(card.input))
    if (looks := describe_mask(card.input)) is not None:
        say(f"mask: {looks}")
    say(
        f"{output}: {describe_training(card.training)}, {card.milliseconds_per_image} ms an image; "
        f"{describe_calibration(card.calibration)}"
    )
    if fitted.latency is not None:
        say(describe_latency(fitted.latency))
    if options.false_alarm_rate is None:
        say(chosen_rate_note(card.calibration))
    if (few := few_images_note(card.calibration)) is not None:
        note(few)
    if (one_network := one_network_note(card)) is not None:
        note(f"note: {one_network}")
    for warning in data_warnings(card):
        note(f"note: {warning}")
    if (batches := batches_note(fitted.audit, card)) is not None:
        note(f"note: {batches}")
    if (blank := blank_note(fitted.audit)) is not None:
        note(f"note: {blank}")
    name_outliers(fitted.audit.suspects)
    if report is not None:
        write_report(
            report,
            model=fitted.model,
            fitted=fitted.training,
            evaluation=fitted.evaluation,
            audit=fitted.audit,
            good_frames=fitted.held_out,
            notes=() if blank is None else (blank,),
        )
        say(f"{report}: the report")
    print_fitness(assess(card), what_would_help(card, rows))


def name_outliers(suspects: "Sequence[Outlier]") -> None:
    """Name the first of the images that may show no good part."""
    for outlier in suspects[:OUTLIERS_NAMED]:
        far = f"score far above all others ({outlier.deviations:.0f} deviations)"
        note(f"      {outlier.sample.path}: {far}, {outlier.use}")
