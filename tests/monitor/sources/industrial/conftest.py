"""The makers' libraries, which a machine may lack."""

from typing import Any

import pytest

from tests.fixtures.industrial_cameras import require_pylon


@pytest.fixture(scope="session")
def pylon() -> Any:
    """pypylon's module `pylon`, which has two emulated cameras."""
    return require_pylon()
