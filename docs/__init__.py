"""The documentation: pages, and `generate`, which writes those in reference/ from the code."""
