"""The set-up of lines as a part of the review page, where the settings ask for it."""

from collections.abc import Sequence
from pathlib import Path

from starlette.routing import BaseRoute

from andon_monitor.review.app import MorePages
from andon_monitor.review.models.line_models import LineModels
from andon_monitor.review.site import Site
from andon_monitor.review.worker import Worker
from andon_monitor.settings.groups import Settings
from andon_monitor.setup.inspections import Inspections
from andon_monitor.setup.line_pages import LinePages
from andon_monitor.setup.lines import Lines
from andon_monitor.setup.pages import SetupPages
from andon_monitor.setup.workshop import Workshop


def setup_of(settings: Settings) -> tuple[MorePages | None, Sequence[Worker]]:
    """Makes the pages, and what works in the background for them; nothing where `review.lines` is not given."""
    review = settings.review
    if review.lines is None or review.store is None:
        return None, ()
    lines = Lines(review.lines)
    inspections = Inspections(runs_folder(review.store), lines)

    def pages(site: Site, models: LineModels) -> Sequence[BaseRoute]:
        shop = Workshop(site, models, settings, lines, inspections)
        return [*SetupPages(shop).routes(), *LinePages(shop).routes()]

    return pages, (Worker("inspections", inspections.follow),)


def runs_folder(store: Path) -> Path:
    """Where the inspections keep their logs."""
    return store / "inspections"
