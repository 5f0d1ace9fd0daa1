"""Good frames changed: harmlessly, as another part or camera might (`variation`), and into defects (`corruption`)."""
