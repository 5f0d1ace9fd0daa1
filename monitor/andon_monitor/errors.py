"""What can go wrong, as one small tree; each message is one line: the thing, its value, what would be right."""


class AndonError(Exception):
    """An error that a user can correct; the command line prints its message and exits with `exit_code`."""

    exit_code = 1


class UsageError(AndonError):
    """A path, an option or a setting that cannot be used."""

    exit_code = 2


class InstallationError(AndonError):
    """A package that must be installed and is not, or that another one has overwritten."""

    exit_code = 2


class ModelError(AndonError):
    """A model file that cannot be used: unknown, damaged, or its self-test fails on this machine."""

    exit_code = 2


class SourceError(AndonError):
    """A source that stops before its end: a camera is unplugged, a file vanishes."""


class OutputError(AndonError):
    """Verdicts, dead letters or a report that cannot be written: a full disk, a read-only folder, a closed pipe."""


class EvidenceError(AndonError):
    """A message or file that is no evidence package."""


class ImageError(AndonError):
    """An image that cannot be inspected.

    `reason` is one of `andon_monitor.inspection.frames.REASONS`, as in metrics and verdicts.
    """

    exit_code = 2

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


MAX_LINE = 200  # characters


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or the name of its class if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:MAX_LINE] if lines else type(error).__name__
