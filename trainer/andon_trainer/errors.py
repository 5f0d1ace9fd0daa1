"""Errors of the trainer, in addition to those of andon_monitor."""

from andon_monitor.errors import AndonError


class FittingError(AndonError):
    """The training gave no usable network."""


class ExportError(AndonError):
    """The exported file gives other scores than the network in torch, or the monitor would refuse it."""
