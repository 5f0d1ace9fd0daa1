from pathlib import Path

import pytest
from andon_monitor.common.files import check_writable, is_device, part_of, whole_file
from andon_monitor.errors import OutputError, UsageError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.json"
    with whole_file(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" whole")
    assert path.read_bytes() == b"half whole"
    assert names(path.parent) == ["report.json"]


def test_a_failure_leaves_what_was_there_before_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write(b"half" * (1 // 0))
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["report.json"]


def test_a_full_disk_is_one_clear_line() -> None:
    with (
        pytest.raises(OutputError, match=r"^/dev/full: cannot be written \(No space left on device\)$"),
        whole_file(Path("/dev/full")) as file,
    ):
        file.write(b"x")


def test_a_path_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "report.json"
    with pytest.raises(OutputError, match="cannot be written"), whole_file(path):
        pass
    with pytest.raises(UsageError, match="cannot be written"):
        check_writable(path)


def test_checking_leaves_no_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b" / "report.json")
    check_writable(Path("/dev/null"))
    assert names(tmp_path) == []
    with pytest.raises(UsageError, match="a folder"):
        check_writable(tmp_path)


def test_devices_are_written_as_they_are(tmp_path: Path) -> None:
    assert is_device(Path("/dev/null"))
    assert not is_device(tmp_path)
    assert not is_device(tmp_path / "absent")
    assert part_of(tmp_path / "v.jsonl") == tmp_path / "v.jsonl.part"
