"""What can go wrong while training, on top of the monitor's errors."""

from andon_monitor.errors import AndonError


class FittingError(AndonError):
    """A training that gave no usable network."""


class ExportError(AndonError):
    """A network whose exported file does not give the scores that torch gives."""
