"""Tests; each folder mirrors a package, and what they share is in tests.fixtures."""

import pytest

pytest.register_assert_rewrite("tests.fixtures")
