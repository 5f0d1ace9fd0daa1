"""Look up known vulnerabilities of the locked packages: `make audit`.

Exit status: 0 none known, 1 some known or some packages unknown to the index, 2 pip-audit failed, 3 the index serves no
such data, so that nothing was audited.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NO_DATA = 3


def main() -> None:
    """Print what was found, and end with the status that says it."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    command += ["--requirement", str(ROOT / "constraints.txt"), "--format=json"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    if not done.stdout.startswith("{"):
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode} and said nothing"]
        print(f"audit failed: pip-audit: {lines[-1]}", file=sys.stderr)
        sys.exit(2)
    text, status = verdict(json.loads(done.stdout)["dependencies"])
    print(text, file=sys.stderr if status else sys.stdout)
    sys.exit(status)


def verdict(packages: list[dict[str, Any]]) -> tuple[str, int]:
    """What pip-audit's answer says, and the exit status."""
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if len(unknown) == len(packages):
        text = f"nothing audited: the package index serves no vulnerability data of any of {len(packages)} packages"
        return f"{text}; run make audit where it does, as the workflow check does every week", NO_DATA
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'none'}"
        for package in packages
        for found in package.get("vulns", [])
    ]
    if unknown:
        lines.append(f"not audited, unknown to the package index: {', '.join(unknown)}")
    return "\n".join(lines) or f"no known vulnerabilities of {len(packages)} packages", int(bool(lines))


if __name__ == "__main__":
    main()
