"""Load the images of a release and do the main job in them, locked down as far as an engine can.

    python deploy/release/try_images.py dist --engine podman

Read-only, as the image's own user, without capabilities and without network: sample, fit and evaluate in the trainer's
image, check and run in the monitor's; and no image has a package manager, pip or a compiler. Without a trainer's image,
`--work` is a folder with `part.onnx` and `part/stream`.
"""

import argparse
import gzip
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from images import ARCHITECTURES, this_architecture
from try_out import FIT, RUN, SAMPLE

LOCKED_DOWN = ["--read-only", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp"]
JOBS = {
    "trainer": [["--help"], SAMPLE, FIT, ["evaluate", "part.onnx", "part"]],
    "monitor": [["--help"], ["check", "--model", "part.onnx", "--source", "part/stream"], RUN],
}
LOOK = """
import glob, os, sys
names = ("apt*", "dpkg*", "pip*", "gcc*", "cc", "ld", "make")
patterns = [f"{folder}/{name}" for folder in ("/usr/bin", "/opt/andon/bin") for name in names]
print("tools:", *(path for pattern in patterns for path in glob.glob(pattern)))
print("user:", os.getuid())
try:
    open("/opt/written", "w")
except OSError as error:
    print("written:", error.strerror)
"""
LOOKED = "tools:\nuser: 10001\nwritten: Read-only file system"


class Engine:
    """Docker or podman, with the options that this machine needs."""

    def __init__(self, command: str, options: str) -> None:
        self.command = shlex.split(command)
        self.options = ["--rm", *LOCKED_DOWN, *shlex.split(options)]

    def load(self, archive: Path) -> str:
        """The name of the image in an archive, which podman 4.3 reads only decompressed."""
        with gzip.open(archive) as file, tempfile.TemporaryFile() as tar:
            shutil.copyfileobj(file, tar)
            tar.seek(0)
            said = self.output("load", stdin=tar)
        return re.findall(r"\S*andon-\S+:\S+", said)[-1]

    def run(self, image: str, *arguments: str, work: Path, entrypoint: str = "") -> str:
        """What a program prints in a container that sees a folder as /data."""
        other = [f"--entrypoint={entrypoint}"] if entrypoint else []
        mounts = [f"--volume={work}:/data", "--workdir=/data"]
        return self.output("run", *self.options, *mounts, *other, image, *arguments)

    def output(self, *arguments: str, stdin: IO[bytes] | None = None) -> str:
        """What a command of the engine prints; its failure ends the trial."""
        command = [*self.command, *arguments]
        done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, encoding="utf-8")
        if done.returncode:
            sys.exit(f"failed: {shlex.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()


def main() -> None:
    """Try out the images, or say which failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dist", type=Path, help="the folder of the release")
    parser.add_argument("--engine", default="docker", help="docker or podman, with its own options")
    parser.add_argument("--options", default="", help="further options of its run, such as --cgroups=disabled")
    parser.add_argument("--architecture", choices=ARCHITECTURES, default=this_architecture())
    parser.add_argument("--work", type=Path, help="a folder for what is made; default: a temporary one")
    arguments = parser.parse_args()
    engine = Engine(arguments.engine, arguments.options)
    archives = {
        name: archive
        for name in JOBS
        for archive in arguments.dist.resolve().glob(f"andon-{name}-*-linux-{arguments.architecture}.tar.gz")
    }
    if not archives:
        sys.exit(f"{arguments.dist}: no images for {arguments.architecture}")
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        work.chmod(0o777)  # the user of an image is nobody on this machine
        for name, archive in archives.items():
            try_image(engine, name, archive, work)


def try_image(engine: Engine, name: str, archive: Path, work: Path) -> None:
    """Load an image and do its jobs, with a line for each."""
    started = time.monotonic()
    image = engine.load(archive)
    print(f"{image}: loaded in {time.monotonic() - started:.1f} s", flush=True)
    looked = engine.run(image, "-c", LOOK, work=work, entrypoint="/opt/andon/bin/python")
    if looked != LOOKED:
        sys.exit(f"failed: {image} holds or allows too much\n{looked}")
    for job in JOBS[name]:
        started = time.monotonic()
        engine.run(image, *job, work=work)
        print(f"{image}: {job[0]} in {time.monotonic() - started:.1f} s", flush=True)
    if name == "monitor":
        verdicts = (work / "verdicts.jsonl").read_text().splitlines()
        if len(verdicts) != 4:
            sys.exit(f"failed: {len(verdicts)} verdicts of 4 frames")


if __name__ == "__main__":
    main()
