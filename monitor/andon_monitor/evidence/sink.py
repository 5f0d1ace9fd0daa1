"""The sink of evidence: explains the frames that people are shown, and sends them."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import numpy as np

from andon_monitor.common.process import Ending
from andon_monitor.evidence.sampling import Sampler
from andon_monitor.formats.evidence_package import pack
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.settings.groups import EvidenceSettings
from andon_monitor.telemetry.metrics import Metrics

log = logging.getLogger("andon")

Packages = Sequence[tuple[Inspection, bytes]]


class Destination(Protocol):
    """Where evidence goes: a topic, or the store of a review page."""

    limit: int  # bytes of the largest package

    def send(self, inspections: Sequence[Inspection], packages: Packages) -> None:
        """Send the packages; return once they are durable. `inspections`: all of the group. Raises OutputError."""

    def close(self) -> None:
        """Close the destination."""


class EvidenceSink:
    """Sends a package for each frame that `Sampler` chooses, and counts those left out by kind and reason.

    The model computes anomaly maps and reconstructions for these frames only, on this thread.
    """

    def __init__(self, destination: Destination, settings: EvidenceSettings, metrics: Metrics) -> None:
        self._destination = destination
        self._sampler = Sampler(settings)
        self._metrics = metrics

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Send the evidence of `inspections`; return once it is durable. Raises OutputError, having counted it."""
        packed = [package for inspection in inspections if (package := self._pack(inspection)) is not None]
        try:
            self._destination.send(inspections, [(inspection, data) for _, inspection, data in packed])
        except Exception:
            for kind, _, _ in packed:
                self._metrics.evidence_skipped.labels(kind, "failed").inc()
            raise
        for kind, _, _ in packed:
            self._metrics.evidence.labels(kind).inc()

    def close(self, ending: Ending) -> None:
        """Close the destination."""
        self._destination.close()

    def _pack(self, inspection: Inspection) -> tuple[str, Inspection, bytes] | None:
        """The kind of evidence and the package; None where the frame is not sent."""
        model, pixels = inspection.model, inspection.prepared.pixels
        if model is None:  # it met none
            return None
        kind = self._sampler.kind(inspection.verdict, model.card.calibration.p_value(inspection.verdict.threshold))
        if kind is None:
            return None
        skipped = partial(self._metrics.evidence_skipped.labels, kind)
        if not self._sampler.within_rate(kind):
            skipped("rate").inc()
            return None
        assert pixels is not None  # it has a score
        try:
            explanation = model.explain(pixels[np.newaxis])
        except Exception as error:  # one frame must not end the run; it has its verdict
            log.warning("no evidence for verdict %s: %s: %s", inspection.verdict.id, type(error).__name__, error)
            skipped("failed").inc()
            return None
        data = pack(
            kind,
            inspection.verdict.to_json(),
            model.card.input,
            inspection.frame.data,
            explanation.anomaly_map[0],
            explanation.reconstruction[0],
        )
        if len(data) > self._destination.limit:
            skipped("too_large").inc()
            return None
        return kind, inspection, data
