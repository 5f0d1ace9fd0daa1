"""What the scripts of the images do with packages."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.fixtures.deploy import DEPLOY, run

TORCH = """
import sys, torch
layer = torch.nn.Conv2d(1, 2, 3)
layer(torch.ones(1, 1, 8, 8)).sum().backward()
loaded = [line.split()[-1] for line in open("/proc/self/maps") if "/nvidia/" in line]
print(torch.cuda.is_available(), layer.weight.grad.sum().item(), all(path.startswith(sys.argv[1]) for path in loaded))
"""


def test_torch_runs_without_the_libraries_of_a_gpu(tmp_path: Path) -> None:
    spec = find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    packages = Path(spec.origin).parents[1]
    shutil.copytree(packages / "torch", tmp_path / "torch", copy_function=os.link)
    libraries = tmp_path / "nvidia" / "cu13" / "lib"
    libraries.mkdir(parents=True)
    for path in packages.glob("nvidia/cu13/lib/libcudart.so.*"):  # none with a CPU build
        shutil.copy(path, libraries)
    for path in packages.iterdir():
        if path.name not in {"torch", "nvidia", "triton"}:
            (tmp_path / path.name).symlink_to(path)
    run("sh", DEPLOY / "docker" / "cpu_torch.sh", tmp_path)
    for library in libraries.glob("lib*"):
        segments = run("readelf", "--segments", "--wide", library).splitlines()
        (stack,) = (line for line in segments if "GNU_STACK" in line)
        assert " RW " in stack, f"{library.name}: glibc 2.41 loads no library with an executable stack"
    said = run(sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, sys.argv[1])\n{TORCH}", tmp_path)
    assert said.split() == ["False", "648.0", "True"]
