"""What can go wrong, as one small tree; each message is one line: the thing, its value, what would be right."""


class AndonError(Exception):
    """Anything a user can mend; the command line prints the message alone and exits with `exit_code`."""

    exit_code = 1


class UsageError(AndonError):
    """A path, an option or a setting that cannot be used as given."""

    exit_code = 2


class InstallationError(AndonError):
    """A package that must be installed and is not, or that another one has overwritten."""

    exit_code = 2


class ModelError(AndonError):
    """A model file that is not ours, is damaged, or does not hold its golden scores on this machine."""

    exit_code = 2


class SourceError(AndonError):
    """A source that stopped giving frames before its end: a camera unplugged, a file that vanished."""


class OutputError(AndonError):
    """Verdicts, dead letters or a report that cannot be written: a full disk, a read-only folder, a closed pipe."""


class EvidenceError(AndonError):
    """A message or file that is no evidence of ours."""


class ImageError(AndonError):
    """An image that cannot be inspected.

    `reason` is one of `andon_monitor.inspection.frames.REASONS`: the label of the metric and of the verdict.
    """

    exit_code = 2

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
