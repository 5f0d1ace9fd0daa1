"""The private part of mcap that recordings need is where we look for it, and does what we use it for."""

import io

from andon_monitor.formats.mcap_internals import OpenChunk
from mcap.opcode import Opcode
from mcap.reader import make_reader
from mcap.records import Channel, Chunk, Schema
from mcap.stream_reader import StreamReader, breakup_chunk
from mcap.writer import CompressionType, Writer

UNBOUNDED = 2**62


def test_schemas_and_channels_are_repeated_in_every_chunk() -> None:
    file = io.BytesIO()
    writer = Writer(file, chunk_size=UNBOUNDED, compression=CompressionType.NONE)
    writer.start()
    schema = Schema(id=writer.register_schema("s", "jsonschema", b"{}"), name="s", encoding="jsonschema", data=b"{}")
    number = writer.register_channel("/t", "json", schema.id)
    channel = Channel(id=number, topic="/t", message_encoding="json", schema_id=schema.id, metadata={})
    chunk = OpenChunk(writer)
    for _ in range(3):
        before = chunk.size
        writer.add_message(channel.id, 1, b"{}", 1)
        assert chunk.size > before
        assert chunk.messages == 1
        writer.flush()
        assert (chunk.size, chunk.messages) == (0, 0)
        chunk.add_schema(schema)
        chunk.add_channel(channel)
        assert chunk.size > 0
        assert chunk.messages == 0
    writer.finish()

    records = StreamReader(io.BytesIO(file.getvalue()), emit_chunks=True).records
    chunks = [record for record in records if isinstance(record, Chunk)]
    assert len(chunks) >= 3
    for found in chunks[:3]:
        kinds = [type(record).__name__ for record in breakup_chunk(found, validate_crc=True)]
        assert kinds == ["Schema", "Channel", "Message"]
    assert len(list(make_reader(io.BytesIO(file.getvalue())).iter_messages())) == 3
    assert int(Opcode.CHUNK) == 6
