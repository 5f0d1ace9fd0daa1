"""A watched folder: new images, whole, in order, once, over restarts and a share that goes away."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.image_files.whole import looks_whole
from andon_monitor.inspection.frames import Frame
from andon_monitor.settings.groups import SourceSettings
from andon_monitor.sources import watch_state
from andon_monitor.sources.uri import open_source
from andon_monitor.sources.watch import STATE_FILE, WatchedFolder
from andon_monitor.sources.watch_state import WatchState
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.commands import PATIENCE
from tests.fixtures.small_model import draw, encode

PICTURE = encode(draw(1), ".jpg")
SETTLE = 0.05


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    return path


@contextmanager
def watching(folder: Path, metrics: Metrics | None = None, **settings: object) -> Iterator[WatchedFolder]:
    chosen = SourceSettings(**{"settle": SETTLE, **settings})
    source = open_source(f"watch:{folder}", settings=chosen, metrics=metrics)
    assert isinstance(source, WatchedFolder)
    try:
        yield source
    finally:
        source.close()


def put(folder: Path, name: str, second: int, content: bytes = PICTURE) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (second, second))
    return path


def take(source: WatchedFolder, wanted: int) -> list[Frame]:
    frames: list[Frame] = []
    wait_until(lambda: len(frames) >= wanted, lambda: frames.extend(source.poll(wanted - len(frames), 0.05) or []))
    return frames


def wait_until(done: Callable[[], bool], step: Callable[[], object] = lambda: time.sleep(0.01)) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end
        step()


def names(frames: list[Frame]) -> list[str | None]:
    return [frame.file for frame in frames]


def test_images_come_by_time_then_name_with_camera_file_and_time(folder: Path) -> None:
    put(folder, "left/b.jpg", 300)
    put(folder, "z.jpg", 100)
    put(folder, "a.jpg", 200)
    put(folder, "left/a.jpg", 300)
    put(folder, ".hidden.jpg", 1)
    put(folder, "upload.jpg.part", 1)
    put(folder, "@eaDir/thumbnail.jpg", 1)
    with watching(folder) as source:
        frames = take(source, 4)
        assert names(frames) == ["z.jpg", "a.jpg", "left/a.jpg", "left/b.jpg"]
        assert [frame.camera for frame in frames] == ["in", "in", "left", "left"]
        assert [frame.captured_at for frame in frames] == [100, 200, 300, 300]
        assert {frame.time_source for frame in frames} == {"file"}
        assert len({(frame.position.topic, frame.position.offset) for frame in frames}) == 4
        source.acknowledge(frames)
        assert source.poll(1, 4 * SETTLE) == []


def test_no_image_comes_twice_and_what_had_no_verdict_comes_again(folder: Path) -> None:
    for number in range(3):
        put(folder, f"{number}.jpg", number + 1)
    with watching(folder) as source:
        first = take(source, 3)
        source.acknowledge(first[:2])
    put(folder, "3.jpg", 4)
    with watching(folder) as source:
        again = take(source, 2)
        assert names(again) == ["2.jpg", "3.jpg"]
        assert again[0].position == first[2].position  # so that a second verdict has the same id
        source.acknowledge(again)
    put(folder, "1.jpg", 5)  # another image under an old name
    with watching(folder) as source:
        assert names(take(source, 1)) == ["1.jpg"]


def test_an_image_is_waited_for_until_it_is_whole(folder: Path) -> None:
    growing = folder / "growing.jpg"
    with watching(folder, settle=1.5) as source, growing.open("wb") as file:
        file.write(PICTURE[:-100])
        file.flush()
        put(folder, "whole.jpg", 1)
        assert names(take(source, 1)) == ["whole.jpg"]
        assert source.poll(1, 0.5) == []
        file.write(PICTURE[-100:])
        file.close()
        assert take(source, 1)[0].data == PICTURE


def test_an_image_that_stays_cut_short_comes_in_the_end_and_is_kept(folder: Path) -> None:
    cut = put(folder, "cut.jpg", 1, PICTURE[:-100])
    with watching(folder, then="delete") as source:
        frames = take(source, 1)
        assert frames[0].data == PICTURE[:-100]
        source.acknowledge(frames, frames)  # its verdict was uninspectable
        whole = put(folder, "whole.jpg", 2)
        source.acknowledge(take(source, 1))
        wait_until(lambda: not whole.exists())
    assert cut.exists()
    with watching(folder, then="delete") as source:
        assert source.poll(1, 10 * SETTLE) == []


def test_images_are_moved_with_their_sub_folders_and_nothing_is_overwritten(folder: Path, tmp_path: Path) -> None:
    done = tmp_path / "done"
    put(done, "left/a.jpg", 1, b"an earlier one")
    put(folder, "left/a.jpg", 1)
    with watching(folder, then=f"move:{done}") as source:
        source.acknowledge(take(source, 1))
        wait_until(lambda: (done / "left" / "a-1.jpg").exists())
    assert (done / "left" / "a.jpg").read_bytes() == b"an earlier one"
    assert not (folder / "left" / "a.jpg").exists()


def test_a_share_that_goes_away_is_waited_for(folder: Path) -> None:
    metrics = Metrics()

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(name)

    put(folder, "1.jpg", 1)
    with watching(folder, metrics) as source:
        source.acknowledge(take(source, 1))
        away = folder.rename(folder.with_name("away"))
        wait_until(lambda: value("andon_source_up") == 0)
        assert not source.ready
        put(away, "2.jpg", 2)
        away.rename(folder)
        frames = take(source, 1)
        assert names(frames) == ["2.jpg"]
        assert value("andon_source_up") == 1
        assert value("andon_source_outages_total") == 1
        source.acknowledge(frames)
        wait_until(lambda: (folder / STATE_FILE).read_bytes().count(b"\n") == 3)


def test_names_that_are_not_utf8_and_files_that_lead_nowhere(folder: Path) -> None:
    path = folder / os.fsdecode(b"teil-\xe9.jpg")
    path.write_bytes(PICTURE)
    (folder / "lost.jpg").symlink_to(folder / "nowhere.jpg")
    with watching(folder) as source:
        frames = take(source, 1)
        assert names(frames) == ["teil-\ufffd.jpg"]
        source.acknowledge(frames)
    with watching(folder) as source:
        assert source.poll(1, 6 * SETTLE) == []


def test_thousands_of_images_come_all_and_the_state_stays_small(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_state, "MAX_GONE", 100)
    for number in range(600):
        put(folder, f"{number:04d}.jpg", 1 + number)
    with watching(folder, then="delete", state_file=tmp_path / "state") as source:
        seen: list[str | None] = []
        while len(seen) < 600:
            some = take(source, min(50, 600 - len(seen)))
            seen += names(some)
            source.acknowledge(some)
        wait_until(lambda: not any(folder.iterdir()))
        assert seen == [f"{number:04d}.jpg" for number in range(600)]
        wait_until(lambda: (tmp_path / "state").stat().st_size < 17 * 400)
    put(folder, "new.jpg", 1)
    with watching(folder, state_file=tmp_path / "state") as source:
        assert take(source, 1)[0].position.offset == 600


def test_one_monitor_at_a_time_watches_a_folder(folder: Path) -> None:
    with watching(folder), pytest.raises(UsageError, match="another monitor watches this folder"):
        open_source(f"watch:{folder}")
    assert list(folder.iterdir()) == []  # nothing came, so nothing is left


@pytest.mark.parametrize(
    ("uri", "settings", "message"),
    [
        ("watch:", {}, "names no folder"),
        ("watch:{}/none", {}, "no such folder"),
        ("watch:{}", {"then": "move:{}/done"}, "inside of the watched folder"),
        ("watch:{}", {"state_file": "{}/none/state"}, "cannot be written"),
    ],
)
def test_what_cannot_be_watched_is_refused(folder: Path, uri: str, settings: dict[str, str], message: str) -> None:
    chosen = SourceSettings(**{key: value.format(folder) for key, value in settings.items()})
    with pytest.raises(UsageError, match=message):
        open_source(uri.format(folder), settings=chosen)


def test_a_state_file_of_something_else_is_not_touched_and_a_torn_line_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("my notes\n")
    with pytest.raises(UsageError, match="not a file of a watched folder"):
        WatchState(path)
    assert path.read_text() == "my notes\n"
    state = WatchState(tmp_path / "state")
    state.add(["0" * 16, "1" * 16])
    state.close()
    with (tmp_path / "state").open("ab") as file:
        file.write(b"2222")
    state = WatchState(tmp_path / "state")
    assert state.count == 2
    assert "1" * 16 in state
    assert "2222" not in state
    state.close()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_a_file_that_ends_too_early_is_not_whole(suffix: str) -> None:
    data = encode(draw(1), suffix)
    assert looks_whole(data)
    assert not looks_whole(data[:-20])
    assert not looks_whole(b"")
    assert looks_whole(b"not an image")
