// The chooser of modes: one radio button a mode, with what the file states of it.

const modes = contents.modes?.modes ?? [];

const share = (value) => value === null ? "–" : `${(100 * value).toFixed(1)} %`;

/** A row of the chooser. */
function modeRow(mode, number) {
  const radio = make("input", { type: "radio", name: "mode", id: `mode-${number}`, value: number, disabled: "" });
  radio.checked = number === contents.modes.chosen;
  const ends = mode.interval === null ? "" : `${(100 * mode.interval[0]).toFixed(1)} to ${(100 * mode.interval[1]).toFixed(1)}`;
  const accuracy = make("td", {}, share(mode.accuracy), make("small", {}, ends));
  const meant = mode.ber === 0 ? "no errors" : percent(mode.ber);
  const volts = make("small", {}, mode.volts === null ? "" : `${mode.volts.toFixed(3)} Vmin`);
  return make("tr", {},
    make("th", { scope: "row" }, make("label", { for: `mode-${number}` }, radio, make("span", {}, mode.name))),
    make("td", {}, meant, volts), accuracy, make("td", {}, share(mode.clean)), make("td", {}, share(mode.energy)));
}

/** Writes the chooser, and calls `choose(number)` when a mode is chosen, `goTo(stop)` for the voltage it is meant for. */
export function buildModes(choose, goTo) {
  element("modes").hidden = modes.length === 0;
  element("mode-rows").replaceChildren(...modes.map(modeRow));
  element("mode-rows").addEventListener("change", (event) => choose(Number(event.target.value)));
  element("mode-voltage").addEventListener("click", () => goTo(modes[chosenMode()].stop));
}

/** The number of the mode that is chosen; null for a file without modes. */
export function chosenMode() {
  return modes.length ? Number(document.querySelector("input[name=mode]:checked").value) : null;
}

/** What a page says of the mode after a voltage; empty for a file without modes. */
export const saidMode = (mode) => mode === null ? "" : `, mode ${modes[mode].name}`;

/** Marks the row that is chosen, and offers its voltage where the slider stands elsewhere. */
export function showMode(mode, stop) {
  if (mode === null) return;
  document.querySelectorAll("#mode-rows tr").forEach((row, number) => row.classList.toggle("chosen", number === mode));
  const meant = modes[mode].stop;
  element("mode-voltage").disabled = meant === null || meant === stop || document.documentElement.dataset.ready !== "yes";
}

/** The share of energy saved at a place of the slider in a mode; null where that is not known. */
export const savingIn = (mode, stop) => mode === null ? stops[stop].saving : modes[mode].savings[stop];
