"""The page *Compare*: two models on a recording, chosen, watched, and what differs."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from andon_monitor.errors import UsageError
from andon_monitor.review import figures
from andon_monitor.review.access import Visitor
from andon_monitor.review.figures import KnownModel
from andon_monitor.review.models.comparing import REPORT, Comparing
from andon_monitor.review.models.line_models import LineModels
from andon_monitor.review.recordings import choose_recording, find_recordings
from andon_monitor.review.site import Site, report_response


class ComparePages:
    """The pages of comparisons."""

    def __init__(self, site: Site, models: LineModels) -> None:
        self._site = site
        self._models = models
        self._comparing = Comparing(site.store, site.settings)

    def routes(self) -> list[BaseRoute]:
        """Their routes."""
        page, change = self._site.page, self._site.change
        return [
            Route("/compare", page(self._page)),
            Route("/compare/report", page(self._report)),
            Route("/compare/start", change(self._start, "change"), methods=["POST"]),
            Route("/compare/stop", change(self._stop, "change"), methods=["POST"]),
        ]

    def _page(self, request: Request, visitor: Visitor) -> Response:
        models = self._kept()
        on_line = self._models.contents()
        old = next((model.sha256 for model in models if model.sha256 in on_line), "")
        new = next((model.sha256 for model in models if model.sha256 != old), "")
        return self._site.render(
            request,
            visitor,
            "compare.html.jinja",
            state=self._comparing.state(),
            unavailable=self._comparing.unavailable,
            cores=self._comparing.cores,
            models=models,
            on_line=on_line,
            chosen={"old": request.query_params.get("old") or old, "new": request.query_params.get("new") or new},
            recordings=find_recordings(self._site.settings.recordings),
        )

    def _kept(self) -> list[KnownModel]:
        """The models whose files are kept, the newest first."""
        store = self._site.store
        return [model for model in figures.known_models(store) if store.model_files.has(model.sha256)]

    def _start(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        names = {model.sha256: model.alias for model in self._kept()}
        chosen = [fields.get(name, "") for name in ("old", "new")]
        for sha256 in chosen:
            if sha256 not in names:
                raise UsageError(f"model {sha256[:12]!r} is not kept; load the page again")
        recording = choose_recording(self._site.settings.recordings, fields.get("recording", ""))
        old, new = ((names[sha256], sha256) for sha256 in chosen)
        self._comparing.start(old, new, recording, visitor.name)
        return "/compare"

    def _stop(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        self._comparing.stop()
        return "/compare"

    def _report(self, request: Request, visitor: Visitor) -> Response:
        return report_response(self._comparing.folder / REPORT)
