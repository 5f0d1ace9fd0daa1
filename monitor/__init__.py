"""The monitor: camera frames in, verdicts out.

In the order data flows: `sources`, `imaging`, `model`, `pipeline`, `sinks`; `card` is the contract with the trainer.
Needs onnxruntime and OpenCV, never torch.
"""
