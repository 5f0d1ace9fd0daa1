"""Progress where nobody watches: in a log."""

import pytest
from andon_trainer.cli import console


def test_without_a_terminal_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "LOG_INTERVAL_S", 0.0)
    with console.progress_bar() as show:
        show("training, loss 0.3", 0.25)
        show("[calibrating]", 1.0)
    monkeypatch.setattr(console, "LOG_INTERVAL_S", 1e9)
    with console.progress_bar() as show:
        show("reading images", 0.5)
    assert capsys.readouterr().err.splitlines() == ["training, loss 0.3: 25%", "[calibrating]: 100%"]
