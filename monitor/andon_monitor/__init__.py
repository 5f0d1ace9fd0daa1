"""The monitor: camera frames in, verdicts out.

In the order data flows: `sources`, `imaging`, `model`, `inspection`, `pipeline`, `sinks`; `service` puts them together.
`card` and `calibration` are the contract with the trainer. Needs onnxruntime and OpenCV, never torch.
"""

import os

__version__ = "0.1.0"

# What a line sees is nobody else's business: from 1.29 on onnxruntime reports its sessions to Microsoft unless this is
# set before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
