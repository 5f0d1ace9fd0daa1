"""A small real model and small real frames: every test here runs onnxruntime and OpenCV, not stand-ins."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from andon_monitor.inspection.frames import Frame, Position, rfc3339
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.card import (
    CARD_KEY,
    CARD_VERSION,
    GOLDEN_KEY,
    Card,
    InputSpec,
    Kinds,
    Reference,
    Spread,
    Training,
    parse_card,
)
from andon_monitor.model.file import KINDS, Golden
from andon_monitor.model.imaging import Pixels, brightness, load, sharpness
from onnx import TensorProto, helper

FRAME = 64  # pixels a side, as the camera gives them
SIDE = 32  # and as the model takes them
SPEC = InputSpec(height=SIDE, width=SIDE, channels=1, frame_size=(FRAME, FRAME))
START = 1_767_592_800.0  # 2026-01-05T06:00:00Z


def draw(number: int, defect: bool = False) -> Pixels:
    """A part under a camera: light grey with texture; a defect is a dark patch. uint8 [FRAME, FRAME]."""
    rng = np.random.default_rng(number)
    image = rng.normal(160 + 5 * rng.normal(), 25, (FRAME, FRAME))
    if defect:
        image[16:48, 16:48] -= 110
    return np.clip(image, 0, 255).astype(np.uint8)


def encode(image: Pixels, suffix: str = ".png") -> bytes:
    """The bytes of an image file."""
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return data.tobytes()


def make_frame(data: bytes, offset: int = 0, camera: str = "station-1", **fields: Any) -> Frame:
    """A frame with these bytes."""
    return Frame(camera, START + offset, data, Position("test", "frames", 0, offset), **fields)


def build_graph(gain: float = 2.0) -> onnx.ModelProto:
    """uint8 [N, 32, 32, 1] to score = gain * (mean darkness), and maps and reconstructions that cost nothing."""
    nodes = [
        helper.make_node("Cast", ["frames"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["levels", "white"], ["unit"]),
        helper.make_node("Sub", ["one", "unit"], ["dark"]),
        helper.make_node("Mul", ["dark", "gain"], ["error"]),
        helper.make_node("ReduceMean", ["error", "all"], ["score"], keepdims=0),
        helper.make_node("ReduceMean", ["error", "last"], ["anomaly_map"], keepdims=0),
        helper.make_node("Identity", ["frames"], ["reconstruction"]),
        helper.make_node("ReduceMean", ["unit", "rows"], ["latent"], keepdims=0),
    ]
    constants = {"white": 255.0, "one": 1.0, "gain": gain}
    axes = {"all": [1, 2, 3], "last": [3], "rows": [2, 3]}
    initializers = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in constants.items()]
    initializers += [helper.make_tensor(name, TensorProto.INT64, [len(axis)], axis) for name, axis in axes.items()]
    size = ["N", SIDE, SIDE, 1]
    graph = helper.make_graph(
        nodes,
        "darkness",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, size)],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"]),
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, ["N", SIDE, SIDE]),
            helper.make_tensor_value_info("reconstruction", TensorProto.UINT8, size),
            helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["N", SIDE]),
        ],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def darkness(pixels: Pixels, gain: float = 2.0) -> np.ndarray:
    """What the graph computes, by numpy: uint8 [N, 32, 32, 1] to float32 [N]."""
    return (gain * (1 - pixels.astype(np.float64) / 255)).mean(axis=(1, 2, 3)).astype(np.float32)


def make_card(good: Pixels, **changes: Any) -> Card:
    """The card of the model above, calibrated on good frames uint8 [N, 32, 32, 1]."""

    def spread(values: Sequence[float]) -> Spread:
        return Spread(
            mean=float(np.mean(values)),
            std=float(np.std(values)),
            lowest=float(min(values)),
            highest=float(max(values)),
        )

    scores = darkness(good).tolist()
    fields: dict[str, Any] = {
        "card_version": CARD_VERSION,
        "name": "darkness",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "architecture": {"name": "darkness"},
        "input": SPEC,
        "calibration": calibrate(scores, 0.01),
        "reference": Reference(
            score=spread(scores),
            brightness=spread([brightness(frame) for frame in good]),
            sharpness=spread([sharpness(frame) for frame in good]),
        ),
        "training": Training(
            images=200,
            validation_images=0,
            validation_is_calibration=True,
            calibration_images=200,
            twin_groups=200,
            fingerprint="0" * 64,
            seed=0,
            iterations=1,
            seconds=1.0,
            ended="iterations",
            device="cpu",
        ),
        "versions": {},
        "weights_sha256": "0" * 64,
    }
    return Card(**fields | changes)


def build_model(
    card_json: Callable[[dict[str, Any]], Any] = lambda card: card,
    golden: Callable[[Golden], Golden] = lambda golden: golden,
    metadata: Callable[[dict[str, str]], dict[str, str]] = lambda metadata: metadata,
) -> bytes:
    """A whole model file; the arguments change its parts before they are written."""
    good = np.stack([load(encode(draw(1000 + i)), SPEC) for i in range(200)])
    card = json.loads(make_card(good).model_dump_json())
    truth = Golden(good[:4], darkness(good[:4]))
    graph = build_graph()
    parts = {CARD_KEY: json.dumps(card_json(card)), GOLDEN_KEY: golden(truth).pack()}
    helper.set_model_props(graph, metadata(parts))
    return graph.SerializeToString()


def tell_kinds(content: bytes) -> bytes:
    """The same model file telling two kinds of defects: `dark`, as likely as a frame is dark, and `bright`."""
    model = onnx.load_from_string(content)
    graph = model.graph
    graph.initializer.append(helper.make_tensor("sides", TensorProto.INT64, [2], [1, 2]))
    for unit, share in (("dark", "dark_share"), ("unit", "bright_share")):
        graph.node.append(helper.make_node("ReduceMean", [unit, "sides"], [share], keepdims=0))  # [N, 1]
    graph.node.append(helper.make_node("Concat", ["dark_share", "bright_share"], [KINDS], axis=1))
    graph.output.append(helper.make_tensor_value_info(KINDS, TensorProto.FLOAT, ["N", 2]))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    kinds = Kinds(
        names=("dark", "bright"),
        way="frozen",
        images=0,
        accuracy=1.0,
        temperature=1.0,
        calibration_error=0.0,
        calibration_error_before=0.0,
    )
    card = parse_card(metadata[CARD_KEY], "the small model").model_copy(update={"kinds": kinds})
    helper.set_model_props(model, metadata | {CARD_KEY: card.model_dump_json()})
    return model.SerializeToString()


def write_recording(folder: Path, frames: Sequence[tuple[bytes, str]], cameras: Sequence[str] = ("station-1",)) -> Path:
    """A folder with a manifest of (bytes, label), cameras taking turns, half a second apart."""
    (folder / "frames").mkdir(parents=True)
    with (folder / "manifest.jsonl").open("w") as manifest:
        for i, (data, label) in enumerate(frames):
            file = f"frames/{i:06d}.png"
            (folder / file).write_bytes(data)
            time = rfc3339(START + i / 2)
            line = {"file": file, "camera": cameras[i % len(cameras)], "captured_at": time, "label": label}
            manifest.write(json.dumps(line) + "\n")
    return folder


def parts(count: int, every: int = 10) -> list[tuple[bytes, str]]:
    """Encoded frames with their labels, each `every`-th a scratch."""
    return [
        (encode(draw(i, defect=i % every == every - 1)), "scratch" if i % every == every - 1 else "good")
        for i in range(count)
    ]


def andon(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `andon-monitor` as a user does."""
    command = [sys.executable, "-m", "andon_monitor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)
