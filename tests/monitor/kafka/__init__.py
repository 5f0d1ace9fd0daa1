"""Tests of `monitor.kafka` against a real broker."""
