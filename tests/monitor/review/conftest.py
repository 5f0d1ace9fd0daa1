"""A store with frames of two cameras, the page that serves it, and a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.model.file import Model
from andon_monitor.review.store import Store

from tests.fixtures.browser import tab
from tests.fixtures.review_line import fill, frames, inspect
from tests.fixtures.review_page import serving


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


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """A tab with nothing special about it."""
    with tab(chromium) as page:
        yield page
