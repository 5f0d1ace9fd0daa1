"""Tests of `monitor.statistics`."""
