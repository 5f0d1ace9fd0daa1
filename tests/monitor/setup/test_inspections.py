"""An inspection that ended by an error is started again, but not one that somebody stopped."""

import threading
from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.setup import jobs
from andon_monitor.setup.inspections import Inspections
from andon_monitor.setup.lines import Lines


def test_one_that_failed_can_be_stopped_for_good(tmp_path: Path) -> None:
    lines, closed = Lines(tmp_path / "lines"), threading.Event()
    lines.folder.mkdir()
    lines.path("press").write_text("source: {uri: 'http://127.0.0.1:9/stream'}\nmodel: {path: none.onnx}\n")
    inspections = Inspections(tmp_path / "inspections", lines)
    with pytest.raises(UsageError, match="no inspection of press runs here"):
        inspections.stop("press")
    job = tmp_path / "inspections" / "press" / "run" / jobs.JOB
    job.parent.mkdir(parents=True)
    jobs.write(job, jobs.Job(who="ann", started=1.0, process=2**22 + 1))  # ended without a result
    assert inspections.state("press").phase == "failed"
    inspections.stop("press")
    closed.set()
    inspections.follow(closed)  # one look at all lines
    assert inspections.state("press").phase == "none"
