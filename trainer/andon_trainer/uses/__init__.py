"""What else a model file is good for: `reduction`, `denoising`, `compression` and `classification`.

These four hold the functions that the commands of the same names call; the other modules are their parts.
"""
