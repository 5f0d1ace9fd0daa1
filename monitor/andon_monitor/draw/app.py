"""The page that draws a mask: one frame, areas on it, and a file that they are saved to."""

import json
import logging
import secrets
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from andon_monitor import review
from andon_monitor.common import html
from andon_monitor.common.files import write_whole
from andon_monitor.draw.frame import Picture
from andon_monitor.errors import OutputError, UsageError
from andon_monitor.model.mask import Mask, parse_mask, read_mask
from andon_monitor.review.access import SafeHeaders

HOSTS = ["127.0.0.1", "localhost"]  # names that a browser of this machine may call the page by
MAX_BODY_BYTES = 1_000_000
HOUSE_STYLE = Path(review.__file__).parent / "static"

log = logging.getLogger("andon")


class DrawPage:
    """A page for one picture and one file. Its address has a secret: other users of the machine do not know it."""

    def __init__(self, picture: Picture, output: Path) -> None:
        """Raises UsageError where the file is there and is no mask of polygons for such a frame."""
        self._picture = picture
        self._output = output
        self._areas = known_areas(output, picture.size)
        self.prefix = f"/{secrets.token_urlsafe(24)}"
        self._templates = html.environment("andon_monitor.draw", "templates")

    def app(self) -> Starlette:
        """The application."""
        routes = [
            Route("/", self._page),
            Route("/frame", self._frame),
            Route("/mask", self._save, methods=["POST"]),
            Mount("/house", StaticFiles(directory=HOUSE_STYLE)),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ]
        return Starlette(
            routes=[Mount(self.prefix, routes=routes)],
            middleware=[
                Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False),
                Middleware(SafeHeaders),
            ],
        )

    def _page(self, request: Request) -> Response:
        width, height = self._picture.size
        page = self._templates.get_template("draw.html.jinja").render(
            prefix=self.prefix,
            name=self._picture.name,
            width=width,
            height=height,
            areas=json.dumps(self._areas),
            output=str(self._output),
        )
        return HTMLResponse(page)

    def _frame(self, request: Request) -> Response:
        return Response(self._picture.jpeg, media_type="image/jpeg")

    async def _save(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return PlainTextResponse("too many areas for one mask", status_code=413)
        try:
            return PlainTextResponse(await run_in_threadpool(self._write, body))
        except UsageError as error:
            return PlainTextResponse(str(error), status_code=400)
        except OutputError as error:
            return PlainTextResponse(str(error), status_code=503)

    def _write(self, body: bytes) -> str:
        mask = parse_mask(body, "not saved")
        if mask.size != self._picture.size or mask.pixels is not None:
            raise UsageError("not saved: the drawing is of another frame; load the page again")
        write_whole(self._output, to_json(mask))
        counts = [(len(mask.regions), "region"), (len(mask.ignore), "ignored area")]
        said = " and ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count)
        log.info("%s: %s saved", self._output, said)
        return f"Saved to {self._output}: {said}."


def to_json(mask: Mask) -> bytes:
    """The file of a mask of polygons, a line for each."""
    lines = [f'{{"size": {json.dumps(mask.size)}']
    for name in ("regions", "ignore"):
        polygons = ",\n  ".join(json.dumps([[_short(x), _short(y)] for x, y in area]) for area in getattr(mask, name))
        lines.append(f' "{name}": [{polygons}]')
    return (",\n".join(lines) + "}\n").encode()


def _short(value: float) -> float | int:
    return int(value) if value == int(value) else value


def known_areas(output: Path, size: tuple[int, int]) -> list[dict[str, Any]]:
    """The areas of a file that is there already, in pixels of a frame of this size. Raises UsageError."""
    if not output.exists():
        return []
    mask = read_mask(output)
    if mask.pixels is not None:
        raise UsageError(f"{output}: a picture, which this page cannot change; give another name")
    if not mask.fits(*size):
        raise UsageError(
            f"{output}: a mask of {mask.size[0]} x {mask.size[1]}, the frame is {size[0]} x {size[1]} pixels, another "
            "aspect ratio; give another name"
        )
    scale = size[0] / mask.size[0], size[1] / mask.size[1]
    return [
        {"kind": kind, "points": [[round(x * scale[0]), round(y * scale[1])] for x, y in polygon]}
        for kind, polygons in (("ignore", mask.ignore), ("regions", mask.regions))
        for polygon in polygons
    ]
