"""The text of a file of annotations, and JSON in it: within limits, UTF-8, finite numbers."""

import json
from pathlib import Path
from typing import Any, NoReturn

from andon_monitor.common.files import read_within
from andon_monitor.errors import UsageError

MAX_BYTES = 2**26  # of a file of annotations; its objects take up to ten times as much memory


def read_text(path: Path) -> str:
    """The file as a text. Raises UsageError: no such file, too large, not UTF-8."""
    try:
        return read_within(path, MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None


def parse_json(text: str, place: str) -> Any:
    """The value of a JSON text. Raises UsageError."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise UsageError(f"{place}: JSON that is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"{place}: not JSON ({error.msg} at character {error.pos})") from None
    except ValueError as error:  # NaN, and numbers of thousands of digits
        raise UsageError(f"{place}: not JSON ({str(error)[:80]})") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")
