"""The model file: its card and threshold, how an image becomes its input, and its graph in onnxruntime. Needs no torch.

`file` opens one for scoring, `autoencoder` for notebooks and tools.
"""
