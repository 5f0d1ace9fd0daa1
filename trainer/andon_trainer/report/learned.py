"""What the report shows of the training images: photographs of the same part, exposure, sharpness, position."""

from collections.abc import Sequence
from dataclasses import dataclass

from andon_monitor.model.card import Card, InputSpec
from andon_monitor.model.heatmap import data_uri
from markupsafe import Markup

from andon_trainer.data.audit import Audit, Measured
from andon_trainer.data.images import ALREADY_DECODED, load_image
from andon_trainer.data.sample import Sample
from andon_trainer.report import plots
from andon_trainer.report.advice import batch_name, batches_note

GROUPS_SHOWN = 6  # of images of the same part
IMAGES_SHOWN = 4  # of each group
OUTLIERS_NAMED = 8  # of each quantity
BATCHES_SHOWN = 30


@dataclass(frozen=True)
class SamePart:
    """Images of the same part: how many there are, and names and pictures (data URIs) of the first."""

    count: int
    names: tuple[str, ...]
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class Quantity:
    """The distribution of a quantity over the images, and the names of outliers."""

    title: str
    about: str
    plot: Markup
    outliers: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class BatchRow:
    """A batch of good parts, as `data.batches.Batch` has it."""

    name: str
    images: int
    median: float
    flagged: int
    share: float


@dataclass(frozen=True)
class Learned:
    """The content of the section, without the pictures of suspects, which are like those of the gallery."""

    same_part: tuple[SamePart, ...]
    groups: int
    in_groups: int
    copies: int
    tested: int
    tested_same_part: tuple[str, ...]
    quantities: tuple[Quantity, ...]
    batches: tuple[BatchRow, ...]  # those of which most is flagged, at most `BATCHES_SHOWN`
    all_batches: int
    batches_note: str | None


def learned(audit: Audit, card: Card) -> Learned:
    """Gather the content of the section. Raises UsageError where an image cannot be read any more."""
    spec = card.input
    by_share = sorted(audit.batches.each if audit.batches else (), key=lambda batch: -batch.share)
    quantities = [
        _quantity("Exposure", "Mean grey level, in per cent of white.", "brightness", audit.brightness, 100),
        _quantity("Sharpness", "Variance of the Laplacian, in squared grey levels.", "sharpness", audit.sharpness, 1),
    ]
    if audit.shift is not None and audit.turn is not None:
        about = "Distance from the mean position, in per cent of the image's longer side. The model corrects this."
        quantities.append(_quantity("Shift", about, "shift", audit.shift, 100))
        about = "Angle in degrees, counter-clockwise. The model corrects this."
        quantities.append(_quantity("Turn", about, "turn", audit.turn, 1))
    return Learned(
        same_part=tuple(_group(group, spec) for group in audit.near_duplicates[:GROUPS_SHOWN]),
        groups=len(audit.near_duplicates),
        in_groups=sum(len(group) for group in audit.near_duplicates),
        copies=audit.copies,
        tested=audit.tested,
        tested_same_part=tuple(sample.path.name for sample in audit.tested_near_duplicates),
        quantities=tuple(quantities),
        batches=tuple(
            BatchRow(batch_name(batch), batch.images, batch.median, batch.flagged, batch.share)
            for batch in sorted(by_share[:BATCHES_SHOWN], key=lambda batch: batch.name)
        ),
        all_batches=len(by_share),
        batches_note=batches_note(audit, card),
    )


def _group(samples: Sequence[Sample], spec: InputSpec) -> SamePart:
    shown = samples[:IMAGES_SHOWN]
    pictures = tuple(data_uri(load_image(sample.path, spec, ALREADY_DECODED)) for sample in shown)
    return SamePart(len(samples), tuple(sample.path.name for sample in shown), pictures)


def _quantity(title: str, about: str, label: str, measured: Measured, scale: float) -> Quantity:
    values = [outlier.value * scale for outlier in measured.outliers]
    names = tuple(
        f"{outlier.sample.path.name} ({value:.3g})"
        for outlier, value in zip(measured.outliers[:OUTLIERS_NAMED], values, strict=False)
    )
    plot = plots.distribution(measured.values * scale, values, label)
    return Quantity(title, about, plot, len(values), names)
