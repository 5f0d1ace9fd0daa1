"""What the report shows of the images that were learned from: near-twins, exposure, sharpness, how parts lie."""

from collections.abc import Sequence
from dataclasses import dataclass

from andon_monitor.model.card import InputSpec
from andon_monitor.model.heatmap import data_uri
from markupsafe import Markup

from andon_trainer.data.audit import Audit, Measured
from andon_trainer.data.dataset import Sample, load_image
from andon_trainer.report import plots

GROUPS_SHOWN = 6  # groups of near-twins
TWINS_SHOWN = 4  # of each group
ODD_NAMED = 8


@dataclass(frozen=True)
class TwinGroup:
    """Near-twins: names and pictures (data URIs) of the first, and how many there are."""

    count: int
    names: tuple[str, ...]
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class Quantity:
    """How a quantity is spread over the images, and the names of those that are far from the others."""

    title: str
    about: str
    plot: Markup
    odd: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Learned:
    """The section's content, but for the pictures of suspects, which look like the gallery's."""

    twins: tuple[TwinGroup, ...]
    groups: int
    in_groups: int
    copies: int
    tested: int
    tested_twins: tuple[str, ...]
    quantities: tuple[Quantity, ...]


def learned(audit: Audit, spec: InputSpec) -> Learned:
    """Gather it. Raises UsageError where an image cannot be read any more."""
    quantities = [
        _quantity("Exposure", "Mean grey value, in per cent of white.", "brightness", audit.brightness, 100),
        _quantity("Sharpness", "Variance of the Laplacian, squared grey levels.", "sharpness", audit.sharpness, 1),
    ]
    if audit.shift is not None and audit.turn is not None:
        about = "How far parts lie from their mean place, in per cent of the frame's longer side. It is undone."
        quantities.append(_quantity("Shift", about, "shift", audit.shift, 100))
        about = "How far parts are turned, in degrees counter-clockwise. It is undone."
        quantities.append(_quantity("Turn", about, "turn", audit.turn, 1))
    return Learned(
        twins=tuple(_group(group, spec) for group in audit.twins[:GROUPS_SHOWN]),
        groups=len(audit.twins),
        in_groups=sum(len(group) for group in audit.twins),
        copies=audit.copies,
        tested=audit.tested,
        tested_twins=tuple(sample.path.name for sample in audit.tested_twins),
        quantities=tuple(quantities),
    )


def _group(samples: Sequence[Sample], spec: InputSpec) -> TwinGroup:
    shown = samples[:TWINS_SHOWN]
    pictures = tuple(data_uri(load_image(sample.path, spec)) for sample in shown)
    return TwinGroup(len(samples), tuple(sample.path.name for sample in shown), pictures)


def _quantity(title: str, about: str, label: str, measured: Measured, scale: float) -> Quantity:
    odd = [odd.value * scale for odd in measured.odd]
    names = tuple(
        f"{odd.sample.path.name} ({value:.3g})" for odd, value in zip(measured.odd[:ODD_NAMED], odd, strict=False)
    )
    return Quantity(title, about, plots.spread(measured.values * scale, odd, label), len(odd), names)
