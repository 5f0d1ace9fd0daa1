from pathlib import Path

import pytest
from andon_monitor.common.cores import available_cores, cgroup_quota


def machine(root: Path, cgroup: str, files: dict[str, str]) -> tuple[Path, Path]:
    """The files that a kernel shows: /proc/self/cgroup, and quotas below /sys/fs/cgroup."""
    proc, cgroups = root / "proc", root / "cgroup"
    for path, content in {
        proc / "self" / "cgroup": cgroup,
        **{cgroups / name: text for name, text in files.items()},
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return proc, cgroups


V1 = {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}


@pytest.mark.parametrize(
    ("cgroup", "files", "quota"),
    [
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/docker/abc", {"cpu.max": "100000 100000"}, 1.0),  # the host's path, the container's own root
        ("0::/a.slice/b.service", {"a.slice/cpu.max": "50000 100000", "a.slice/b.service/cpu.max": "max 100000"}, 0.5),
        ("0::/a/b", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "300000 100000"}, 3.0),
        ("4:cpu,cpuacct:/", V1, None),
        ("4:cpu,cpuacct:/x", V1 | {"cpu/x/cpu.cfs_quota_us": "200000", "cpu/x/cpu.cfs_period_us": "100000"}, 2.0),
        ("5:memory:/x\n1:cpu:/\n0::/", V1 | {"cpu/cpu.cfs_quota_us": "25000"}, 0.25),
        ("1:cpu:/\n0::/", {"cpu/cpu.cfs_quota_us": "no number", "unified/cpu.max": "100000 0"}, None),
        ("", {}, None),
    ],
)
def test_the_quota_is_the_smallest_of_a_cgroup_and_those_above_it(
    cgroup: str, files: dict[str, str], quota: float | None, tmp_path: Path
) -> None:
    assert cgroup_quota(*machine(tmp_path, cgroup, files)) == quota


@pytest.mark.parametrize(("quota", "cores"), [(0.25, 1), (1.0, 1), (1.5, 2), (10_000.0, None), (None, None)])
def test_cores_follow_the_quota(quota: float | None, cores: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon_monitor.common.cores.cgroup_quota", lambda: quota)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(64)))
    assert available_cores() == (cores or 64)
