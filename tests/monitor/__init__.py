"""Tests of the monitor, one module for each of its modules."""
