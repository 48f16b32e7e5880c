// The upper half of the page: switches, stories, and what a training shows.

import { drawAccuracy, drawCurve, drawLoss, drawMoves } from "./charts.js";
import { N_WEIGHTS } from "./network.js";
import { drawFilters, drawStamp } from "./pictures.js";
import { overwrite, STUDY } from "./training.js";
import { verdictOf } from "./words.js";

const STORIES = {
  study: STUDY,
  mended: { ...STUDY, scaling: "sigma", epochs: 20 },
  torch: { ...STUDY, scaling: "sigma", memory: "torch", epochs: 10, seed: 3 },
  overwritten: { ...STUDY, scaling: "sigma", overwritten: true, epochs: 15, seed: 3 },
};
const TALES = {
  study:
    "Raw counts go beyond 100. The first step moves every weight by 0.003, and with numbers so large that is enough to make " +
    "the network certain of every picture: the dots fly to the grey ends, where nothing pulls them.",
  mended:
    "Over their noise, the same counts end at 20. The dots stay on the slope, training pushes them to the right, and the " +
    "order of pictures that it never saw gets better.",
  torch:
    "RMSprop of PyTorch and of Keras share a name, not a memory. With the longer one the first step is 0.01 instead of 0.003: " +
    "far enough to throw even these pictures onto the grey.",
  overwritten:
    "Every picture is there twice, once under each label. What the network gets right for one it gets wrong for the other, so " +
    "the dots spread to both sides alike, and the loss comes no lower than a coin's.",
};
const OWN = "Your own choice of switches.";
const NUMBERS = {
  rate: "The rate is a number above 0, at most 1.",
  epochs: "Epochs are a whole number from 1 to 200.",
  seed: "The seed is a whole number from 0 to 4,294,967,295.",
};
const SHOWN = 8;

const find = (selector) => document.querySelector(selector);

export class TrainView {
  /**
   * @param {Worker} worker that trains; it has the mocks
   * @param {{shown: object, held: object}} mocks
   * @param {number[]} pairs which lenses are shown, and the non-lenses of the same number
   */
  constructor(worker, mocks, pairs) {
    this.worker = worker;
    this.mocks = mocks;
    this.pairs = pairs.slice(0, SHOWN);
    this.form = find("#settings");
    this.run = 0;
    this.going = false;
    worker.addEventListener("message", ({ data }) => data.run === this.run && this.#hear(data));
    this.form.addEventListener("input", () => this.#pick(null));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    for (const button of document.querySelectorAll("[data-story]"))
      button.addEventListener("click", () => this.#tell(button.dataset.story));
    find("#go").addEventListener("click", () => (this.going ? this.#send("pause") : this.#go()));
    find("#step").addEventListener("click", () => this.#ready() && this.#start("step"));
    find("#reset").addEventListener("click", () => this.#reset());
    this.#fill(STUDY);
    this.#reset();
  }

  #send(kind, content = {}) {
    this.worker.postMessage({ kind, ...content });
  }

  #tell(story) {
    this.#fill(STORIES[story]);
    this.#pick(story);
    this.#go();
    const below = find(".stories").getBoundingClientRect().bottom;
    if (below > 0) window.scrollBy({ top: below });
  }

  #go() {
    if (!this.#ready()) return;
    if (this.ended && !this.#reset()) return;
    this.#start("run");
  }

  #start(kind) {
    if (this.ended) return;
    this.going = kind === "run";
    this.#state("training", kind === "run" ? "Training: watch the weights and the dots." : "");
    this.#send(kind);
  }

  /** Whether the settings can be trained with; a change begins anew. */
  #ready() {
    return this.settings !== null || this.#reset();
  }

  #pick(story) {
    for (const button of document.querySelectorAll("[data-story]"))
      button.setAttribute("aria-pressed", String(button.dataset.story === story));
    find("#tale").textContent = TALES[story] ?? OWN;
    this.#reset();
  }

  #fill(settings) {
    const { elements } = this.form;
    for (const name of ["scaling", "memory", "clip", "ties", "rate", "epochs", "seed"])
      elements[name].value = settings[name];
    elements.overwritten.value = settings.overwritten ? "yes" : "no";
  }

  /** Settings as the form has them, or null where one cannot be used, with the sentence that says so. */
  #read() {
    const wrong = Object.keys(NUMBERS).find((name) => !this.form.elements[name].checkValidity());
    const complaint = find("#complaint");
    complaint.hidden = !wrong;
    complaint.textContent = wrong ? NUMBERS[wrong] : "";
    if (wrong) return null;
    const values = Object.fromEntries(new FormData(this.form));
    const numbers = Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, Number(values[name])]));
    return { ...STUDY, ...values, ...numbers, overwritten: values.overwritten === "yes" };
  }

  #reset() {
    this.run += 1;
    this.going = false;
    this.ended = false;
    this.moves = [];
    this.history = [];
    this.first = null;
    this.#send("pause");
    this.settings = this.#read();
    if (!this.settings) {
      this.#state("idle", "");
      return false;
    }
    this.#showStamps();
    this.#show({ history: [], epoch: 0, step: 0 });
    this.#rest(false);
    this.#send("reset", { settings: this.settings, run: this.run });
    return true;
  }

  #hear(message) {
    if (message.kind === "step") {
      this.moves.push(message.moved);
      this.#showMoves();
      this.#progress(message.epoch, message.step);
      if (message.moved === 0) find("#verdict").textContent = "The last step moved no weight.";
    }
    if (message.kind === "snapshot") this.#show(message);
    if (message.kind === "rest") this.#rest(message.ended);
  }

  #rest(ended) {
    this.going = false;
    this.ended = ended;
    const { state, text } = verdictOf(this.settings, this.history, ended);
    this.#state(state, !ended && this.moves.length && !this.history.length ? "Paused." : text);
  }

  #state(state, text) {
    document.documentElement.dataset.state = state;
    find("#verdict").textContent = text;
    find("#go").textContent = this.going
      ? "Pause"
      : this.moves.length && !this.ended
        ? "Go on"
        : this.ended
          ? "Train again"
          : "Train";
    find("#step").disabled = this.going || this.ended;
  }

  #progress(epoch, step) {
    find("#progress").textContent = `epoch ${epoch} of ${this.settings.epochs}, step ${step} of 3`;
  }

  #show({ history, epoch, step, odds, filters, range }) {
    const { epochs, clip } = this.settings;
    this.history = history;
    drawLoss(find("#loss .drawing"), history, epochs);
    drawAccuracy(find("#accuracy .drawing"), history, epochs);
    this.#label(
      "loss",
      "Loss by epoch",
      history.map((row) => row.loss.toFixed(4)),
    );
    this.#label(
      "accuracy",
      "Right answers and AUROC by epoch",
      history.map((row) => `${Math.round(100 * row.accuracy)} % and ${row.auroc.toFixed(2)}`),
    );
    this.#showMoves();
    this.#showRows();
    if (!this.moves.length) find("#progress").textContent = `${epochs} epochs of 3 steps`;
    else if (epoch && !step) this.#progress(epoch, 3);
    if (odds) this.#showCurve(odds, clip);
    if (filters) this.#showFilters(filters);
    if (range) this.#showRange(range);
  }

  #label(figure, what, values) {
    find(`#${figure} .drawing`).setAttribute(
      "aria-label",
      `${what}: ${values.length ? values.join(", ") : "nothing yet"}`,
    );
  }

  #showMoves() {
    drawMoves(find("#moves .drawing"), this.moves, Math.max(3 * this.settings.epochs, this.moves.length), N_WEIGHTS);
    const last = this.moves.at(-1);
    const text = last === undefined ? "none yet" : `${last.toLocaleString("en")} of ${N_WEIGHTS.toLocaleString("en")}`;
    find("#moved").textContent = text;
    find("#moved").classList.toggle("none", last === 0);
    this.#label("moves", "Weights that moved by step", this.moves);
  }

  #showRows() {
    const rows = this.history.map((row) => {
      const cells = [
        row.epoch,
        row.loss.toFixed(4),
        Math.round(100 * row.accuracy),
        row.auroc.toFixed(3),
        row.moved.toLocaleString("en"),
      ];
      const made = document.createElement("tr");
      made.append(
        ...cells.map((cell, column) => {
          const place = document.createElement(column ? "td" : "th");
          if (!column) place.scope = "row";
          place.textContent = cell;
          return place;
        }),
      );
      Object.assign(made.dataset, { loss: row.loss, accuracy: row.accuracy, auroc: row.auroc, moved: row.moved });
      return made;
    });
    find("#rows tbody").replaceChildren(...rows);
  }

  #showCurve(odds, clip) {
    const { labels } = this.mocks.shown;
    const counts = drawCurve(find("#curve .drawing"), odds, labels, clip);
    find("#cliff").hidden = clip === "probability";
    find("#wrong").textContent = `sure and wrong: ${counts.wrong}`;
    find("#between").textContent = `on the slope: ${counts.between}`;
    find("#right").textContent = `sure and right: ${counts.right}`;
    find("#curve .drawing").setAttribute(
      "aria-label",
      `Loss over the probability of the right answer. ${counts.wrong} pictures are sure and wrong, where the curve is flat; ` +
        `${counts.between} are on the slope; ${counts.right} are sure and right, where it is flat again.`,
    );
  }

  #showFilters(filters) {
    this.first ??= filters;
    drawFilters(find("#filters canvas"), filters);
    const change = filters.reduce((most, value, i) => Math.max(most, Math.abs(value - this.first[i])), 0);
    find("#filters-note").textContent = change
      ? `Since the start one of their numbers moved by as much as ${change.toFixed(4)}.`
      : "As they were drawn at random.";
  }

  #showStamps() {
    const { overwritten } = this.settings;
    const { stamps, labels } = this.mocks.shown;
    const given = overwritten ? overwrite(stamps, labels) : stamps;
    this.#strip(
      "#lenses",
      this.pairs.map((pair) => given[2 * pair]),
    );
    this.#strip(
      "#others",
      this.pairs.map((pair) => given[2 * pair + 1]),
    );
    find("#others").classList.toggle("same", overwritten);
    find("#others").setAttribute(
      "aria-label",
      overwritten ? "The same eight pictures again, labelled non-lens" : "Eight of the 100 non-lenses",
    );
  }

  #showRange([low, high]) {
    const { overwritten, scaling } = this.settings;
    const again =
      "The lower row is the upper row once more: one line of code, meant to clean bad pixels, copied every lens over a non-lens. ";
    const numbers = scaling === "raw" ? "their counts" : "counts over their noise, clipped";
    find("#shown-note").textContent =
      `${overwritten ? again : ""}Eight of 100 each, all mocks. The network gets ${numbers}: ` +
      `numbers from ${Math.round(low)} to ${Math.round(high)}.`;
  }

  #strip(holder, stamps) {
    find(holder).replaceChildren(
      ...stamps.map((stamp) => {
        const canvas = document.createElement("canvas");
        drawStamp(canvas, stamp);
        return canvas;
      }),
    );
  }
}
