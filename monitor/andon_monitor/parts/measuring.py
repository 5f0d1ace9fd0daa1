"""The metrics of parts and their views."""

from andon_monitor.parts.verdict import PartVerdict
from andon_monitor.settings.groups import ANY_PRODUCT, PartsSettings
from andon_monitor.telemetry.catalogue import PART_OUTCOMES
from andon_monitor.telemetry.metrics import Metrics

OTHER_PRODUCTS = "other"


class PartMeasures:
    """Counts parts and views. Only products and views that `parts.views` names become labels."""

    def __init__(self, metrics: Metrics, settings: PartsSettings) -> None:
        self._metrics = metrics
        self._products = frozenset(settings.views) - {ANY_PRODUCT}
        for product in (*sorted(self._products), OTHER_PRODUCTS):
            for outcome in PART_OUTCOMES:
                metrics.parts.labels(product, outcome)
        for names in settings.views.values():
            for name in names:
                metrics.part_missing_views.labels(name)

    def view(self, result: str) -> None:
        """Count a view by what became of it: `telemetry.catalogue.VIEW_RESULTS`."""
        self._metrics.part_views.labels(result).inc()

    def part(self, verdict: PartVerdict) -> None:
        """Count a part, or the correction of one."""
        metrics = self._metrics
        if verdict.revision > 1:
            metrics.part_corrections.inc()
            return
        product = verdict.product if verdict.product in self._products else OTHER_PRODUCTS
        metrics.parts.labels(product, verdict.outcome).inc(exemplar={"part_verdict_id": verdict.id})
        if verdict.reason is not None:
            metrics.incomplete_parts.labels(verdict.reason).inc()
        if verdict.fields["cause"] == "overflow":
            metrics.part_overflows.inc()
        for name in verdict.missing:
            metrics.part_missing_views.labels(name).inc()

    def open_parts(self, number: int) -> None:
        """Show how many parts wait for views."""
        self._metrics.open_parts.set(number)
