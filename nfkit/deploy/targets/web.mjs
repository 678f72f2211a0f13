// Runs a model in node with onnxruntime-web: node web.mjs MODEL FOLDER, where the folder holds runtime and samples.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [model, folder] = process.argv.slice(2);
const runtime = await import(pathToFileURL(join(folder, "ort.wasm.bundle.min.mjs")));
runtime.env.wasm.wasmBinary = readFileSync(join(folder, "ort-wasm-simd-threaded.wasm")).buffer;
runtime.env.wasm.numThreads = 1;

const ARRAYS = {
  float32: Float32Array, float16: globalThis.Float16Array ?? Uint16Array, int8: Int8Array, uint8: Uint8Array,
  int16: Int16Array, uint16: Uint16Array, int32: Int32Array, int64: BigInt64Array,
};

const feeds = {};
for (const line of readFileSync(join(folder, "feeds.txt"), "utf8").split("\n")) {
  const [index, type, shape, ...name] = line.split(" ");
  const bytes = Uint8Array.from(readFileSync(join(folder, `feed${index}`)));
  const values = new ARRAYS[type](bytes.buffer);
  feeds[name.join(" ")] = new runtime.Tensor(type, values, shape.split(",").map(Number));
}
const session = await runtime.InferenceSession.create(Uint8Array.from(readFileSync(model)));
const outputs = await session.run(feeds);
const lines = session.outputNames.map((name, index) => {
  const { type, dims, data } = outputs[name];
  writeFileSync(join(folder, `output${index}`), new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return `${type} ${dims.join(",")}`;
});
writeFileSync(join(folder, "outputs.txt"), lines.join("\n"));
