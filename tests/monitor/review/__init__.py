"""Mirrors `andon_monitor.review`."""
