"""Of recordings that are cut short or have changed bytes the intact chunks are read, and the damage is reported."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.errors import AndonError, UsageError
from andon_monitor.formats.mcap_layout import IMAGE
from andon_monitor.formats.mcap_writer import RecordingWriter
from andon_monitor.inspection.frames import Frame
from andon_monitor.recording.repair import repair
from andon_monitor.sources.recording import RecordingSource
from mcap.reader import make_reader
from mcap.records import ChunkIndex
from mcap.writer import CompressionType, IndexType, Writer

from tests.fixtures.commands import andon
from tests.fixtures.mcap_recordings import FRAMES, IMAGES, frames, read


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "line.mcap"
    writer = RecordingWriter(path, {"source": "test"})
    for frame in frames():
        writer.write(frame)
    writer.file.close()
    return path


@pytest.fixture(scope="module")
def chunks(whole: Path) -> list[tuple[ChunkIndex, list[Frame]]]:
    """Where each chunk lies, by the library's own reader, and the frames in it."""
    with whole.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        channels = {number: channel.topic for number, channel in summary.channels.items()}
        indexes = sorted(summary.chunk_indexes, key=lambda index: index.chunk_start_offset)
        sent = iter(frames())
        result = []
        for index in indexes:
            times = [
                message.log_time
                for _, _, message in reader.iter_messages(
                    topics=[topic for topic in channels.values() if topic.startswith("/cameras/")],
                    starting_at=index.message_start_time,
                    ending_at=index.message_end_time,
                )
            ]
            result.append((index, [next(sent) for _ in times]))
        assert next(sent, None) is None
    assert len(result) > 4
    return result


def test_what_was_recorded_comes_back_exactly(whole: Path) -> None:
    found, source = read(whole)
    assert found == frames()
    assert source.damage is None
    assert source.length == FRAMES


def test_a_recording_cut_anywhere_gives_every_whole_chunk(
    whole: Path, chunks: Sequence[tuple[ChunkIndex, list[Frame]]], tmp_path: Path
) -> None:
    content = whole.read_bytes()
    rng = random.Random(1)
    cut = tmp_path / "cut.mcap"
    # A file of another kind or none at all cannot be told from one cut within its first chunk: it has no frames.
    places = [rng.randrange(20_000, len(content)) for _ in range(20)]
    for place in [*places, chunks[1][0].chunk_start_offset, len(content) - 1]:
        cut.write_bytes(content[:place])
        found, source = read(cut)
        ends = [index.chunk_start_offset + index.chunk_length for index, _ in chunks]
        assert found == [frame for end, (_, some) in zip(ends, chunks, strict=True) if end <= place for frame in some]
        assert source.damage is not None, place
        assert f"{len(found)} frames recovered" in source.damage


@pytest.mark.parametrize("truncated", [False, True])
def test_a_flipped_byte_costs_at_most_its_chunk_and_is_noticed(
    whole: Path, chunks: Sequence[tuple[ChunkIndex, list[Frame]]], tmp_path: Path, truncated: bool
) -> None:
    content = whole.read_bytes()
    if truncated:  # the index is gone too
        content = content[: chunks[-1][0].chunk_start_offset]
        chunks = chunks[:-1]
    rng = random.Random(2)
    places = [rng.randrange(len(content)) for _ in range(20)]
    index = chunks[1][0]
    places += [
        index.chunk_start_offset + i for i in (0, 1, 4, 8, 9, 20, 34, 38, 42, 50)
    ]  # the fields of a chunk's head
    places += [0, 8, 9, 30, index.chunk_start_offset + index.chunk_length, len(content) - 1, len(content) - 20]
    flipped = tmp_path / "flipped.mcap"
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= rng.randrange(1, 256)
        flipped.write_bytes(damaged)
        found, source = read(flipped)
        spared = [
            frame
            for index, some in chunks
            if not index.chunk_start_offset <= place < index.chunk_start_offset + index.chunk_length
            for frame in some
        ]
        assert [frame for frame in found if frame in spared] == spared, place
        assert set(found) <= {frame for _, some in chunks for frame in some}, place
        assert source.damage is not None, place


def test_how_many_frames_are_lost_is_known_where_the_index_is_whole(
    whole: Path, chunks: Sequence[tuple[ChunkIndex, list[Frame]]], tmp_path: Path
) -> None:
    content = bytearray(whole.read_bytes())
    content[chunks[0][0].chunk_start_offset + 5000] ^= 1  # the first chunk: the others do not depend on it
    content[chunks[3][0].chunk_start_offset + 5000] ^= 1
    (tmp_path / "line.mcap").write_bytes(content)
    found, source = read(tmp_path / "line.mcap")
    lost = len(chunks[0][1]) + len(chunks[3][1])
    assert len(found) == FRAMES - lost
    assert source.damage is not None
    assert "damaged: 2 stretches of " in source.damage
    assert f"with {lost} frames cannot be read; {FRAMES - lost} frames recovered" in source.damage


def test_repair_writes_a_sound_file_of_what_is_whole(whole: Path, tmp_path: Path) -> None:
    content = bytearray(whole.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged, mended = tmp_path / "line.mcap", tmp_path / "mended.mcap"
    damaged.write_bytes(content[:-1000])
    done = andon("repair", damaged, "-o", mended)
    assert done.returncode == 1, done.stderr
    assert "its end is missing" in done.stdout
    found, source = read(mended)
    assert source.damage is None
    assert found == read(damaged)[0]
    assert f"{mended}: {len(found)} frames" in done.stdout
    again = repair(mended, tmp_path / "again.mcap")
    assert not again.damage.found
    assert read(tmp_path / "again.mcap")[0] == found
    with mended.open("rb") as file:  # the library's strictest reading agrees
        messages = list(make_reader(file, validate_crcs=True).iter_messages())
    assert len(messages) == 2 * len(found)


def test_repair_never_overwrites_and_leaves_nothing_behind(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "there.mcap").write_bytes(b"mine")
    (tmp_path / "other.mcap").write_bytes(b"no recording at all" * 50)
    for source, target, message in [
        (whole, tmp_path / "there.mcap", "exists, and a recording is never overwritten"),
        (tmp_path / "other.mcap", tmp_path / "new.mcap", "not an MCAP recording"),
        (tmp_path / "none.mcap", tmp_path / "new.mcap", "cannot be read (No such file or directory)"),
    ]:
        done = andon("repair", source, "-o", target)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert (tmp_path / "there.mcap").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.mcap", "there.mcap"]


def test_a_run_over_a_damaged_recording_finishes_and_says_so(whole: Path, model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.mcap").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    verdicts = tmp_path / "v.jsonl"
    done = andon("run", "--no-server", "--model", model_path, "--source", tmp_path / "cut.mcap", "--verdicts", verdicts)
    assert done.returncode == 1
    expected = len(read(tmp_path / "cut.mcap")[0])
    assert 0 < expected == len(verdicts.read_text().splitlines())
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path}/cut.mcap: damaged: 1 stretch of ")
    assert done.stderr.splitlines()[-1].endswith(f"; {expected} frames recovered")


def write_foreign(path: Path, **options: Any) -> None:
    """Five images as another program may record them: without JSON, its own options of the format."""
    from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
    from google.protobuf.timestamp_pb2 import Timestamp
    from mcap_protobuf.schema import build_file_descriptor_set

    with path.open("wb") as file:
        writer = Writer(file, **options)
        writer.start()
        described = build_file_descriptor_set(CompressedImage).SerializeToString()
        schema = writer.register_schema(IMAGE, "protobuf", described)
        channel = writer.register_channel("/left/image", "protobuf", schema)
        for i in range(5):
            image = CompressedImage(timestamp=Timestamp(seconds=100 + i), data=IMAGES[i], format="png")
            writer.add_message(channel, i, image.SerializeToString(), i)
        writer.finish()


NO_SUMMARY = {
    "index_types": IndexType.NONE,
    "repeat_channels": False,
    "repeat_schemas": False,
    "use_statistics": False,
    "use_summary_offsets": False,
}


@pytest.mark.parametrize(
    "options",
    [
        {},  # chunks, compressed with zstd
        {"compression": CompressionType.LZ4},
        {"use_chunking": False, "enable_data_crcs": True},
        {"use_chunking": False, "enable_crcs": False, **NO_SUMMARY},
        {"enable_crcs": False, **NO_SUMMARY},
        NO_SUMMARY,
    ],
)
def test_images_that_another_program_recorded_are_frames(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "foreign.mcap"
    write_foreign(path, **options)
    found, source = read(path)
    assert [(frame.camera, frame.captured_at, frame.data) for frame in found] == [
        ("left/image", 100 + i, IMAGES[i]) for i in range(5)
    ]
    assert source.damage is None
    assert not repair(path, tmp_path / "ours.mcap").damage.found
    assert [frame.data for frame in read(tmp_path / "ours.mcap")[0]] == IMAGES[:5]


def test_damage_to_a_file_without_chunks_is_said(tmp_path: Path) -> None:
    """Its frames are protected by nothing but one checksum of them all."""
    path = tmp_path / "foreign.mcap"
    write_foreign(path, use_chunking=False, enable_data_crcs=True)
    content = path.read_bytes()
    path.write_bytes(content.replace(IMAGES[2], IMAGES[2][:-20] + bytes(20)))
    found, source = read(path)
    assert len(found) == 5
    assert source.damage == f"{path}: damaged: bytes outside of chunks have changed; 5 frames recovered"
    path.write_bytes(content[: content.index(IMAGES[3]) + 10])
    found, source = read(path)
    assert [frame.data for frame in found] == IMAGES[:3]
    assert source.damage is not None
    assert "its end is missing" in source.damage


@pytest.mark.parametrize("chunked", [False, True])
def test_records_that_another_program_added_are_skipped(tmp_path: Path, chunked: bool) -> None:
    path = tmp_path / "foreign.mcap"
    write_foreign(path, use_chunking=chunked, enable_crcs=False, **NO_SUMMARY)
    content = path.read_bytes()
    place = 8 + 9 + int.from_bytes(content[9:17], "little")  # behind the header
    private = b"\x90" + (7).to_bytes(8, "little") + b"private"
    path.write_bytes(content[:place] + private + content[place:])
    found, source = read(path)
    assert [frame.data for frame in found] == IMAGES[:5]
    assert source.damage is None


def test_a_chunk_that_damage_made_a_private_record_is_missed(
    whole: Path, chunks: Sequence[tuple[ChunkIndex, list[Frame]]], tmp_path: Path
) -> None:
    content = bytearray(whole.read_bytes())
    content[chunks[1][0].chunk_start_offset] = 0x86
    (tmp_path / "a.mcap").write_bytes(content)
    found, source = read(tmp_path / "a.mcap")
    assert len(found) == FRAMES - len(chunks[1][1])
    assert source.damage is not None


@pytest.mark.parametrize("options", [{}, NO_SUMMARY])
def test_a_recording_of_something_else_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "ros.mcap"
    with path.open("wb") as file:
        writer = Writer(file, **options)
        writer.start()
        schema = writer.register_schema("sensor_msgs/msg/CompressedImage", "ros2msg", b"")
        writer.add_message(writer.register_channel("/camera", "cdr", schema), 0, b"\0\1", 0)
        writer.finish()
    with pytest.raises(AndonError, match=r"ros\.mcap: no frames in it; right are messages of foxglove"):
        read(path)


def test_a_recording_without_frames_is_refused(tmp_path: Path) -> None:
    RecordingWriter(tmp_path / "line.mcap", {}).file.close()
    with pytest.raises(UsageError, match="no frames in it"):
        RecordingSource([tmp_path / "line.mcap"], "line.mcap")
