"""Tests of deploy/: its files as they are, and the whole of it at work."""
