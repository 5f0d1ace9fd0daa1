"""A graph in onnxruntime, on one execution provider; a frame's outputs do not depend on the frames in its batch."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from andon_monitor.common.cores import available_cores
from andon_monitor.errors import ModelError, UsageError, first_line
from andon_monitor.model.runtime import onnxruntime

# Rows in one call on a GPU: the default batch size, since padding rows cost as much as others.
GPU_BATCH_SIZE = 8

Providers = list[tuple[str, dict[str, str]]]
PROVIDERS: dict[str, Providers] = {
    "cpu": [("CPUExecutionProvider", {})],
    # TF32 rounds to ten bits of mantissa, which moves scores by more than the golden tolerance.
    "cuda": [("CUDAExecutionProvider", {"use_tf32": "0"}), ("CPUExecutionProvider", {})],
    "tensorrt": [
        ("TensorrtExecutionProvider", {}),
        ("CUDAExecutionProvider", {"use_tf32": "0"}),
        ("CPUExecutionProvider", {}),
    ],
}
# Device memory of the providers that take several rows in one call.
DEVICES = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "cuda"}


class Session:
    """A graph with one input of N rows. Several threads may run it.

    `provider` is the execution provider in use. `fell_back` is true if another one was asked for: without a GPU
    onnxruntime silently uses the CPU. `batched`: whether several rows share a call, see `run`.
    """

    def __init__(self, content: bytes, path: str, provider: str = "auto", threads: int = 1) -> None:
        """`content`: the graph, named `path` in errors; `threads`: rows run in parallel on a CPU, 0: one per core.

        Raises UsageError (no such provider) and ModelError (not an ONNX graph).
        """
        entries = _providers(provider)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # rows run in parallel instead, see `run`
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # failures are raised; warnings would go to a service's standard error
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=_available(entries))
        except Exception as error:  # onnxruntime's exceptions share no base class but Exception
            raise ModelError(f"{path}: not a readable ONNX file ({first_line(error)})") from None
        self._threads = threads or available_cores()
        self.provider: str = self._session.get_providers()[0]
        self.fell_back = self.provider != entries[0][0]
        self._bound = Bound(self._session, DEVICES[self.provider]) if self.provider in DEVICES else None
        self.batched = self._bound is not None
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.inputs = {node.name: [node.type, *node.shape[1:]] for node in self._session.get_inputs()}
        self.outputs = tuple(node.name for node in self._session.get_outputs())

    def run(self, outputs: list[str], rows: NDArray[Any]) -> list[Any]:
        """The named outputs for N >= 1 rows; those of a row do not depend on the other rows.

        On a CPU each row is a call of its own on one thread: the same bits for any batch size and number of threads,
        and on two cores a third faster than one call on both (measured). On a GPU each call has `GPU_BATCH_SIZE` rows:
        another shape may select another kernel, and the selection takes seconds.
        """
        if self._bound is not None:
            results = [self._bound.call(outputs, part) for part in padded(rows, GPU_BATCH_SIZE)]
        elif len(rows) == 1:
            return self._call(outputs, rows)
        else:
            parts = [rows[i : i + 1] for i in range(len(rows))]
            results = list(
                (_workers(self._threads).map if self._threads > 1 else map)(partial(self._call, outputs), parts)
            )
        return [np.concatenate(arrays)[: len(rows)] for arrays in zip(*results, strict=True)]

    def _call(self, outputs: list[str], rows: NDArray[Any]) -> list[Any]:
        (name,) = self.inputs
        arrays: list[Any] = self._session.run(outputs, {name: rows})
        return arrays


@cache
def _workers(threads: int) -> ThreadPoolExecutor:
    """The threads that all sessions share: with twenty models open, there are no more of them than with one."""
    return ThreadPoolExecutor(threads, "inference")


class Bound:
    """Calls of one shape through a buffer that stays on the device; only the named outputs are copied back."""

    def __init__(self, session: onnxruntime.InferenceSession, device: str) -> None:
        self._session = session
        self._device = device
        self._lock = threading.Lock()  # there is one buffer
        self._buffer: onnxruntime.OrtValue | None = None

    def call(self, outputs: list[str], rows: NDArray[Any]) -> list[Any]:
        """The named outputs for rows [N, ...], N the same in every call."""
        with self._lock:
            if self._buffer is None:
                # Not made from the rows: on the CPU it would share their memory.
                shape_and_type = onnxruntime.OrtValue.ortvalue_from_shape_and_type
                self._buffer = shape_and_type(rows.shape, rows.dtype, self._device)
            self._buffer.update_inplace(np.ascontiguousarray(rows))
            binding = self._session.io_binding()
            binding.bind_ortvalue_input(self._session.get_inputs()[0].name, self._buffer)
            for name in outputs:
                binding.bind_output(name, self._device)
            self._session.run_with_iobinding(binding)
            arrays: list[Any] = binding.copy_outputs_to_cpu()
            return arrays


def padded(rows: NDArray[Any], size: int) -> list[NDArray[Any]]:
    """Rows [N, ...] in parts of exactly `size`; the last part is padded with its last row."""
    parts = [rows[i : i + size] for i in range(0, len(rows), size)]
    if missing := size - len(parts[-1]):
        parts[-1] = np.concatenate([parts[-1], np.repeat(parts[-1][-1:], missing, axis=0)])
    return parts


def _providers(name: str) -> Providers:
    """The execution providers for a name, the preferred one first."""
    if name == "auto":
        name = "cuda" if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else "cpu"
    if name not in PROVIDERS:
        raise UsageError(f"provider {name}: unknown; choose auto, {', '.join(PROVIDERS)}")
    return PROVIDERS[name]


def uses_gpu(provider: str) -> bool:
    """Whether sessions of a provider run on a GPU of this machine. Raises UsageError (no such provider)."""
    return _available(_providers(provider))[0][0] in DEVICES


def _available(providers: Providers) -> Providers:
    available = onnxruntime.get_available_providers()
    return [entry for entry in providers if entry[0] in available]
