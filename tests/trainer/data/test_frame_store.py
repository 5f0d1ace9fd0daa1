"""Frames on limited disk: what is kept is spread over the recording, and its bytes are those that came."""

from pathlib import Path

from andon_trainer.data.frame_store import FrameStore


def content(i: int) -> bytes:
    return b"%d " % i * (1 + i % 7)


def test_of_many_frames_every_second_or_fourth_is_kept_with_its_bytes() -> None:
    store = FrameStore(max_images=100)
    for i in range(350):
        store.add(Path(f"{i}"), "scratch" if i % 50 == 49 else "good", content(i))
    good = [path for path, label in store.paths().items() if label == "good"]
    scratches = [path for path, label in store.paths().items() if label == "scratch"]
    assert (store.every("good"), store.every("scratch"), store.seen["good"]) == (4, 1, 343)
    assert len(good) == 86
    assert [int(path.name) for path in scratches] == list(range(49, 350, 50))
    assert [int(path.name) for path in good[:3]] == [0, 4, 8]
    assert all(store.read(path) == content(int(path.name)) for path in store.paths())
    assert store.read(Path("1")) is None


def test_bytes_are_limited_and_the_file_shrinks() -> None:
    store = FrameStore(max_bytes=1000)
    for i in range(100):
        store.add(Path(f"{i}"), "good", b"%03d" % i + bytes(97))
        assert store._end <= 1000
        assert store._file.seek(0, 2) <= 1000
    assert all(store.read(path) == b"%03d" % int(path.name) + bytes(97) for path in store.paths())
    assert len(store.paths()) >= 5
