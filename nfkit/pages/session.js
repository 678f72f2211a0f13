// Models in the page: unpacked, patched with what a chip returns for their weights, and run.

export const contents = JSON.parse(document.getElementById("contents").textContent);

/** The bytes of a piece of the page. */
async function unpack(name) {
  const text = atob(document.getElementById(`piece-${name}`).textContent);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const ARRAYS = {
  float32: Float32Array, int8: Int8Array, uint8: Uint8Array, int32: Int32Array, int16: Int16Array, uint16: Uint16Array,
  float16: globalThis.Float16Array ?? Uint16Array,
};

/** The images as one typed array. */
export const images = { values: null, size: 0, count: contents.samples.shape[0] };
const templates = {};
const stored = [];
let runtime;

/** Unpacks all that the page holds, and starts the runtime. */
export async function load() {
  const kind = ARRAYS[contents.samples.dtype];
  images.values = new kind((await unpack("images")).buffer);
  images.size = images.values.length / images.count;
  const codes = await unpack("codes");
  let start = 0;
  for (const site of contents.sites) stored.push(codes.subarray(start, start += site.size));
  for (const model of contents.models) templates[model.name] = await unpack(model.name);
  const script = URL.createObjectURL(new Blob([await unpack("runtime")], { type: "text/javascript" }));
  runtime = await import(script);
  runtime.env.wasm.wasmBinary = (await unpack("wasm")).buffer;
  runtime.env.wasm.numThreads = 1;  // more would need headers that a file has not
}

const memories = { chip: null, all: [] };

/** What a chip returns for all weights: codes a site, how many cells err, and how many bits come back wrong. */
export function readChip(chip, stop) {
  if (memories.chip !== chip) {
    memories.chip = chip;
    memories.all = contents.sites.map((site) => new Memory(chip, site.name, site.codes * site.bits));
  }
  const result = { codes: [], flipped: 0 };
  contents.sites.forEach((site, i) => {
    const got = read(memories.all[i], site, stored[i], contents, stop.taus);
    result.codes.push(got.codes);
    result.flipped += got.flipped;
  });
  return result;
}

/** Where the stored codes differ from those that came back, as [site, byte, bits]. */
export function* differences(codes) {
  for (let site = 0; site < codes.length; site++) {
    for (let i = 0; i < codes[site].length; i++) {
      const bits = codes[site][i] ^ stored[site][i];
      if (bits) yield [site, i, bits];
    }
  }
}

/**
 * The class that a model gives each image, -1 where its scores are no numbers; null once `stale()` says so. A mode is
 * set by its number where the file states it: this runtime takes no input that has a default.
 */
export async function classify(model, codes, stale = () => false, mode = null) {
  const bytes = templates[model.name].slice();
  codes.forEach((code, i) => bytes.set(code, model.offsets[i]));
  if (mode !== null && model.mode !== null) new DataView(bytes.buffer).setBigInt64(model.mode, BigInt(mode), true);
  const session = await runtime.InferenceSession.create(bytes);
  try {
    const classes = [], step = model.batch ?? 16;
    for (let start = 0; start < images.count; start += step) {
      await new Promise((resume) => setTimeout(resume));  // the slider goes first
      if (stale()) return null;
      classes.push(...await runBatch(session, model, start, step));
    }
    return classes;
  } finally {
    await session.release();
  }
}

async function runBatch(session, model, start, step) {
  const used = Math.min(step, images.count - start), count = model.batch ?? used;
  const values = new images.values.constructor(count * images.size);
  values.set(images.values.subarray(start * images.size, (start + used) * images.size));
  const shape = [count, ...contents.samples.shape.slice(1)];
  const input = new runtime.Tensor(contents.samples.dtype, values, shape);
  const { [model.output]: output } = await session.run({ [model.input]: input }, [model.output]);
  const scores = output.data, width = scores.length / count;
  return Array.from({ length: used }, (_, i) => best(scores.subarray(i * width, (i + 1) * width)));
}

/** Index of the largest score; of equal ones the first. */
function best(scores) {
  let found = 0;
  for (let i = 0; i < scores.length; i++) {
    if (Number.isNaN(scores[i])) return -1;
    if (scores[i] > scores[found]) found = i;
  }
  return found;
}
