"""Mirrors `andon_monitor.draw`."""
