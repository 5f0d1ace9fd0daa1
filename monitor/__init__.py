"""The monitor: camera frames in, verdicts out.

In the order data flows: `sources`, `imaging`, `model`, `inspection`, `pipeline`, `sinks`; `service` puts them together.
`card` and `calibration` are the contract with the trainer. Needs onnxruntime and OpenCV, never torch.
"""
