"""Mirrors `andon_monitor.review.models`."""
