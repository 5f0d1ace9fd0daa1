"""How many cores this process may use: what its container allows, not what the machine has."""

import math
import os
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Cores that this process may keep busy, at least 1: its CPU affinity, or the quota of its cgroup if that is less.

    A container with `cpus: 1.5` on a machine of 64 cores gets 2: with more threads than that the kernel stops all of
    them for most of each tenth of a second.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota - 1e-6)))


def cgroup_quota(proc: Path = PROC, cgroups: Path = CGROUPS) -> float | None:
    """The smallest CPU quota, in cores, of this process's cgroup and those above it; None where there is none.

    Reads cgroup v2 (`cpu.max`) and v1 (`cpu.cfs_quota_us`); a machine may have both.
    """
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return None
    quotas = []
    for line in lines:
        parts = line.split(":", 2)
        if len(parts) != 3:
            continue
        controllers, path = parts[1:]
        if not controllers:
            roots, read = (cgroups, cgroups / "unified"), _quota_v2
        elif "cpu" in controllers.split(","):
            roots, read = (cgroups / "cpu", cgroups / controllers), _quota_v1
        else:
            continue
        relative = Path(path.lstrip("/"))
        # Inside a container the path is often the host's and its root is this cgroup: what is not there limits nothing.
        quotas += [read(root / folder) for root in roots for folder in (relative, *relative.parents)]
    found = [quota for quota in quotas if quota is not None]
    return min(found) if found else None


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return None if quota <= 0 else quota / int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError, ZeroDivisionError):
        return None
