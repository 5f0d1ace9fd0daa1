"""The command line `andon-monitor`, one module for each group of commands.

Commands import what they need inside: `--help` must answer at once, without NumPy or onnxruntime.
"""
