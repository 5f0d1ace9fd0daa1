"""Mirrors `monitor.review`."""
