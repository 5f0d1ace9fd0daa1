"""Tests of `andon_monitor.kafka` against a real broker."""
