"""Times as texts."""

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """Seconds since 1970 as `2026-01-05T06:00:00.000Z`, to the millisecond, the precision of Kafka."""
    return datetime.fromtimestamp(round(seconds, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
