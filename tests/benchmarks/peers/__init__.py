"""Andon beside what else one would pick, on the same frames and cores in one run: frames a second, and memory."""
