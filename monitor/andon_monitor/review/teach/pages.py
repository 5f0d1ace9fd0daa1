"""The page *Teach*: a refit started, watched, judged, taken over or thrown away."""

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from andon_monitor.errors import AndonError, UsageError
from andon_monitor.review import figures
from andon_monitor.review.access import Visitor
from andon_monitor.review.models.line_models import LineFile, LineModels
from andon_monitor.review.models.trial import family
from andon_monitor.review.site import Site, report_response
from andon_monitor.review.teach import plan as files
from andon_monitor.review.teach.gathering import HELD_OUT_OF, Gathered, gather
from andon_monitor.review.teach.job import BUDGETS, Refit
from andon_monitor.settings.groups import ReviewSettings


@dataclass(frozen=True, slots=True)
class Teachable:
    """A model file with what people labelled under its model; `fault` says why it cannot be read."""

    file: LineFile
    gathered: Gathered
    training: Path | None
    fault: str = ""


class TeachPages:
    """The pages of refits."""

    def __init__(self, site: Site, models: LineModels, settings: ReviewSettings) -> None:
        self._site = site
        self._models = models
        self._refit = Refit(site.store.folder, settings)

    def routes(self) -> list[BaseRoute]:
        """Their routes."""
        page, change = self._site.page, self._site.change
        return [
            Route("/teach", page(self._page)),
            Route("/teach/report", page(self._report)),
            Route("/teach/comparison", page(self._comparison)),
            Route("/teach/start", change(self._start, "change"), methods=["POST"]),
            Route("/teach/stop", change(self._stop, "change"), methods=["POST"]),
            Route("/teach/discard", change(self._discard, "change"), methods=["POST"]),
            Route("/teach/take-over", change(self._take_over, "change"), methods=["POST"]),
        ]

    def _page(self, request: Request, visitor: Visitor) -> Response:
        state = self._refit.state()
        return self._site.render(
            request,
            visitor,
            "teach.html.jinja",
            state=state,
            unavailable=self._refit.unavailable,
            other=self._refit.other,
            files=[self._teachable(file) for file in self._models.files] if state.phase == "none" else [],
            cores=self._refit.cores,
            budgets=BUDGETS,
            held_out_of=HELD_OUT_OF,
            four_eyes=self._models.four_eyes,
        )

    def _teachable(self, file: LineFile) -> Teachable:
        training = None
        if not self._refit.unavailable:
            training = self._refit.training(file.name, len(self._models.files))
        try:
            return Teachable(file, self._gather(file), training)
        except AndonError as error:
            return Teachable(file, Gathered((), ()), training, str(error))

    def _gather(self, file: LineFile) -> Gathered:
        """What was labelled under the model of a file, whatever its threshold was."""
        sha256 = self._models.read(file).sha256
        known = figures.known_models(self._site.store)
        chosen = next((model for model in known if model.sha256 == sha256), None)
        return gather(self._site.store, [sha256] if chosen is None else family(known, chosen))

    def _start(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        file = self._models.find(fields.get("file", ""))
        if self._refit.unavailable:
            raise UsageError(self._refit.unavailable)
        training = self._refit.training(file.name, len(self._models.files))
        now = self._models.read(file)
        self._refit.start(
            self._site.store, file, now, self._gather(file), training, fields.get("budget", ""), visitor.name
        )
        return "/teach"

    def _stop(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        self._refit.stop()
        return "/teach"

    def _discard(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        self._refit.discard()
        return "/teach"

    def _take_over(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        plan = self._refit.state().plan
        content = self._refit.content()
        assert plan is not None
        why = fields.get("why", "")
        self._models.take_over(plan.file, plan.sha256, content, "refit", visitor.name, why)
        self._refit.discard()
        return "/models"

    def _report(self, request: Request, visitor: Visitor) -> Response:
        return report_response(self._refit.folder / files.REPORT)

    def _comparison(self, request: Request, visitor: Visitor) -> Response:
        return report_response(self._refit.folder / files.COMPARISON)
