"""Mirrors `monitor.evidence`."""
