"""Which extras have wheels for another machine: `python tools/wheels.py --platform aarch64-manylinux_2_35`.

uv resolves each extra in its locked versions for that platform, and downloads no package. Exit status 1 where an extra
lacks a wheel.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib

from locked import LOCK, ROOT, requirements_of

NOT_INSTALLED = ("dev", "bench", "release")  # on a machine of the line


def main() -> None:
    """A line for each extra."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--platform", default="aarch64-manylinux_2_35", help="as uv calls it; with the glibc it has")
    parser.add_argument("--python", default="3.12", help="version of Python")
    arguments = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [name for name in project["optional-dependencies"] if name not in NOT_INSTALLED]
    missing = 0
    for extra in extras:
        found, reason = resolve(extra, arguments.platform, arguments.python)
        print(f"{extra}: {'wheels for all' if found else reason}", flush=True)
        missing += not found
    sys.exit(1 if missing else 0)


def resolve(extra: str, platform: str, python: str) -> tuple[bool, str]:
    """Whether each package of an extra has a wheel, and uv's reason where one has none."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["uv", "pip", "install", "--dry-run", "--target", folder, "--only-binary", ":all:", "--no-config"]
        command += ["--python-platform", platform, "--python-version", python, "--constraint", str(LOCK)]
        done = subprocess.run([*command, *requirements_of([extra])], capture_output=True, text=True, check=False)
    return done.returncode == 0, " ".join(done.stderr.split())


if __name__ == "__main__":
    main()
