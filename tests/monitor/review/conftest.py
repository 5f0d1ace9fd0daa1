"""A store with frames of two cameras, the page that serves it, and a real browser."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from monitor.model import Model
from monitor.review.app import Review
from monitor.review.store import Store
from monitor.server import Server
from monitor.settings import ReviewSettings
from tests.conftest import skip_or_fail
from tests.monitor.review.line import fill, frames, inspect


@contextmanager
def serving(store: Store, **settings: Any) -> Iterator[str]:
    """The page of a store, at the URL given."""
    review = ReviewSettings(**settings)
    pages = Review(store, review)
    server = Server(pages.app(), "127.0.0.1", 0)
    server.start()
    try:
        yield server.url + review.prefix
    finally:
        pages.close()
        server.close()


@pytest.fixture(scope="session")
def filled(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `store` is a copy of."""
    folder = tmp_path_factory.mktemp("filled") / "store"
    fill(folder, inspect(model, frames(30, camera="left") + frames(30, camera="right", start=200)))
    return folder


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Store:
    """Thirty frames of each of two cameras, twelve defects in all."""
    return Store(shutil.copytree(filled, tmp_path / "store"))


@pytest.fixture
def url(store: Store) -> Iterator[str]:
    with serving(store) as found:
        yield found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Chromium, driven by playwright."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        skip_or_fail("no chromium to open the page with; tests/components installs it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """An empty tab; what the console complains about fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []
