// Reads a recording twice, by its index and as a stream, all checksums verified, and says what is in it as JSON.
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { McapIndexedReader, McapStreamReader } from "@mcap/core";
import { FileHandleReadable } from "@mcap/nodejs";

const path = process.argv[2];
const indexed = await McapIndexedReader.Initialize({ readable: new FileHandleReadable(await open(path, "r")) });
const messages = {};
for await (const message of indexed.readMessages({ validateCrcs: true })) {
  const { topic } = indexed.channelsById.get(message.channelId);
  messages[topic] = (messages[topic] ?? 0) + 1;
}
const metadata = {};
for await (const record of indexed.readMetadata()) {
  metadata[record.name] = Object.fromEntries(record.metadata);
}

const stream = new McapStreamReader({ validateCrcs: true });
let streamed = 0;
for await (const part of createReadStream(path)) {
  stream.append(part);
  for (let record; (record = stream.nextRecord()); ) {
    streamed += record.type === "Message" ? 1 : 0;
  }
}
const schemas = [...indexed.schemasById.values()].map((schema) => schema.name).sort();
console.log(JSON.stringify({ messages, metadata, schemas, streamed, whole: stream.done() }));
