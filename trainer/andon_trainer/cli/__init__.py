"""The command line `andon-trainer`: one module for each command, put together in `main`.

`arguments` and `console` hold what the commands share. torch, onnx and scikit-learn take seconds to import, so each
command imports what it needs when it runs, and `--help` answers at once.
"""
