"""Mirrors `andon_monitor.review.store`."""
