"""Mirrors `andon_monitor.review.teach`."""
