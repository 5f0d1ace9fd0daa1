"""The trainer: images of good parts in, one model file out.

In the order data flows: `dataset`, `corruption`, `network`, `loss`, `fitting`, `scoring`, `export`; then `evaluation`
and `report`.
"""

import andon_monitor  # noqa: F401  # first: it keeps onnxruntime from reporting to anybody
