"""The first steps of a set-up as pages: source, good parts, regions and masks."""

import json
import time
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from andon_monitor import draw
from andon_monitor.common.files import remove_quietly, write_whole
from andon_monitor.common.redaction import show_address
from andon_monitor.draw.app import known_areas, to_json
from andon_monitor.draw.frame import draw_picture
from andon_monitor.errors import ImageError, UsageError
from andon_monitor.model.mask import parse_mask
from andon_monitor.review.access import Visitor
from andon_monitor.setup.draft import DRAFT, MASK, SOURCE, STEPS, DraftFolder
from andon_monitor.setup.finish_pages import FinishPages
from andon_monitor.setup.source_choice import check_source, is_stream
from andon_monitor.setup.workshop import Workshop

COUNTS = (20, 50, 100, 200, 500, 1000)  # images to collect
PAGE_IMAGES = 96  # shown at a time
THUMBNAIL_SIDE = 200  # pixels
MAX_MASK_BYTES = 2_000_000
MAX_CAMERA = 200  # characters of a camera's name
FIRST_PICTURE_SECONDS = 15.0  # to wait for the first picture of a source that was just chosen
WAIT_SECONDS = 0.1
STATIC = Path(draw.__file__).parent / "static"


class SetupPages:
    """The list of set-ups, and the steps up to the mask."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._finish = FinishPages(shop)

    def routes(self) -> list[BaseRoute]:
        """Their routes, those of the other steps too."""
        page, change = self._shop.page, partial(self._shop.site.change, right="change")
        steps = {"source": self._source, "images": self._images, "mask": self._mask, **self._finish.pages()}
        forms = {
            "source": self._choose,
            "look": self._look,
            "collect": self._collect,
            "stop": self._stop,
            "remove": self._remove,
            "whole": self._no_mask,
            "discard": self._discard,
            **self._finish.forms(),
        }
        return [
            Route("/setup", page(self._list)),
            Route("/setup", change(self._start), methods=["POST"]),
            Mount("/setup/static", StaticFiles(directory=STATIC)),
            Route("/setup/{name}", page(self._go_on)),
            Route("/setup/{name}/live.jpg", page(self._live)),
            Route("/setup/{name}/images/{file}", page(self._picture)),
            *self._finish.routes(),
            Route("/setup/{name}/mask", change(self._save_mask, max_bytes=MAX_MASK_BYTES), methods=["POST"]),
            *(Route(f"/setup/{{name}}/{step}", page(fill)) for step, fill in steps.items()),
            *(Route(f"/setup/{{name}}/{form}", change(act), methods=["POST"]) for form, act in forms.items()),
        ]

    def _list(self, request: Request, visitor: Visitor) -> Response:
        shop = self._shop
        drafts = [(draft.read(), draft.done(), draft.next_step()) for draft in shop.drafts.all()]
        lines = [(name, shop.inspections.state(name), shop.deployer.pending(name)) for name in shop.lines.names()]
        return shop.render(
            request,
            visitor,
            "setup_list.html.jinja",
            drafts=drafts,
            unfinished=shop.deployer.unfinished(),
            lines=lines,
            steps=STEPS,
            unavailable=shop.missing_trainer,
        )

    def _start(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        draft = self._shop.drafts.create(fields.get("name", "").strip(), visitor.name)
        self._shop.note(visitor, draft.name, "begun", (draft.path / DRAFT).read_bytes())
        return f"/setup/{draft.name}/source"

    def _discard(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        draft = self._draft(request)
        for kind in ("look", "collect", "fit", "trial"):
            self._shop.job(draft, kind).stop_if_running()
        self._shop.forget_trial(draft)
        self._shop.note(visitor, draft.name, "thrown away", (draft.path / DRAFT).read_bytes())
        self._shop.drafts.remove(draft)
        return "/setup"

    def _go_on(self, request: Request, visitor: Visitor) -> Response:
        draft = self._draft(request)
        return RedirectResponse(f"{self._shop.review.prefix}/setup/{draft.name}/{draft.next_step()}", 303)

    # Source

    def _source(self, request: Request, visitor: Visitor) -> Response:
        draft = self._draft(request)
        return self._render(request, visitor, draft, "source", look=self._shop.job(draft, "look").state())

    def _choose(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        shop, draft = self._shop, self._draft(request)
        uri = check_source(fields.get("uri", "").strip(), shop.review)
        camera = fields.get("camera", "").strip()[:MAX_CAMERA]
        groups: dict[str, dict[str, object]] = {"source": {"uri": uri, **({"camera": camera} if camera else {})}}
        if shop.review.source_hosts and is_stream(uri):
            groups["source"]["redirects"] = False  # the address that it leads to may be anywhere
        given = shop.settings.kafka.model_dump(mode="json", exclude_defaults=True, exclude={"password"})
        if given:
            groups["kafka"] = given
        before = draft.source() if draft.has(SOURCE) else None
        draft.write_settings(SOURCE, groups)
        failure = self._first_picture(draft, visitor)
        if failure:
            if before is None:
                remove_quietly(draft.path / SOURCE)
            else:
                draft.write_settings(SOURCE, before)
            raise UsageError(failure)
        shown = show_address(uri)
        draft.change(shown=shown, camera=camera)
        shop.note(visitor, f"{draft.name}/source", f"source {shown}", shown.encode())
        return f"/setup/{draft.name}/source"

    def _look(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        draft = self._draft(request)
        draft.source()
        failure = self._first_picture(draft, visitor)
        if failure:
            raise UsageError(failure)
        return f"/setup/{draft.name}/source"

    def _first_picture(self, draft: DraftFolder, visitor: Visitor) -> str:
        """Look at the source until a picture came; what went wrong, "" for nothing, or if it only takes its time."""
        job = self._shop.job(draft, "look")
        job.stop_if_running()
        job.start(visitor.name)
        deadline = time.monotonic() + FIRST_PICTURE_SECONDS
        while time.monotonic() < deadline:
            state = job.state()
            if state.phase == "failed":
                return state.result.failure
            if state.live.width or state.phase == "done":
                return "" if state.live.frames else "the source has ended without a frame"
            time.sleep(WAIT_SECONDS)
        return ""

    def _live(self, request: Request, visitor: Visitor) -> Response:
        draft = self._draft(request)
        collecting = self._shop.job(draft, "collect")
        job = collecting if collecting.state().is_running else self._shop.job(draft, "look")
        picture = job.picture()
        if picture is None:
            return PlainTextResponse("no picture yet\n", 404)
        return Response(picture, media_type="image/jpeg")

    # Good parts

    def _images(self, request: Request, visitor: Visitor) -> Response:
        draft = self._draft(request)
        images = draft.images()
        page = request.query_params.get("page", "1")
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 5 else 1
        begin = max(0, number - 1) * PAGE_IMAGES
        return self._render(
            request,
            visitor,
            draft,
            "images",
            job=self._shop.job(draft, "collect").state(),
            images=[path.name for path in images[begin : begin + PAGE_IMAGES]],
            total=len(images),
            number=number,
            pages=-(-len(images) // PAGE_IMAGES),
            counts=COUNTS,
        )

    def _collect(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        shop, draft = self._shop, self._draft(request)
        draft.source()
        count = fields.get("count", "")
        if count not in map(str, COUNTS):
            raise UsageError(f"{count[:20]!r} images: give one of {', '.join(map(str, COUNTS))}")
        shop.job(draft, "look").stop_if_running()
        shop.job(draft, "collect").start(visitor.name, (count, str(shop.review.keep_free)))
        return f"/setup/{draft.name}/images"

    def _stop(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        draft = self._draft(request)
        step = {"collect": "images", "look": "source", "fit": "fit", "trial": "deploy"}
        kind = fields.get("job", "")
        if kind not in step:
            raise UsageError("no such job; load the page again")
        self._shop.job(draft, kind).stop(gently=kind == "collect")  # type: ignore[arg-type]
        return f"/setup/{draft.name}/{step[kind]}"

    def _remove(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        draft = self._draft(request)
        name = fields.get("file", "")
        content = draft.image(name).read_bytes()
        draft.remove_image(name)
        self._shop.note(visitor, f"{draft.name}/images", f"{name} thrown out", content)
        return f"/setup/{draft.name}/images"

    def _picture(self, request: Request, visitor: Visitor) -> Response:
        draft = self._draft(request)
        path = draft.image(request.path_params["file"])
        side = {} if "large" in request.query_params else {"max_side": THUMBNAIL_SIDE}
        try:
            picture = draw_picture(path.read_bytes(), path.name, self._shop.limits, **side)
        except (ImageError, OSError) as error:
            return PlainTextResponse(f"{error}\n", 404)
        return Response(picture.jpeg, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"})

    # Regions and masks

    def _mask(self, request: Request, visitor: Visitor) -> Response:
        draft = self._draft(request)
        images = [path.name for path in draft.images()]
        wanted = request.query_params.get("image", "")
        chosen = wanted if wanted in images else images[-1] if images else ""
        size, areas, fault = (0, 0), "[]", ""
        if chosen:
            try:
                size = draw_picture(draft.image(chosen).read_bytes(), chosen, self._shop.limits).size
                areas = json.dumps(known_areas(draft.path / MASK, size))
            except (ImageError, UsageError) as error:
                fault = str(error)
        return self._render(
            request, visitor, draft, "mask", chosen=chosen, images=images[:50], size=size, areas=areas, fault=fault
        )

    def _save_mask(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        draft = self._draft(request)
        mask = parse_mask(fields.get("mask", "").encode(), "not saved")
        if mask.pixels is not None:
            raise UsageError("not saved: draw polygons")
        content = to_json(mask)
        write_whole(draft.path / MASK, content)
        draft.change(whole=False)
        self._shop.note(visitor, f"{draft.name}/mask", "mask", content)
        return f"/setup/{draft.name}/mask"

    def _no_mask(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        draft = self._draft(request)
        remove_quietly(draft.path / MASK)
        draft.change(whole=True)
        self._shop.note(visitor, f"{draft.name}/mask", "the whole picture", b"")
        return f"/setup/{draft.name}/fit"

    def _draft(self, request: Request) -> DraftFolder:
        return self._shop.drafts.find(request.path_params["name"])

    def _render(self, request: Request, visitor: Visitor, draft: DraftFolder, step: str, **values: object) -> Response:
        return self._shop.render_step(request, visitor, draft, step, **values)
