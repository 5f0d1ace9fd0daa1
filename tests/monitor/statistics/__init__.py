"""Tests of `andon_monitor.statistics`."""
