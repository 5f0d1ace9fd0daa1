"""What runs next to the pages: the model's file, which the line may replace."""

import os
import threading
from pathlib import Path

import pytest
from andon_monitor.errors import ModelError
from andon_monitor.model.file import Model
from andon_monitor.review import figures, serving
from andon_monitor.review.store import Store

from tests.fixtures.small_model import build_model


class Checks(threading.Event):
    """An event that is never set, and counts how often it was waited for."""

    def __init__(self, between: "list[object]") -> None:
        super().__init__()
        self._between = between

    def wait(self, timeout: float | None = None) -> bool:
        """What is to happen between two checks; True once nothing is left."""
        if not self._between:
            return True
        change = self._between.pop(0)
        if callable(change):
            change()
        return False


def test_the_page_follows_a_model_that_is_replaced(model: Model, model_path: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    new = build_model(lambda card: card | {"name": "new"})

    def replace(data: bytes) -> None:
        before = model_path.stat().st_mtime_ns
        model_path.write_bytes(data)
        os.utime(model_path, ns=(before + 1, before + 1))

    serving.follow_model(model_path, "part", store, Checks([None, None]))
    assert figures.known_models(store) == []
    with pytest.raises(ModelError):
        serving.follow_model(model_path, "part", store, Checks([lambda: replace(b"half a file")]))
    serving.follow_model(model_path, "part", store, Checks([model_path.unlink, lambda: model_path.write_bytes(new)]))
    (known,) = figures.known_models(store)
    assert (known.alias, known.card.name) == ("part", "new")
    assert known.sha256 != model.sha256
