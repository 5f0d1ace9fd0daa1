"""The number of channels in a recording is limited."""

from pathlib import Path

from mcap.reader import make_reader

from tests.fixtures.mcap_recordings import frames, read


def test_cameras_without_end_do_not_fill_the_file_with_channels(tmp_path: Path) -> None:
    from andon_monitor.formats import mcap_writer as writing
    from andon_monitor.formats.mcap_writer import RecordingWriter

    frame = frames(1)[0]
    writer = RecordingWriter(tmp_path / "line.mcap", {})
    for i in range(writing.MAX_CAMERAS + 5):
        writer.write(type(frame)(f"camera-{i}", frame.captured_at, b"x", frame.position))
    writer.file.close()
    found, _ = read(tmp_path / "line.mcap")
    assert [frame.camera for frame in found] == [f"camera-{i}" for i in range(writing.MAX_CAMERAS + 5)]
    with (tmp_path / "line.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    assert len(summary.channels) == writing.MAX_CAMERAS + 2
