"""Andon and other tools, side by side on the same frames and cores in one run: frames a second, and memory."""
