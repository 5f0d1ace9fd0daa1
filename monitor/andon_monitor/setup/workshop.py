"""What the pages of a set-up share: drafts, lines, jobs, the models of drafts, and who may do it."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from andon_monitor.common.cores import available_cores
from andon_monitor.errors import AndonError
from andon_monitor.image_files.decoding import DecodingLimits
from andon_monitor.review.access import Visitor
from andon_monitor.review.figures import KnownModel
from andon_monitor.review.fits import SETUPS, Fits
from andon_monitor.review.models.line_models import LineFile, LineModels, try_notice
from andon_monitor.review.site import Endpoint, Site
from andon_monitor.review.store import Store
from andon_monitor.review.teach.job import missing_trainer
from andon_monitor.settings.groups import Settings
from andon_monitor.setup.deploying import Deployer
from andon_monitor.setup.draft import FITTED, MODEL, STEPS, DraftFolder, Drafts
from andon_monitor.setup.inspections import Inspections
from andon_monitor.setup.jobs import Kind, SetupJob
from andon_monitor.setup.lines import Lines

TRIAL_STORE = "trial/store"


class Workshop:
    """The common parts."""

    def __init__(
        self, site: Site, models: LineModels, settings: Settings, lines: Lines, inspections: Inspections
    ) -> None:
        self.site = site
        self.models = models
        self.settings = settings
        self.review = settings.review
        self.lines = lines
        self.inspections = inspections
        self.drafts = Drafts(site.store.folder / SETUPS)
        self.fits = Fits(site.store.folder)
        self.deployer = Deployer(site.store.folder / "proposals", site.store, lines, models)
        self.cores = self.review.fit_cores or max(1, available_cores() // 2)
        self.limits = DecodingLimits(settings.inspection.max_pixels, settings.inspection.max_decoding_bytes)
        self._trials: dict[Path, Store] = {}
        site.add_templates("andon_monitor.setup")
        site.add_templates("andon_monitor.draw")
        self.add_known_models()

    @property
    def missing_trainer(self) -> str:
        """Why nothing can be fitted here, "" where it can."""
        return missing_trainer()

    def add_known_models(self) -> None:
        """Count the model files of all lines among those of the page."""
        for name in self.lines.names():
            try:
                settings = self.lines.read(name).settings
            except AndonError:  # the line's own page says what is wrong
                continue
            for recipe in settings.recipes:
                self.models.add_file(LineFile(recipe.name or recipe.model.stem, recipe.model))
        try_notice(self.models, strict=False)

    def job(self, draft: DraftFolder, kind: Kind) -> SetupJob:
        """A job of a draft."""
        return SetupJob(draft.path, kind, self.cores)

    def model(self, draft: DraftFolder) -> KnownModel | None:
        """The model of a draft: with the rate that was chosen, else as it was fitted; None where there is none."""
        name = MODEL if draft.is_rated() else FITTED
        if not draft.has(name):
            return None
        content = self.models.read(LineFile(draft.name, draft.path / name))
        return KnownModel(content.sha256, draft.name, content.card)

    def trial_store(self, draft: DraftFolder) -> Store | None:
        """What a trial found, None where none was made."""
        folder = draft.path / TRIAL_STORE
        if not (folder / "review.sqlite").is_file():
            self._trials.pop(folder, None)
            return None
        if folder not in self._trials:
            self._trials[folder] = Store(folder, self.review)
        return self._trials[folder]

    def forget_trial(self, draft: DraftFolder) -> None:
        """Close what a trial found, before it is deleted."""
        self._trials.pop(draft.path / TRIAL_STORE, None)

    def note(self, visitor: Visitor, file: str, what: str, content: bytes) -> None:
        """Write a step of a set-up into the history: what it changed, and a fingerprint of that."""
        new = hashlib.sha256(content).hexdigest()
        with self.site.store.changes.adding(visitor.name, "applied", "set up", file, None, new, what):
            pass

    def page(self, fill: Callable[[Request, Visitor], Response]) -> Endpoint:
        """The endpoint of a page for those who may change."""

        def answer(request: Request, visitor: Visitor) -> Response:
            if not visitor.may_change:
                return PlainTextResponse(f"{visitor.name} may not set up lines (review.changers)\n", 403)
            try:
                return fill(request, visitor)
            except AndonError as error:
                return self.site.render(request, visitor, "message.html.jinja", status=404, message=str(error))

        return self.site.page(answer)

    def render(self, request: Request, visitor: Visitor, name: str, **values: Any) -> Response:
        """A page from a template."""
        return self.site.render(request, visitor, name, now=time.time(), **values)

    def render_step(
        self, request: Request, visitor: Visitor, folder: DraftFolder, step: str, **values: Any
    ) -> Response:
        """The page of a step, with the way to the others."""
        facts: dict[str, Any] = {"draft": folder.read(), "done": folder.done(), "steps": STEPS, "step": step}
        facts["is_stale"] = folder.is_stale()
        return self.render(request, visitor, f"setup_{step}.html.jinja", **facts, **values)
