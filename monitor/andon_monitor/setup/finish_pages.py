"""The last steps of a set-up as pages: fit, report, rate, a trial in shadow, and the deployment."""

import shutil
import time
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from andon_monitor.common.files import write_whole
from andon_monitor.errors import OutputError, UsageError
from andon_monitor.model.recalibration import with_rate
from andon_monitor.review import card_words, drawing, live
from andon_monitor.review.access import Visitor
from andon_monitor.review.filters import parse_number
from andon_monitor.review.fits import IMAGES
from andon_monitor.review.models.trial import PERIODS, RATES, UNITS, read_asked, try_threshold
from andon_monitor.review.site import report_response
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery
from andon_monitor.review.teach.job import BUDGETS, FREE_BYTES
from andon_monitor.setup.deploying import LineChange
from andon_monitor.setup.draft import FITTED, MASK, MODEL, REPORT, DraftFolder, check_name
from andon_monitor.setup.lines import add_recipe, digest, new_text, with_recipes
from andon_monitor.setup.shadows import Shadows
from andon_monitor.setup.workshop import TRIAL_STORE, Workshop

MIN_IMAGES = 20  # good parts that a fit is started with
TRIAL_SHOWN = 12  # pictures of a trial
MAX_PATTERN = 200  # characters

Fill = Callable[[Request, Visitor], Response]
Act = Callable[[Request, dict[str, str], Visitor], str]


class FinishPages:
    """The steps from the fit on."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._shadows = Shadows(shop)

    def pages(self) -> dict[str, Fill]:
        """The page of each step."""
        return {"fit": self._fit, "report": self._report, "rate": self._rate, "deploy": self._deploy}

    def forms(self) -> dict[str, Act]:
        """What each form does."""
        return {
            "fit": self._start_fit,
            "rate": self._choose_rate,
            "trial": self._start_trial,
            "deploy": self._start_deployment,
            "shadow": self._shadows.start,
        }

    def routes(self) -> list[BaseRoute]:
        """Routes of what the pages show."""
        page = self._shop.page
        return [
            Route("/setup/{name}/report.html", page(self._report_file)),
            Route("/setup/{name}/trial/{frame}", page(self._trial_picture)),
        ]

    # Fit

    def _fit(self, request: Request, visitor: Visitor) -> Response:
        shop, draft = self._shop, self._draft(request)
        return shop.render_step(
            request,
            visitor,
            draft,
            "fit",
            job=shop.job(draft, "fit").state(),
            other=shop.fits.other(shop.job(draft, "fit").folder),
            unavailable=shop.missing_trainer,
            total=len(draft.images()),
            min_images=MIN_IMAGES,
            budgets=BUDGETS,
            cores=shop.cores,
            has_mask=draft.has(MASK),
        )

    def _start_fit(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        shop, draft = self._shop, self._draft(request)
        budget = fields.get("budget", "")
        if shop.missing_trainer:
            raise UsageError(shop.missing_trainer)
        if budget not in BUDGETS:
            raise UsageError(f"budget {budget[:20]!r}: give one of {', '.join(BUDGETS)}")
        if len(draft.images()) < MIN_IMAGES:
            raise UsageError(f"{len(draft.images())} images of good parts: collect {MIN_IMAGES} at least")
        if shop.job(draft, "collect").state().is_running:
            raise UsageError("images are being collected; stop that first")
        if shutil.disk_usage(draft.path).free < FREE_BYTES + shop.review.keep_free:
            raise OutputError(f"{draft.path}: less than {FREE_BYTES / 1e9:g} GB free for a fit (review.keep_free)")
        options = ["--mask", str(draft.path / MASK)] if draft.has(MASK) else []
        arguments = ["fit", str(draft.path / IMAGES), "-o", str(draft.path / FITTED)]
        arguments += ["--report", str(draft.path / REPORT), "--name", draft.name, "--budget", budget]
        arguments += ["--threads", str(shop.cores), *options, *shop.review.fit_options]
        fit = shop.job(draft, "fit")
        with shop.fits.turn(fit.folder):
            shop.job(draft, "look").stop_if_running()
            fit.start(visitor.name, arguments)
        shop.note(visitor, f"{draft.name}/fit", f"fit begun, {budget} at most", " ".join(arguments).encode())
        return f"/setup/{draft.name}/fit"

    # Report

    def _report(self, request: Request, visitor: Visitor) -> Response:
        draft = self._draft(request)
        model = self._shop.model(draft)
        metrics = [] if model is None else card_words.describe_metrics(model.card)
        return self._shop.render_step(
            request, visitor, draft, "report", model=model, metrics=metrics, has_report=draft.has(REPORT)
        )

    def _report_file(self, request: Request, visitor: Visitor) -> Response:
        return report_response(self._draft(request).path / REPORT)

    # Rate

    def _rate(self, request: Request, visitor: Visitor) -> Response:
        shop, draft = self._shop, self._draft(request)
        model = shop.model(draft)
        values: dict[str, Any] = {"model": model}
        if model is not None:
            store = shop.trial_store(draft) or shop.site.store
            weights = model.card.weights_sha256
            family = [known.sha256 for known in store.models.newest(20) if weights in known.card] or [model.sha256]
            cameras = sorted(store.verdicts.cameras(drawing.MAX_CHOICES)[0]) if store is not shop.site.store else []
            asked = read_asked(dict(request.query_params), cameras)
            values |= {
                "asked": asked,
                "tried": try_threshold(store, model, family, asked),
                "card": model.card,
                "units": UNITS,
                "rates": RATES,
                "periods": PERIODS,
                "chosen": draft.is_rated(),
            }
        return shop.render_step(request, visitor, draft, "rate", **values)

    def _choose_rate(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        draft = self._draft(request)
        rate = parse_number(fields.get("rate", ""))
        if rate is None:
            raise UsageError("no false-alarm rate; load the page again")
        if not draft.has(FITTED):
            raise UsageError("fit a model first")
        content, _ = with_rate((draft.path / FITTED).read_bytes(), draft.name, rate)
        write_whole(draft.path / MODEL, content)
        self._shop.note(visitor, f"{draft.name}/rate", f"false-alarm rate {rate:g}", content)
        return f"/setup/{draft.name}/deploy"

    # Try and deploy

    def _deploy(self, request: Request, visitor: Visitor) -> Response:
        shop, draft = self._shop, self._draft(request)
        store = shop.trial_store(draft)
        seen = [] if store is None else live.cameras(store).shown
        facts = draft.read()
        line = facts.line or draft.name
        return shop.render_step(
            request,
            visitor,
            draft,
            "deploy",
            model=shop.model(draft) if draft.is_rated() else None,
            trial=shop.job(draft, "trial").state(),
            cameras=seen,
            curves={camera.name: drawing.curve(camera.ratios, live.CURVE_VERDICTS) for camera in seen},
            frames=[] if store is None else _pictures(store),
            line=line,
            lines=shop.lines.names(),
            recipes=self._shadows.choices(draft),
            pending=shop.deployer.pending(line),
            four_eyes=shop.models.four_eyes,
            inspection=shop.inspections.state(line) if shop.lines.has(line) else None,
        )

    def _start_trial(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        shop, draft = self._shop, self._draft(request)
        if not draft.is_rated():
            raise UsageError("choose a rate first")
        job = shop.job(draft, "trial")
        job.stop_if_running()
        shop.job(draft, "look").stop_if_running()
        shop.forget_trial(draft)
        shutil.rmtree(draft.path / TRIAL_STORE, ignore_errors=True)
        groups = draft.source()
        groups["model"] = {"path": str(draft.path / MODEL), "alias": draft.name, "threads": 1}
        # Nothing acts on these verdicts: they go to a store of the trial alone.
        groups["output"] = {"evidence": str(draft.path / TRIAL_STORE), "verdicts": "/dev/null"}
        path = draft.write_settings("trial.yaml", groups)
        job.start(visitor.name, ["run", "--config", str(path), "--no-server"])
        shop.note(visitor, f"{draft.name}/trial", "trial begun", (draft.path / MODEL).read_bytes())
        return f"/setup/{draft.name}/deploy"

    def _trial_picture(self, request: Request, visitor: Visitor) -> Response:
        store = self._shop.trial_store(self._draft(request))
        content = None if store is None else store.thumbnail(request.path_params["frame"])
        if content is None:
            return PlainTextResponse("no such picture\n", 404)
        return Response(content, media_type="image/jpeg")

    def _start_deployment(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        shop, draft = self._shop, self._draft(request)
        name = fields.get("line", "").strip() or draft.name
        check_name(name)
        if not draft.is_rated():
            raise UsageError("choose a rate first")
        recipe: dict[str, Any] = {"name": draft.name}
        for key in ("camera", "product"):
            pattern = fields.get(key, "").strip()[:MAX_PATTERN]
            if pattern and pattern != "*":
                recipe[key] = pattern
        recipe["model"] = str(shop.lines.model_path(draft.name))
        base, text = self._changed(draft, name, recipe)
        change = LineChange(
            line=name,
            base=base,
            text=text,
            who=visitor.name,
            why=fields.get("why", ""),
            recipe=draft.name,
            model=shop.deployer.keep((draft.path / MODEL).read_bytes()),
        )
        shop.job(draft, "look").stop_if_running()
        is_made = shop.deployer.submit(change)
        draft.change(line=name, deployed=time.time() if is_made else None)
        if is_made and fields.get("here"):
            shop.job(draft, "trial").stop_if_running()
            shop.inspections.start(name, visitor.name)
        elif is_made:
            shop.inspections.restart_if_running(name, visitor.name)
        return f"/lines/{name}"

    def _changed(self, draft: DraftFolder, name: str, recipe: dict[str, Any]) -> tuple[str, str]:
        """The digest of a line's present text, "" for a new line, and the text with the recipe in it."""
        lines, groups = self._shop.lines, draft.source()
        if not lines.has(name):
            groups["output"] = {
                "verdicts": self._shop.review.verdicts or str(lines.folder / f"{name}.jsonl"),
                "evidence": self._shop.review.defects or str(self._shop.site.store.folder.absolute()),
            }
            return "", new_text(groups, [recipe])
        line = lines.read(name)
        if line.uri != groups["source"]["uri"]:
            raise UsageError(f"line {name} has another source; give this one a name of its own, one that is not taken")
        fault: UsageError | None = None
        # A recipe for all frames goes last, one for some of them before those that would take its frames.
        for place in range(len(line.recipes), -1, -1):
            text = with_recipes(line.text, add_recipe(line.recipes, recipe, place))
            try:
                lines.check(name, text, lines.model_path(draft.name))
                return digest(line.text), text
            except UsageError as error:
                fault = fault or error
        assert fault is not None
        raise fault

    def _draft(self, request: Request) -> DraftFolder:
        return self._shop.drafts.find(request.path_params["name"])


def _pictures(store: Store) -> list[Any]:
    defects = store.frames.find(FrameQuery(kind="defect", with_picture=True), limit=TRIAL_SHOWN)
    others = store.frames.find(FrameQuery(kind="good", with_picture=True), limit=max(0, TRIAL_SHOWN - len(defects)))
    return [*defects, *others]
