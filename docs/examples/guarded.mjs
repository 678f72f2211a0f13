// A base behind its front, as nfkit.Guarded runs it, in JavaScript: onnxruntime-web, or anything with its interface.
//
//     const answer = JSON.parse(/* the metadata entry nfkit.answer of the front */);
//     const guarded = new Guarded(ort, await ort.InferenceSession.create("net.front.onnx"), ask, answer);
//     const { classes, asked } = await guarded.classify(images);   // images: ort.Tensor [N, ...] in the base's own input
//
// `ask` takes such a tensor of some of the samples, and gives the base's scores for them, Float32Array [n * classes].
// onnxruntime-web feeds no input that has a default, as nfkit/base_scores has, so base and evidence are joined here.

const FLOOR = 1e-07; // no share of a base counts as less
const SURE = "nfkit/sure", SEEN = "nfkit/generator/evidence", SHOWN = "nfkit/protected";

export class Guarded {
  constructor(ort, front, ask, answer) {
    Object.assign(this, { ort, front, ask, answer, image: front.inputNames[0] });
    this.wanted = [SURE, SEEN, SHOWN].filter((name) => front.outputNames.includes(name));
  }

  async classify(images) {
    // 1. The front looks, and changes the image where it was made to.
    const seen = await this.front.run({ [this.image]: images }, this.wanted);
    const open = [];
    for (let i = 0; i < images.dims[0]; i++) if (!seen[SURE]?.data[i]) open.push(i);
    // 2. The base is asked where the evidence is not sure.
    const given = open.length ? await this.ask(this.rows(seen[SHOWN] ?? images, open)) : [];
    const size = given.length / open.length;
    // 3. Both answer where it was, and the evidence alone where it was not.
    const evidence = (i) => seen[SEEN].data.subarray(i * seen[SEEN].dims[1], (i + 1) * seen[SEEN].dims[1]);
    const classes = Array.from({ length: images.dims[0] }, (_, i) => (seen[SURE]?.data[i] ? best(evidence(i)) : -1));
    open.forEach((i, k) => {
      const scores = given.subarray(k * size, (k + 1) * size);
      classes[i] = best(this.answer ? join(scores, evidence(i), this.answer) : scores);
    });
    return { classes, asked: open.length };
  }

  rows(tensor, wanted) {
    const size = tensor.data.length / tensor.dims[0];
    const data = new tensor.data.constructor(wanted.length * size);
    wanted.forEach((i, k) => data.set(tensor.data.subarray(i * size, (i + 1) * size), k * size));
    return new this.ort.Tensor(tensor.type, data, [wanted.length, ...tensor.dims.slice(1)]);
  }
}

// log((1 - e) softmax(t s) + e / C) + b log softmax(z / T)
function join(scores, evidence, { form, trust }) {
  const s = Array.from(scores, (x) => (form.kind === "probabilities" ? Math.log(Math.max(x, FLOOR)) : x));
  const base = logSoftmax(s.map((x) => trust.sharpness * x));
  const seen = logSoftmax(Array.from(evidence, (z) => z / trust.temperature));
  const doubt = trust.doubt;
  const believed = doubt ? base.map((x) => Math.log((1 - doubt) * Math.exp(x) + doubt / base.length)) : base;
  return trust.weight ? believed.map((x, c) => x + trust.weight * seen[c]) : s;
}

function logSoftmax(values) {
  const most = Math.max(...values);
  const sum = Math.log(values.reduce((total, x) => total + Math.exp(x - most), 0));
  return values.map((x) => x - most - sum);
}

function best(values) {
  return values.reduce((at, value, index) => (value > values[at] ? index : at), 0);
}
