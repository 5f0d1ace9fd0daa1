"""The limit: the monitor's own libraries in the tightest loop, which decodes, resizes, scores and does nothing else."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from andon_monitor.common.cores import available_cores
from andon_monitor.inspection.frames import Frame
from andon_monitor.model.card import CARD_KEY, InputSpec, parse_card
from andon_monitor.model.file import OUTPUTS, SCORE, cut

REDUCED_FLAGS = {
    (1, 2): cv2.IMREAD_REDUCED_GRAYSCALE_2,
    (1, 4): cv2.IMREAD_REDUCED_GRAYSCALE_4,
    (1, 8): cv2.IMREAD_REDUCED_GRAYSCALE_8,
    (3, 2): cv2.IMREAD_REDUCED_COLOR_2,
    (3, 4): cv2.IMREAD_REDUCED_COLOR_4,
    (3, 8): cv2.IMREAD_REDUCED_COLOR_8,
}  # by channels and reduction
# (frames side by side, threads of one call, frames in one call): which is best depends on the machine and the model.
SETTINGS = [(cores := available_cores(), 1, 1), (1, cores, 1), (1, cores, 8)]


class Bare:
    """A loop over encoded frames with a setting of `SETTINGS`."""

    def __init__(self, path: Path, setting: tuple[int, int, int]) -> None:
        self._side_by_side, threads, self._batch = setting
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        content = cut(path.read_bytes(), OUTPUTS)[SCORE]  # as the monitor does: the score, no reconstruction
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        metadata = self._session.get_modelmeta().custom_metadata_map
        self._spec: InputSpec = parse_card(metadata[CARD_KEY], str(path)).input
        cv2.setNumThreads(1)

    def run(self, frames: Sequence[Frame]) -> int:
        """Score the frames; how many there were."""
        batches = [frames[i : i + self._batch] for i in range(0, len(frames), self._batch)]
        with ThreadPoolExecutor(self._side_by_side) as workers:
            return sum(len(scores) for scores in workers.map(self._score, batches))

    def _score(self, batch: Sequence[Frame]) -> np.ndarray:
        spec = self._spec
        whole = cv2.IMREAD_GRAYSCALE if spec.channels == 1 else cv2.IMREAD_COLOR
        flags = REDUCED_FLAGS.get((spec.channels, spec.reduction), whole)
        images = [cv2.imdecode(np.frombuffer(frame.data, np.uint8), flags) for frame in batch]
        resize = partial(cv2.resize, dsize=(spec.width, spec.height), interpolation=cv2.INTER_AREA)
        array = np.stack([resize(image).reshape(spec.height, spec.width, spec.channels) for image in images])
        return self._session.run(["score"], {"frames": array})[0]


class Plain:
    """The script that a textbook shows: decode, predict one frame, compare; what a user would write first."""

    def __init__(self, path: Path) -> None:
        self._session = onnxruntime.InferenceSession(path)
        card = parse_card(self._session.get_modelmeta().custom_metadata_map[CARD_KEY], str(path))
        self._spec, self._threshold = card.input, card.threshold

    def run(self, frames: Sequence[Frame]) -> int:
        """Judge the frames; how many there were."""
        spec, verdicts = self._spec, []
        for frame in frames:
            image = cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_COLOR)
            code = cv2.COLOR_BGR2GRAY if spec.channels == 1 else cv2.COLOR_BGR2RGB
            small = cv2.resize(cv2.cvtColor(image, code), (spec.width, spec.height), interpolation=cv2.INTER_AREA)
            rows = small.reshape(1, spec.height, spec.width, spec.channels)
            score = self._session.run(["score"], {"frames": rows})[0][0]
            verdicts.append(score > self._threshold)
        return len(verdicts)
