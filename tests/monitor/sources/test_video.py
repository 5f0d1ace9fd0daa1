"""Every frame of a video, unchanged, with the time at which it is shown."""

import os
from pathlib import Path

import cv2
import numpy as np
from andon_monitor.image_files.decoding import decode
from andon_monitor.sources.uri import open_source

from tests.fixtures.small_model import draw
from tests.fixtures.sources import read_source


def test_a_video_gives_its_frames_without_loss_and_with_their_times(tmp_path: Path) -> None:
    path = tmp_path / "belt.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    for i in range(5):
        writer.write(cv2.cvtColor(draw(i), cv2.COLOR_GRAY2BGR))
    writer.release()
    os.utime(path, (1000, 1000))
    source = open_source(str(path))
    assert source.length == 5
    frames = read_source(source)
    assert [round(frame.captured_at - 1000, 2) for frame in frames] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert [frame.position.offset for frame in frames] == [0, 1, 2, 3, 4]
    assert {frame.camera for frame in frames} == {"belt"}
    capture = cv2.VideoCapture(str(path))
    for frame in frames:
        assert np.array_equal(decode(frame.data, 3)[:, :, ::-1], capture.read()[1])
