"""The sink of evidence: explains the frames that people are to see and hands them on, within a rate."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import numpy as np

from andon_monitor.evidence.sampling import Sampler
from andon_monitor.formats.evidence_package import pack
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.settings.groups import EvidenceSettings
from andon_monitor.telemetry.metrics import Metrics

log = logging.getLogger("andon")

Packages = Sequence[tuple[Inspection, bytes]]


class Destination(Protocol):
    """Where evidence goes."""

    limit: int  # bytes of one package, at most

    def send(self, inspections: Sequence[Inspection], packages: Packages) -> None:
        """Return once the packages are durable. `inspections` are all of the group. Raises OutputError."""

    def close(self) -> None:
        """Let go."""


class EvidenceSink:
    """Sends a package for each frame that `Sampler` chooses. What is left out is counted, by kind and reason.

    The model computes its other outputs for these frames alone, on this thread.
    """

    def __init__(self, destination: Destination, settings: EvidenceSettings, metrics: Metrics) -> None:
        self._destination = destination
        self._sampler = Sampler(settings)
        self._metrics = metrics

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Send what is to be seen of `inspections`, and return once it is durable."""
        packages = [(inspection, data) for inspection in inspections for data in self._packed(inspection)]
        self._destination.send(inspections, packages)

    def close(self, complete: bool) -> None:
        """Let go of the destination."""
        self._destination.close()

    def _packed(self, inspection: Inspection) -> list[bytes]:
        """The package, or nothing."""
        model, pixels = inspection.model, inspection.prepared.pixels
        assert model is not None  # the pipeline says which one
        kind = self._sampler.kind(inspection.verdict, model.card.calibration.p_value(inspection.verdict.threshold))
        if kind is None:
            return []
        skipped = partial(self._metrics.evidence_skipped.labels, kind)
        if not self._sampler.within_rate(kind):
            skipped("rate").inc()
            return []
        assert pixels is not None  # it has a score
        try:
            said = model.explain(pixels[np.newaxis])
        except Exception as error:  # one frame's surprise must not end the stream; its verdict stands
            log.warning("no evidence of %s: %s: %s", inspection.verdict.id, type(error).__name__, error)
            skipped("failed").inc()
            return []
        data = pack(
            kind,
            inspection.verdict.to_json(),
            model.card.input,
            inspection.frame.data,
            said.anomaly_map[0],
            said.reconstruction[0],
        )
        if len(data) > self._destination.limit:
            skipped("too_large").inc()
            return []
        self._metrics.evidence.labels(kind).inc()
        return [data]
