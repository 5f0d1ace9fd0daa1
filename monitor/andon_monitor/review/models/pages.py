"""The pages *Model* and *Models*: a threshold tried and applied, models in use, their history, and the way back."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from andon_monitor.errors import AndonError, UsageError
from andon_monitor.model.card import Card
from andon_monitor.review import card_words, drawing, figures
from andon_monitor.review.access import Visitor
from andon_monitor.review.filters import parse_number
from andon_monitor.review.models.line_models import LineFile, LineModels
from andon_monitor.review.models.trial import PERIODS, RATES, UNITS, family, read_asked, try_threshold
from andon_monitor.review.site import Site
from andon_monitor.review.store.rows import ModelUse

HISTORY_SHOWN = 50


@dataclass(frozen=True, slots=True)
class FileState:
    """A model file of the line: what it holds, or why that cannot be read, and the cameras that use it.

    `waiting`: cameras whose newest verdict is of an earlier content of this file.
    """

    file: LineFile
    sha256: str
    card: Card | None
    fault: str
    using: list[ModelUse]
    waiting: list[ModelUse]
    undoable: int | None  # number of the change that can be undone


class ModelPages:
    """The pages of the models of a line."""

    def __init__(self, site: Site, models: LineModels) -> None:
        self._site = site
        self._store = site.store
        self._models = models

    def routes(self) -> list[BaseRoute]:
        """Their routes."""
        page, change = self._site.page, self._site.change
        return [
            Route("/model", page(self._model)),
            Route("/models", page(self._list)),
            Route("/models/{sha256}.onnx", page(self._download)),
            Route("/models/threshold", change(self._apply, "change"), methods=["POST"]),
            Route("/models/roll-back", change(self._roll_back, "change"), methods=["POST"]),
            Route("/models/undo", change(self._undo, "change"), methods=["POST"]),
            Route("/models/answer", change(self._answer, "change"), methods=["POST"]),
        ]

    def _model(self, request: Request, visitor: Visitor) -> Response:
        models = figures.known_models(self._store)
        states = self._states()
        present = {state.sha256: state for state in states if state.card is not None}
        wanted = request.query_params.get("sha256", "")
        by_sha256 = {model.sha256: model for model in models}
        first = next((sha256 for sha256 in present if sha256 in by_sha256), None)
        chosen = by_sha256.get(wanted) or by_sha256.get(first or "") or (models[0] if models else None)
        values: dict[str, Any] = {"models": models, "chosen": chosen, "weeks": figures.count_weeks(self._store)}
        if chosen is not None:
            cameras = self._store.verdicts.cameras(drawing.MAX_CHOICES)[0]
            asked = read_asked(dict(request.query_params), sorted(cameras))
            tried = try_threshold(self._store, chosen, family(models, chosen), asked)
            values |= {
                "asked": asked,
                "tried": tried,
                "state": present.get(chosen.sha256),
                "overrides": self._overrides(chosen),
                "cameras": sorted(cameras),
                "periods": PERIODS,
                "units": UNITS,
                "rates": RATES,
                "four_eyes": self._models.four_eyes,
                "examples": figures.find_examples(self._store, chosen.sha256),
                "metrics": card_words.describe_metrics(chosen.card),
            }
        return self._site.render(request, visitor, "model.html.jinja", **values)

    def _list(self, request: Request, visitor: Visitor) -> Response:
        models = figures.known_models(self._store)
        history = self._store.changes.newest(HISTORY_SHOWN)
        return self._site.render(
            request,
            visitor,
            "model_list.html.jinja",
            states=self._states(),
            uses=self._store.verdicts.uses(),
            models=models,
            names={model.sha256: model for model in models},
            kept={model.sha256 for model in models if self._store.model_files.has(model.sha256)},
            pending=self._store.changes.pending(),
            history=history,
            four_eyes=self._models.four_eyes,
        )

    def _download(self, request: Request, visitor: Visitor) -> Response:
        sha256 = request.path_params["sha256"]
        if not visitor.may_change:
            return PlainTextResponse(f"{visitor.name} may not download models (review.changers)\n", 403)
        try:
            content = self._store.model_files.read(sha256)
        except UsageError as error:
            return PlainTextResponse(f"{error}\n", 404)
        headers = {"content-disposition": f'attachment; filename="{sha256[:12]}.onnx"'}
        return Response(content, media_type="application/octet-stream", headers=headers)

    def _apply(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        rate = parse_number(fields.get("rate", ""))
        if rate is None:
            raise UsageError("no false-alarm rate; load the page again")
        name, expected = fields.get("file", ""), fields.get("sha256", "")
        self._models.change_rate(name, expected, rate, visitor.name, fields.get("why", ""))
        return "/models"

    def _roll_back(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        name, expected = fields.get("file", ""), fields.get("expected", "")
        why = fields.get("why", "") or "rolled back"
        self._models.install(name, expected, fields.get("sha256", ""), "roll back", visitor.name, why)
        return "/models"

    def _undo(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        self._models.undo(_number(fields), visitor.name)
        return "/models"

    def _answer(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        self._models.answer(_number(fields), fields.get("answer") == "apply", visitor.name)
        return "/models"

    def _states(self) -> list[FileState]:
        uses = self._store.verdicts.uses()
        return [self._state(file, uses) for file in self._models.files]

    def _state(self, file: LineFile, uses: list[ModelUse]) -> FileState:
        try:
            now = self._models.read(file)
        except AndonError as error:
            return FileState(file, "", None, str(error), [], [], None)
        earlier = {change.new for change in self._store.changes.newest(HISTORY_SHOWN, file.name)} - {now.sha256}
        last = self._store.changes.installed(file.name)
        undoable = last is not None and last.new == now.sha256 and last.old is not None
        kept = undoable and self._store.model_files.has(last.old or "") if last else False
        return FileState(
            file=file,
            sha256=now.sha256,
            card=now.card,
            fault="",
            using=[use for use in uses if use.sha256 == now.sha256],
            waiting=[use for use in uses if use.sha256 in earlier],
            undoable=last.number if last is not None and kept else None,
        )

    def _overrides(self, chosen: figures.KnownModel) -> list[ModelUse]:
        """Cameras whose settings override the model's threshold: another threshold in the file does not reach them."""
        own = chosen.card.threshold
        uses = self._store.verdicts.uses()
        return [use for use in uses if use.sha256 == chosen.sha256 and abs(use.threshold - own) > 1e-6 * abs(own)]


def _number(fields: dict[str, str]) -> int:
    text = fields.get("number", "")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError("no such change; load the page again")
    return int(text)
