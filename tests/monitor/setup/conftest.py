"""A set-up with a source, images and a model, as its steps leave them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from andon_monitor.model.file import Model
from andon_monitor.review.fits import IMAGES
from andon_monitor.setup.draft import FITTED, MODEL, SOURCE, Drafts

from tests.fixtures.setup_page import end_jobs
from tests.fixtures.small_model import draw, encode

URI = "http://viewer:hunter2@127.0.0.1:9/stream"


@pytest.fixture
def prepared(tmp_path: Path, model: Model) -> Iterator[Path]:
    """The folder of the page: `store` has the set-up, `lines` is still missing."""
    draft = Drafts(tmp_path / "store" / "setup").create("bottle", "ann")
    draft.write_settings(SOURCE, {"source": {"uri": URI}})
    draft.change(shown="http://127.0.0.1:9/stream", whole=True)
    for name in (FITTED, MODEL):
        (draft.path / name).parent.mkdir(exist_ok=True)
        (draft.path / name).write_bytes(model.content)
    (draft.path / IMAGES).mkdir()
    for number in (1, 2):
        (draft.path / IMAGES / f"{number:06d}.png").write_bytes(encode(draw(number)))
    yield tmp_path
    end_jobs(tmp_path)
