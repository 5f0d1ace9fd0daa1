// Scores frames with a model file of andon-trainer: node score.mjs MODEL.onnx FRAME.pgm ...
import { readFile } from "node:fs/promises";
import { InferenceSession, Tensor } from "onnxruntime-node";

async function readFrame(path) {
  const bytes = await readFile(path);
  const head = /^(P[56])\s+(\d+)\s+(\d+)\s+255\s/.exec(bytes.subarray(0, 64).toString("latin1"));
  if (!head) throw new Error(`${path}: no binary PGM or PPM of 8 bits`);
  const [width, height, channels] = [Number(head[2]), Number(head[3]), head[1] === "P5" ? 1 : 3];
  const pixels = bytes.subarray(head[0].length, head[0].length + width * height * channels);
  if (pixels.length < width * height * channels) throw new Error(`${path}: ends early`);
  return { width, height, channels, pixels };
}

// The card is in the metadata of the ONNX file, which onnxruntime does not show to JavaScript. An ONNX file is a list of
// fields, each a number, a length and that many bytes; field 14 is an entry of the metadata: a key (1), a value (2).
function* fields(bytes) {
  let at = 0;
  const number = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = number();
    if (tag % 8 === 0) number();
    else if (tag % 8 === 1) at += 8;
    else if (tag % 8 === 5) at += 4;
    else if (tag % 8 === 2) {
      const length = number();
      yield [Math.floor(tag / 8), bytes.subarray(at, at + length)];
      at += length;
    } else throw new Error("not an ONNX file");
  }
}

function readCard(model) {
  for (const [field, entry] of fields(model)) {
    if (field !== 14) continue;
    const { 1: key, 2: value } = Object.fromEntries(fields(entry));
    if (key.toString() === "andon.card") return JSON.parse(value.toString());
  }
  throw new Error("no model card: not a model file of andon-trainer");
}

function crop({ width, channels, pixels, height }, [left, top, wide, high]) {
  if (left + wide > width || top + high > height) throw new Error("frame smaller than the region");
  const cut = new Uint8Array(wide * high * channels);
  for (let y = 0; y < high; y++) {
    const start = ((top + y) * width + left) * channels;
    cut.set(pixels.subarray(start, start + wide * channels), y * wide * channels);
  }
  return { width: wide, height: high, channels, pixels: cut };
}

// Which pixels of a side make up pixel `to`, and with which weight.
function weights(to, scale, length) {
  const start = to * scale;
  const end = Math.min(start + scale, length);
  const found = [];
  for (let i = Math.floor(start); i < length && i < end; i++) {
    const share = Math.min(end, i + 1) - Math.max(start, i);
    if (share > 1e-3) found.push([i, share / (end - start)]);
  }
  return found;
}

function roundToEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

// The mean of the area that each pixel covers, as cv.resize with INTER_AREA.
function shrink(frame, width, height) {
  if (frame.width < width || frame.height < height) throw new Error("frame smaller than the model's input");
  const { channels, pixels } = frame;
  const result = new Uint8Array(width * height * channels);
  // Halves are rounded to the even number, but up where two by two pixels become one.
  const halved = frame.width === 2 * width && frame.height === 2 * height;
  const round = halved ? (value) => Math.floor(value + 0.5) : roundToEven;
  const columns = Array.from({ length: width }, (_, x) => weights(x, frame.width / width, frame.width));
  for (let y = 0; y < height; y++) {
    const rows = weights(y, frame.height / height, frame.height);
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (const [row, rowWeight] of rows) {
          let line = 0;
          for (const [column, weight] of columns[x]) line += weight * pixels[(row * frame.width + column) * channels + c];
          sum += rowWeight * line;
        }
        result[(y * width + x) * channels + c] = round(Math.fround(sum));
      }
    }
  }
  return result;
}

async function main([model, ...paths]) {
  if (!paths.length) throw new Error("right is: node score.mjs MODEL.onnx FRAME.pgm ...");
  const content = await readFile(model);
  const { input, calibration } = readCard(content);
  const session = await InferenceSession.create(content);
  for (const path of paths) {
    let frame = await readFrame(path);
    if (frame.channels !== input.channels) throw new Error(`${path}: other channels than the model`);
    if (input.frame_size && (frame.width !== input.frame_size[0] || frame.height !== input.frame_size[1]))
      throw new Error(`${path}: another size than the images that the model learned from`);
    if (input.region) frame = crop(frame, input.region);
    const pixels = shrink(frame, input.width, input.height);
    const frames = new Tensor("uint8", pixels, [1, input.height, input.width, input.channels]);
    const { score } = await session.run({ frames }, ["score"]);
    const verdict = score.data[0] > calibration.threshold ? "defect" : "good";
    console.log(path, score.data[0], calibration.threshold, verdict);
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 2;
}
