"""The makers' libraries, which a machine may lack, and cameras without hardware."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.industrial_cameras import FakeCamera, fake_camera, require_pylon


@pytest.fixture(scope="session")
def pylon() -> Any:
    """pypylon's module `pylon`, which has two emulated cameras."""
    return require_pylon()


@pytest.fixture
def fake() -> Iterator[FakeCamera]:
    """Aravis' fake camera, off at first."""
    with fake_camera() as camera:
        yield camera
