// What one sees and presses.

const element = (id) => document.getElementById(id);
const { samples, stops, models } = contents;
const state = { chip: contents.chip, stop: contents.start, mode: null, turn: 0, sweeping: false, visits: new Map() };

const percent = (share) => `${Number((100 * share).toPrecision(3))} %`.replace("-", "−");
const className = (index) => index < 0 ? "no number" : samples.classes[index] ?? `class ${index}`;
const voltage = (stop) => stop.volts === null ? `rate ${percent(stop.rate)}` : `${stop.volts.toFixed(3)} Vmin`;

function make(tag, attributes = {}, ...children) {
  const space = ["polyline", "circle", "line", "text", "path"].includes(tag) ? "http://www.w3.org/2000/svg" : null;
  const made = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Right answers by voltage, of this chip in the mode that is chosen. */
function visited() {
  if (!state.visits.has(state.mode)) state.visits.set(state.mode, new Map());
  return state.visits.get(state.mode);
}

/** What can be said of a voltage before anything has run. */
function showStop() {
  const stop = stops[state.stop], saving = savingIn(state.mode, state.stop);
  const energy = stop.energy === null ? "unknown" : `${(100 * stop.energy).toFixed(1)} % of Vmin`;
  element("volts").textContent = voltage(stop);
  element("rate").textContent = stop.rate === 0 ? "none" : percent(stop.rate);
  element("energy").textContent = energy;
  element("saving").textContent = saving === null ? "unknown" : percent(saving);
  showMode(state.mode, state.stop);
  element("chip").textContent = `chip ${state.chip}`;
  element("voltage").value = state.stop;
  element("voltage").setAttribute("aria-valuetext", `${voltage(stop)}, bit error rate ${percent(stop.rate)}, energy ${energy}`);
}

/** The picture of an image, as the model takes it. */
function paint(canvas, index) {
  const [channels, height, width] = samples.image, shown = channels === 3 ? 3 : 1;
  const last = samples.layout === "NHWC", values = images.values.subarray(index * images.size, (index + 1) * images.size);
  canvas.width = width;
  canvas.height = height;
  const picture = new ImageData(width, height);
  const end = (ends, channel) => ends[Math.min(channel, ends.length - 1)];
  for (let at = 0; at < height * width; at++) {
    for (let rgb = 0; rgb < 3; rgb++) {
      const channel = shown === 3 ? rgb : 0;
      const value = values[last ? at * channels + channel : channel * height * width + at];
      const low = end(samples.low, channel), high = end(samples.high, channel);
      picture.data[4 * at + rgb] = 255 * (value - low) / (high - low);
    }
    picture.data[4 * at + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/** Cards and tallies, once; answers are written into them. */
function build() {
  for (const { name } of models) {
    const bar = make("div", { class: "bar" }, make("i"));
    element("tallies").append(make("div", { class: `tally ${name}`, id: `tally-${name}` }, make("span", {}, name), bar, make("b")));
  }
  samples.labels.forEach((label, i) => {
    const canvas = make("canvas", { role: "img", "aria-label": `image ${i + 1}: ${className(label)}` });
    const answers = models.map(({ name }) => make("p", { class: name, id: `answer-${name}-${i}` }, `${name}: …`));
    element("samples").append(make("li", {}, canvas, make("p", { class: "truth" }, className(label)), ...answers));
    paint(canvas, i);
  });
  element("saving-figure").hidden = models.length < 2;
  element("voltage").max = stops.length - 1;
  element("kind").textContent = `where a faulty cell ${contents.sentence}`;
  element("source").textContent = `The first ${images.count} samples of ${samples.source}; voltages and energies by the curve ${contents.curve}. ` +
    "So few images show how it works; nfkit evaluate measures how well.";
  element("versions").textContent = `nfkit ${contents.versions.nfkit}`;
}

/** The chip's memory as a picture: a pixel for a run of bytes, darker for more wrong bits. */
function drawMemory(codes) {
  const canvas = element("memory"), pixels = canvas.width * canvas.height;
  const total = codes.reduce((sum, code) => sum + code.length, 0), share = Math.max(total / pixels, 1 / 8);
  const starts = codes.map(((sum) => (code) => (sum += code.length) - code.length)(0));
  const counts = new Float32Array(pixels);
  for (const [site, byte, bits] of differences(codes)) {
    for (let bit = 0; bit < 8; bit++) {
      if ((bits >> bit) & 1) counts[Math.min(pixels - 1, Math.floor((starts[site] + byte + bit / 8) / share))]++;
    }
  }
  const style = getComputedStyle(canvas), ink = style.color.match(/[\d.]+/g).map(Number);
  const picture = new ImageData(canvas.width, canvas.height);
  counts.forEach((count, i) => picture.data.set([ink[0], ink[1], ink[2], count ? Math.min(255, 110 + 70 * count) : 0], 4 * i));
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

const EDGE = { left: 52, right: 14, top: 14, bottom: 186 };

/** Where a stop lies on the axis: by its voltage, or one after the other where the curve does not know them all. */
const place = (stop) => stops.every(({ volts }) => volts !== null) ? stops[stop].volts : stop;

/** Right answers against voltage, for what was visited on this chip. */
function drawChart() {
  const chart = element("chart"), seen = visited(), points = [...seen.keys()].sort((a, b) => a - b);
  const right = chart.clientWidth - EDGE.right, span = place(stops.length - 1) - place(0) || 1;
  const x = (stop) => EDGE.left + (right - EDGE.left) * (place(stop) - place(0)) / span;
  const y = (share) => EDGE.bottom - (EDGE.bottom - EDGE.top) * share;
  chart.setAttribute("viewBox", `0 0 ${chart.clientWidth} 220`);
  chart.replaceChildren();
  for (const share of [0, .5, 1]) {
    chart.append(make("line", { class: "grid", x1: EDGE.left, x2: right, y1: y(share), y2: y(share) }));
    chart.append(make("text", { x: EDGE.left - 6, y: y(share) + 4, "text-anchor": "end" }, `${100 * share} %`));
  }
  const middle = [...stops.keys()].reduce((best, stop) => Math.abs(x(stop) - (EDGE.left + right) / 2)
    < Math.abs(x(best) - (EDGE.left + right) / 2) ? stop : best, 0);
  for (const [stop, anchor] of [[0, "start"], [middle, "middle"], [stops.length - 1, "end"]]) {
    if (anchor === "middle" && [0, stops.length - 1].includes(stop)) continue;
    chart.append(make("text", { x: x(stop), y: 208, "text-anchor": anchor }, voltage(stops[stop])));
  }
  for (const { name } of models) {
    const at = points.map((stop) => [x(stop), y(seen.get(stop)[name] / images.count)]);
    const dashes = name === "base" ? "6 4" : "none";
    chart.append(make("polyline", { class: name, points: at.join(" "), "stroke-dasharray": dashes }));
    for (const [cx, cy] of at) chart.append(make("circle", { class: name, cx, cy, r: name === "base" ? 3 : 4 }));
  }
  models.forEach(({ name }, i) => chart.append(
    make("text", { class: name, x: right - 6, y: 150 + 20 * i, "text-anchor": "end" }, name === "base" ? "base, dashed" : name),
  ));
  chart.setAttribute("aria-label", `right answers at ${points.length} voltages; the table below has them`);
  element("visited").replaceChildren(
    make("tr", {}, make("th", { scope: "col" }, "voltage"), ...models.map(({ name }) => make("th", { scope: "col" }, name))),
    ...points.map((stop) => make("tr", {}, make("td", {}, voltage(stops[stop])),
      ...models.map(({ name }) => make("td", {}, `${seen.get(stop)[name]} of ${images.count}`)))),
  );
}

function showAnswers(model, classes) {
  let right = 0;
  classes.forEach((found, i) => {
    const correct = found === samples.labels[i], line = element(`answer-${model.name}-${i}`);
    right += correct;
    line.textContent = `${correct ? "✓" : "✗"} ${model.name}: ${className(found)}`;
    line.classList.toggle("wrong", !correct);
  });
  const tally = element(`tally-${model.name}`);
  tally.querySelector("i").style.width = `${100 * right / images.count}%`;
  tally.querySelector("b").textContent = `${right} of ${images.count}`;
  return right;
}

/** Runs the models on the chip at the voltage; a later call makes an earlier one give up. */
async function run() {
  const turn = ++state.turn, stale = () => turn !== state.turn;
  showStop();
  await new Promise((resume) => setTimeout(resume, state.sweeping ? 0 : 60));
  if (stale()) return;
  const { stop, mode } = state, began = performance.now();
  const { codes, flipped } = readChip(state.chip, stops[stop]);
  element("flipped").textContent = flipped.toLocaleString("en");
  element("memory").setAttribute("aria-label", `weight memory of chip ${state.chip}: ${flipped} bits come back wrong`);
  drawMemory(codes);
  const right = {};
  for (const model of models) {
    const classes = await classify(model, codes, stale, mode);
    if (classes === null || stale()) return;
    right[model.name] = showAnswers(model, classes);
  }
  visited().set(stop, right);
  drawChart();
  const tallies = models.map(({ name }) => `${name} ${right[name]} of ${images.count} right`).join(", ");
  element("status").textContent = `${voltage(stops[stop])}${saidMode(mode)}: ${tallies}`;
  performance.measure("nfkit: answers", { start: began, end: performance.now() });
}

function changeChip(chip) {
  state.chip = chip;
  state.visits.clear();
  return run();
}

function chooseMode(mode) {
  state.mode = mode;
  return run();
}

function goToStop(stop) {
  if (state.sweeping) sweep();
  state.stop = stop;
  return run();
}

async function sweep() {
  state.sweeping = !state.sweeping;
  element("sweep").textContent = state.sweeping ? "Stop" : "Visit all voltages";
  for (const stop of [...stops.keys()].reverse()) {
    if (!state.sweeping) return;
    state.stop = stop;
    await run();
  }
  if (state.sweeping) await sweep();
}

async function start() {
  try {
    await load();
    build();
    buildModes(chooseMode, goToStop);
    state.mode = chosenMode();
    await run();
  } catch (error) {
    element("status").textContent = `This browser cannot run the page: ${error.message}. It needs WebAssembly with SIMD and DecompressionStream.`;
    throw error;
  }
  element("voltage").addEventListener("input", (event) => goToStop(Number(event.target.value)));
  element("another").addEventListener("click", () => changeChip(state.chip + 1));
  element("sweep").addEventListener("click", sweep);
  for (const id of ["voltage", "another", "sweep"]) element(id).disabled = false;
  for (const radio of document.querySelectorAll("input[name=mode]")) radio.disabled = false;
  document.documentElement.dataset.ready = "yes";
  showMode(state.mode, state.stop);
}

/** For the console: what the page computes, in numbers. */
window.nfkit = { contents, readChip, classify, goTo: (chip, stop) => { state.stop = stop; return changeChip(chip); } };
start();
