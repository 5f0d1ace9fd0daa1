"""How long the review page takes with 10,000 defects and 100,000 verdicts: python -m tests.benchmarks.review_page

The answer, and the first paint in Chromium.
"""

import sqlite3
import tempfile
import time
import urllib.request
from pathlib import Path

from andon_monitor.model.file import Model
from andon_monitor.review import live
from andon_monitor.review.app import Review
from andon_monitor.review.models.line_models import LineFile, LineModels, try_notice
from andon_monitor.review.store import Store
from andon_monitor.settings.groups import ReviewSettings
from andon_monitor.telemetry.server import Server

from tests.fixtures.browser import launched
from tests.fixtures.review_line import fill, frames, inspect
from tests.fixtures.small_model import build_model

DEFECTS, VERDICTS, CAMERAS = 10_000, 100_000, 10
LOOKS = 5
PATHS = (
    *("/", "/defects", "/defects?label=none", "/defects?defect=dent", "/borderline", "/frames/{id}"),
    *("/model", "/model?unit=percent&value=20", "/models", "/compare", "/teach"),
)
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


def multiply(connection: sqlite3.Connection, table: str, count: int) -> None:
    """So many rows like the first, a second apart, cameras taking turns."""
    first = dict(connection.execute(f"SELECT * FROM {table} WHERE verdict = 'defect'").fetchone())
    names = ", ".join(f'"{name}"' for name in first)
    for i in range(count):
        more = {"number": 1000 + i, "id": f"{i:032x}", "captured_at": first["captured_at"] + i}
        row = first | more | {"camera": f"camera-{i % CAMERAS}"}
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", [*row.values()])


def main() -> None:
    """Print the fastest and the slowest of five looks at each page."""
    with tempfile.TemporaryDirectory() as folder:
        model = Model.from_bytes(build_model(), "small.onnx", "cpu")
        store: Store = fill(Path(folder), inspect(model, frames(20)))
        with sqlite3.connect(store.folder / "review.sqlite") as connection:
            connection.row_factory = sqlite3.Row
            multiply(connection, "frames", DEFECTS)
            multiply(connection, "verdicts", VERDICTS)
            for i in range(0, DEFECTS, 3):
                row = (f"{i:032x}", "confirmed" if i % 2 else "false alarm", "dent" if i % 2 else None)
                connection.execute(
                    "INSERT INTO labels (id, step, label, kind, who, at) VALUES (?, 'label', ?, ?, 'ann', 0)", row
                )
        path = Path(folder) / "small.onnx"
        path.write_bytes(model.content)
        settings = ReviewSettings(changers=("anybody",), training=Path(folder))
        models = LineModels(store, [LineFile("small", path)], settings)
        try_notice(models, strict=True)
        pages = Review(store, settings, models=models)
        server = Server(pages.app(), "127.0.0.1", 0)
        server.start()
        with launched() as chromium:
            for place in PATHS:
                url, took, painted = server.url + place.format(id=f"{DEFECTS // 2:032x}"), [], []
                for _ in range(LOOKS):
                    started = time.perf_counter()
                    urllib.request.urlopen(url).read()
                    took.append(1000 * (time.perf_counter() - started))
                    page = chromium.new_page(bypass_csp=True)
                    page.goto(url, wait_until="domcontentloaded")
                    page.wait_for_function(f"({PAINT}) > 0")
                    painted.append(page.evaluate(PAINT))
                    page.close()
                answer, paint = (f"{min(times):5.0f} to {max(times):4.0f} ms" for times in (took, painted))
                print(f"{place:30} {answer}, first paint {paint}")
        print(f"{len(live.cameras(store).shown)} cameras")
        pages.close()
        server.close()


if __name__ == "__main__":
    main()
