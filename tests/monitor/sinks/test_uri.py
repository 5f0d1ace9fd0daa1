"""A sink is opened by its name, or refused in one line."""

from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.sinks.uri import open_sink


def test_what_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for target, message in [
        (str(tmp_path / "file" / "verdicts.jsonl"), "cannot be written"),
        (str(tmp_path), "a folder; give the name of a file"),
        ("ftp://broker/verdicts", "unknown kind of sink"),
    ]:
        with pytest.raises(UsageError, match=message):
            open_sink(target, append=False)
