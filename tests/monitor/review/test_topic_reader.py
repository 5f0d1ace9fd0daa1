"""A message that cannot be kept, whatever the reason, is stepped over, and the position is kept."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from andon_monitor.errors import OutputError
from andon_monitor.formats.evidence_package import unpack
from andon_monitor.model.file import Model
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery
from andon_monitor.review.topic_reader import TopicReader
from andon_monitor.settings.groups import KafkaSettings

from tests.fixtures.evidence_packages import about, packed
from tests.fixtures.review_page import Client, serving

URI = "kafka://nowhere:9092/andon.defects"


def records(values: Sequence[bytes]) -> list[Any]:
    return [SimpleNamespace(partition=0, offset=i, value=value) for i, value in enumerate(values)]


def test_a_package_that_we_fail_on_is_stepped_over(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No such package is known: one in the middle is made to raise what nobody expects."""
    store = Store(tmp_path / "store")
    good = packed(model)
    values = [good, about(good, verdict__id="b" * 32), about(good, verdict__id="c" * 32)]
    write = store._write_files

    def failing(evidence: Any, package: bytes, pending: int) -> bool:
        if evidence.verdict.id == "b" * 32:
            raise ZeroDivisionError("nobody expects this")
        return write(evidence, package, pending)

    monkeypatch.setattr(store, "_write_files", failing)
    reader = TopicReader(store, "defects", URI, KafkaSettings())
    reader._keep(records(values))
    kept = {frame.id for frame in store.frames.find(FrameQuery())}
    assert kept == {unpack(good).verdict.id, "c" * 32}
    assert store.progress.next_offsets(URI) == {0: 3}
    assert "1 of 3 messages of defects are refused, 1 since the start" in caplog.text
    with serving(store) as url:
        assert "1 message of defects refused since the start" in Client(url).get("/")[1]
    assert "partition 0 offset 1: ZeroDivisionError: nobody expects this" in caplog.text


def test_a_full_disk_skips_nothing(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store")

    def full(*_: object) -> bool:
        raise OutputError("no space left")

    monkeypatch.setattr(store, "_write_files", full)
    with pytest.raises(OutputError):
        TopicReader(store, "defects", URI, KafkaSettings())._keep(records([packed(model)]))
    assert store.progress.next_offsets(URI) == {}
