"""Loops without a monitor around them: python -m tests.benchmarks.peers.loops textbook|onnx IMAGES SECONDS [MODEL]

textbook   a plain convolutional autoencoder in torch: decode, predict one frame, compare with a threshold
onnx       another's exported graph, frames spread over the cores or one call on all of them, whichever is faster
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from andon_monitor.common.cores import available_cores

from tests.benchmarks.ways import Measurement, peak

SIDE = 256
LEAST = 8  # frames of a measurement
WARM = 4
Loop = Callable[[Sequence[bytes]], None]


def textbook() -> Loop:
    """Torch with its defaults; the weights are random, which costs as much as trained ones."""
    import torch

    from tests.benchmarks.quality.baselines import ConvolutionalAutoencoder

    torch.manual_seed(0)
    network = ConvolutionalAutoencoder(1, SIDE, SIDE).eval()

    def loop(files: Sequence[bytes]) -> None:
        for data in files:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
            small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            with torch.no_grad():
                x = torch.from_numpy(small)[None, None].float() / 255
                error = torch.mean((network.decode(network.encode(x)) - x) ** 2)
            assert error.item() > 0  # compared with a threshold

    return loop


def onnx(path: Path) -> Loop:
    """The faster of the two ways to use all cores, see `tests.benchmarks.limit`."""
    cores = available_cores()
    image = np.zeros((1, 3, SIDE, SIDE), np.float32)

    def make(side_by_side: int, threads: int) -> Loop:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (name,) = [node.name for node in session.get_inputs()]
        cv2.setNumThreads(1)

        def score(data: bytes) -> None:
            image = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
            session.run(None, {name: np.ascontiguousarray(small.transpose(2, 0, 1))[None]})

        def loop(files: Sequence[bytes]) -> None:
            with ThreadPoolExecutor(side_by_side) as workers:
                list(workers.map(score, files))

        session.run(None, {name: image})
        return loop

    some = [cv2.imencode(".png", np.zeros((SIDE, SIDE, 3), np.uint8))[1].tobytes()] * 2 * cores
    # One after the other: two at once would have twice the memory.
    times = {setting: seconds_of(make(*setting), some) for setting in ((cores, 1), (1, cores))}
    return make(*min(times, key=times.__getitem__))


def seconds_of(loop: Loop, files: Sequence[bytes]) -> float:
    """How long it takes."""
    started = time.monotonic()
    loop(files)
    return time.monotonic() - started


def measure(loop: Loop, files: Sequence[bytes], seconds: float) -> Measurement:
    """For about so many seconds, after a few frames that say how many those are."""
    loop(files[:WARM])
    count = max(LEAST, round(WARM * seconds / seconds_of(loop, files[:WARM])))
    given = [files[i % len(files)] for i in range(count)]
    cpu = time.process_time()
    rate = count / seconds_of(loop, given)
    return Measurement(rate, (time.process_time() - cpu) / count, peak())


if __name__ == "__main__":
    what, images, seconds, *model = sys.argv[1:]
    files = [path.read_bytes() for path in sorted(Path(images).iterdir())]
    made = textbook() if what == "textbook" else onnx(Path(model[0]))
    print(json.dumps(asdict(measure(made, files, float(seconds)))))
