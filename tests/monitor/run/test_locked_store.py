"""A review store that another program holds does not stop the verdicts."""

import sqlite3
from pathlib import Path

import pytest
from andon_monitor.run.service import Service
from andon_monitor.settings.loading import load_settings

from tests.fixtures.small_model import parts, write_recording


def test_a_locked_store_costs_pictures_and_no_verdict(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("andon_monitor.review.store.database.LOCK_SECONDS", 0.2)
    source = write_recording(tmp_path / "line", parts(40))
    flags = {"model.path": model_path, "source.uri": str(source), "server.enabled": False}
    first = {"output.verdicts": str(tmp_path / "0.jsonl"), "output.evidence": str(tmp_path / "review")}
    Service(load_settings(flags | first)).run()
    lock = sqlite3.connect(tmp_path / "review" / "review.sqlite", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        again = Service(load_settings(flags | first | {"output.verdicts": str(tmp_path / "1.jsonl")}))
        again.run()
    finally:
        lock.close()
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "0.jsonl").read_bytes()
    value = again.metrics.registry.get_sample_value
    assert value("andon_evidence_skipped_total", {"kind": "defect", "reason": "failed"}) == 4
    assert value("andon_output_lost_frames_total", {"output": "evidence"}) == 40
    assert "locked" in caplog.text
