"""Mirrors `andon_monitor.evidence`."""
