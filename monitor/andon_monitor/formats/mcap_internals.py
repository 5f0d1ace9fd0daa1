"""What we use of mcap that is not part of its public interface: all of it is here, and nowhere else.

`tests/monitor/formats/test_mcap_internals.py` fails when a new version moves it; the dependency is pinned to the minor
version for that reason.
"""

from mcap.records import Channel, Schema
from mcap.writer import Writer


class OpenChunk:
    """The chunk that a writer has begun and not written yet.

    The library writes each schema and channel once in a file, so that a chunk cannot be read where the one before it is
    lost. The format allows to repeat them in every chunk, but no public method does that.
    """

    def __init__(self, writer: Writer) -> None:
        self._builder = getattr(writer, "_Writer__chunk_builder")  # noqa: B009

    @property
    def size(self) -> int:
        """Bytes in the chunk so far."""
        return int(self._builder.count)

    @property
    def messages(self) -> int:
        """Messages in the chunk so far."""
        return int(self._builder.num_messages)

    def add_schema(self, schema: Schema) -> None:
        """Repeat a schema in this chunk."""
        self._builder.add_schema(schema)

    def add_channel(self, channel: Channel) -> None:
        """Repeat a channel in this chunk."""
        self._builder.add_channel(channel)
