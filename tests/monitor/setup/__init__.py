"""Mirrors `andon_monitor.setup`."""
