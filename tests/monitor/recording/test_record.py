"""`andon-monitor record`, as processes: killed, rotated, short of disk; what it writes, read by others."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from andon_monitor.sources.recording import open_recording
from mcap.reader import NonSeekingReader, make_reader

from tests.fixtures.commands import andon
from tests.fixtures.components import skip_or_fail
from tests.fixtures.mcap_recordings import read
from tests.fixtures.small_model import parts, write_recording

PROGRAM = [sys.executable, "-m", "andon_monitor"]


def test_a_folder_and_its_recording_give_the_same_verdicts_byte_for_byte(
    model_path: Path, recording: Path, tmp_path: Path
) -> None:
    done = andon("record", "--source", recording, "-o", tmp_path / "line.mcap")
    assert done.returncode == 0, done.stderr
    assert "40 frames, " in done.stderr
    assert " free" in done.stderr
    written = []
    for i, (source, options) in enumerate(
        [
            (recording, []),
            (tmp_path / "line.mcap", ["--batch-size", "1", "--threads", "1"]),
            (tmp_path / "line.mcap", ["--batch-size", "16", "--threads", "4"]),
        ]
    ):
        verdicts = tmp_path / f"{i}.jsonl"
        run = andon("run", "--no-server", "--model", model_path, "--source", source, "--verdicts", verdicts, *options)
        assert run.returncode == 0, run.stderr
        assert "scratch" in run.stderr  # labels are recorded too
        written.append(verdicts.read_bytes())
    assert written[0] == written[1] == written[2] != b""


def test_files_are_rotated_numbered_and_read_as_one(recording: Path, tmp_path: Path) -> None:
    line = tmp_path / "day" / "line.mcap"
    first = andon("record", "--source", recording, "-o", line, "--file-size", "50kB")
    assert first.returncode == 0, first.stderr
    files = sorted(line.parent.iterdir())
    assert [path.name for path in files][:2] == ["line-000001.mcap", "line-000002.mcap"]
    source = open_recording(str(line.parent))
    assert source.length == 40
    found = [frame for _ in range(10) for frame in source.poll(5, 0) or []]
    assert [frame.position.offset for frame in found] == list(range(40))
    again = andon("record", "--source", recording, "-o", line, "--file-size", "50kB", "--keep", "2")
    assert again.returncode == 0, again.stderr
    kept = sorted(path.name for path in line.parent.iterdir())
    assert len(kept) <= 3
    assert kept[-1] > files[-1].name  # numbers go on


def test_what_was_recorded_before_kill_9_is_read(tmp_path: Path) -> None:
    source = write_recording(tmp_path / "line", parts(40) * 60)
    line = tmp_path / "line.mcap"
    part = tmp_path / "line.mcap.part"
    process = subprocess.Popen([*PROGRAM, "record", "--source", source, "-o", line], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while not (part.exists() and part.stat().st_size > 1_000_000):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not line.exists()
    found, recovered = read(part)
    assert found == read_folder(source)[: len(found)]
    assert len(found) > 200
    assert recovered.damage is not None
    assert "its end is missing, as after a crash" in recovered.damage
    done = andon("repair", part, "-o", line)
    assert done.returncode == 1
    assert read(line)[0] == found
    refused = andon("record", "--source", source, "-o", line)
    assert refused.returncode == 2
    assert "exists, and a recording is never overwritten" in refused.stderr


def read_folder(path: Path) -> list[object]:
    from andon_monitor.sources.folder import FolderSource

    source = FolderSource(path)
    return list(source.poll(10_000, 0) or [])


def test_ctrl_c_closes_the_file(tmp_path: Path) -> None:
    source = write_recording(tmp_path / "line", parts(40) * 60)
    command = [*PROGRAM, "record", "--source", source, "-o", tmp_path / "line.mcap", "--duration", "1h"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    part = tmp_path / "line.mcap.part"
    while not (part.exists() and part.stat().st_size > 100_000):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    _, recorded = read(tmp_path / "line.mcap")
    assert recorded.damage is None


def test_it_stops_before_the_disk_is_full(recording: Path, tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    done = andon("record", "--source", recording, "-o", tmp_path / "line.mcap", "--keep-free", str(2 * free))
    assert done.returncode == 1
    assert " free, less than --keep-free " in done.stderr
    assert not list(tmp_path.glob("*.mcap*"))  # a file without frames is no recording


def test_a_full_disk_leaves_what_was_written(tmp_path: Path) -> None:
    """A disk of 1 MB, where the check of the free space comes too late."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        skip_or_fail("no permission to mount a small disk")
    try:
        source = write_recording(tmp_path / "line", parts(40) * 10)
        done = andon("record", "--source", source, "-o", disk / "line.mcap", "--keep-free", "1")
        assert done.returncode == 1
        assert "line.mcap.part: cannot be written (No space left on device)" in done.stderr
        assert "Traceback" not in done.stderr
        found, _ = read(disk / "line.mcap.part")
        assert found == read_folder(source)[: len(found)] != []
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--file-size", "big"], "--file-size: 'big' is not a size; right is 500MB"),
        (["--duration", "1 week"], "--duration: '1 week' is not a time; right is 90s"),
        (["--keep", "3"], "--keep: 3 needs --file-size or --file-time"),
        (["--start", "yesterday"], "--start: 'yesterday' should be latest, earliest or a time"),
        (["--verdicts", "v.jsonl"], "--verdicts: v.jsonl: right is kafka://host:port/topic"),
        (["-o", "/dev/null/x.mcap"], "/dev/null/x.mcap: cannot be written"),
        (["--source", "no/where"], "no/where: no such folder or file"),
    ],
)
def test_a_mistake_is_one_line(recording: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = andon("record", "--source", recording, "-o", tmp_path / "line.mcap", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*.mcap*"))


def test_the_reference_reader_finds_it_sound(recording: Path, tmp_path: Path) -> None:
    line = tmp_path / "line.mcap"
    assert andon("record", "--source", recording, "-o", line).returncode == 0
    with line.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == 80
        topics = {channel.topic for channel in summary.channels.values()}
        assert topics == {"/cameras/station-1", "/cameras/station-2", "/andon/frames"}
        metadata = next(iter(reader.iter_metadata()))
        assert metadata.metadata["source"] == str(recording)
        facts = [json.loads(m.data) for _, _, m in reader.iter_messages(topics="/andon/frames")]
    assert len(facts) == 40
    with line.open("rb") as file:  # also checks the checksum of all the data
        assert len(list(NonSeekingReader(file, validate_crcs=True).iter_messages())) == 80


def test_the_reference_reader_in_another_language_finds_it_sound(recording: Path, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        skip_or_fail("no npm to fetch the reader with")
    reader = shutil.copytree(Path(__file__).parent / "reader", tmp_path / "reader")
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
    if subprocess.run(install, cwd=reader, capture_output=True, timeout=120, check=False).returncode:
        skip_or_fail("the reader cannot be fetched here")
    line = tmp_path / "line.mcap"
    assert andon("record", "--source", recording, "-o", line).returncode == 0
    read = ["node", reader / "read.mjs", line]
    done = subprocess.run(read, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert found["messages"] == {"/andon/frames": 40, "/cameras/station-1": 20, "/cameras/station-2": 20}
    assert found["schemas"] == ["andon.Frame", "foxglove.CompressedImage"]
    assert found["metadata"]["andon.origin"]["source"] == str(recording)
    assert (found["streamed"], found["whole"]) == (80, True)
