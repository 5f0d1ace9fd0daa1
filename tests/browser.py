"""A real browser for tests: Chromium, driven by playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.conftest import skip_or_fail

PATIENCE_MS = 120_000  # a browser that shares its cores with other work may take half a minute to open a page


@contextmanager
def launched() -> Iterator[Any]:
    """The browser; where there is none the test is skipped."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        skip_or_fail("no chromium to open the page with; tests/components installs it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=PATIENCE_MS)
        yield browser
        browser.close()


@contextmanager
def tab(chromium: Any, **options: Any) -> Iterator[Any]:
    """An empty tab with cookies of its own; what the console complains about fails the test.

    The server has to outlive the tab: a picture that is still loading when it goes is a complaint.
    """
    context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints: list[str] = []

    def heard(message: Any) -> None:
        if message.type == "error":
            complaints.append(f"{message.text} ({message.location['url']})")

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == [], complaints
