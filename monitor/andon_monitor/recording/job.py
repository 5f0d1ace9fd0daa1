"""`andon-monitor record`, without Kafka: record a source until a signal comes, and report what is missing."""

from pathlib import Path

from andon_monitor.common.process import stopped_by_signals
from andon_monitor.errors import OutputError
from andon_monitor.recording.record import Recorder, RecordingLimits, Verdicts
from andon_monitor.sources.base import Source


def record_source(source: Source, output: Path, limits: RecordingLimits, verdicts: Verdicts | None = None) -> None:
    """Record until the source ends, a limit is reached or a signal comes; then close the source.

    Raises UsageError, SourceError, and OutputError where the disk was nearly full or the source was damaged: then the
    file has what could be recorded.
    """
    try:
        recorder = Recorder(source, output, limits, verdicts)
        with stopped_by_signals(recorder.stop):
            too_early = recorder.run()
    finally:
        source.close()
    for reason in (too_early, source.damage):
        if reason is not None:
            raise OutputError(reason)
