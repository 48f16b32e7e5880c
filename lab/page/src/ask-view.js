// The lower half of the page: a stamp, from a file or one of twelve mocks, to the shipped CNN.

import { round } from "./headers.js";
import { drawInput, drawMap, drawStamp } from "./pictures.js";
import { meaningOf } from "./words.js";

const find = (selector) => document.querySelector(selector);

export class AskView {
  /**
   * @param {() => Worker} makeWorker a new one for each question: one that is still busy is ended
   * @param {{stamps: Float32Array[], labels: number[]}} twelve mocks
   * @param {object} shipped weights, scaling, pixel scale, noise, and the figures of its model card
   */
  constructor(makeWorker, twelve, shipped) {
    this.makeWorker = makeWorker;
    this.shipped = shipped;
    this.#offerMocks(twelve);
    // So that the same file can be chosen again, after it was changed.
    find("#file").addEventListener("click", (event) => {
      event.target.value = "";
    });
    find("#file").addEventListener("change", (event) => this.#take(event.target.files));
    for (const box of ["#kernels", "#channels"]) find(box).addEventListener("change", () => this.#ask(this.question));
    find("#cut").addEventListener("click", () => this.#ask({ ...this.question, cut: true }));
    this.#catchDrops();
    this.#ask({ name: "Mock 1", ...this.mocks[0] });
  }

  #offerMocks({ stamps, labels }) {
    const kinds = labels.map((label) => (label ? "a lens" : "a non-lens"));
    this.mocks = stamps.map((pixels, number) => ({ pixels: pixels.slice(), truth: kinds[number] }));
    const buttons = this.mocks.map((mock, number) => {
      const button = document.createElement("button");
      const canvas = document.createElement("canvas");
      const name = document.createElement("span");
      button.type = "button";
      name.textContent = number + 1;
      button.setAttribute("aria-label", `Mock ${number + 1}`);
      button.append(canvas, name);
      drawStamp(canvas, mock.pixels);
      button.addEventListener("click", () => {
        find("#file").value = "";
        this.#ask({ name: `Mock ${number + 1}`, ...mock });
      });
      return button;
    });
    find("#mocks").replaceChildren(...buttons);
  }

  /** A file may be dropped anywhere: outside of the frame the browser would leave the page for it. */
  #catchDrops() {
    const mark = (event) => {
      event.preventDefault();
      find("#drop").classList.toggle("over", event.type === "dragover");
    };
    for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, mark);
    document.addEventListener("drop", (event) => this.#take(event.dataTransfer.files));
  }

  #take(files) {
    if (files.length === 1) this.#ask({ name: files[0].name, file: files[0] });
    else if (files.length > 1) this.#refuse({ reason: `${files.length} files: give one at a time`, offer: false });
  }

  #ask(question) {
    this.question = question;
    this.worker?.terminate();
    this.worker = this.makeWorker();
    const asked = this.worker;
    asked.onmessage = ({ data }) => asked === this.worker && this.#hear(data);
    find("#ask").setAttribute("aria-busy", "true");
    const { weights, scaling, scale } = this.shipped;
    const mistakes = { kernelsFlipped: find("#kernels").checked, channelsLast: find("#channels").checked };
    const { file, pixels, cut } = question;
    asked.postMessage({ kind: "ask", file, pixels, cut, weights, scaling, scale, mistakes });
    for (const [number, button] of [...find("#mocks").children].entries())
      button.setAttribute("aria-pressed", String(this.mocks[number].pixels === pixels));
  }

  #hear(message) {
    if (message.kind === "score") this.#answer(message);
    if (message.kind === "map") this.#showMap(message.map);
    if (message.kind === "refused") this.#refuse({ ...message, reason: `${this.question.name} ${message.reason}` });
    if (message.kind !== "score") find("#ask").removeAttribute("aria-busy");
  }

  #refuse({ reason, offer }) {
    find("#answer").hidden = true;
    find("#refusal").hidden = false;
    find("#refusal p").textContent = `${reason}.`;
    find("#cut").hidden = !offer;
  }

  #answer({ score, right, pixels, input, noise, about }) {
    find("#refusal").hidden = true;
    find("#answer").hidden = false;
    find("#answer").dataset.score = score;
    const wrong = right !== score;
    find("#score").textContent =
      `${this.question.name}: ${wrong ? "a wrong port says" : "score"} ${score.toFixed(3)}${wrong ? `, and the network ${right.toFixed(3)}` : ""}`;
    find(".meter i").style.left = `${100 * score}%`;
    this.#mean(score, wrong, noise, about);
    drawStamp(find("#picture"), pixels);
    drawInput(find("#input"), input);
    const { truth } = this.question;
    find("#picture-note").textContent = truth
      ? `A mock: ${truth}. Faint parts are brightened.`
      : `${about.height} x ${about.width} pixels. Faint parts are brightened.`;
    const ends = [Math.min(...input), Math.max(...input)].map((value) => value.toFixed(1));
    find("#input-note").textContent =
      `Less its sky, over its noise of ${round(noise)} counts, clipped: from ${ends[0]} to ${ends[1]}.`;
    find("#map-note").textContent = "Hiding one place after another ...";
  }

  #mean(score, wrong, noise, { found, height, width, repaired }) {
    const { card, scale, noises } = this.shipped;
    const sentences = wrong
      ? ["Every layer runs, no shape complains, and the number means nothing."]
      : meaningOf(score, card["leak-controlled"]);
    sentences.push("The network was neither trained nor tested on real images: expect far less on those.");
    if (Number.isNaN(found))
      sentences.push(`No header says how large its pixels are; ${scale} arcsec is taken for granted.`);
    else if (Math.abs(found / scale - 1) > 0.01)
      sentences.push(
        `Its pixels are ${round(found)} arcsec, not ${scale}: everything looks another size to the network, and the score may mean nothing.`,
      );
    if (height !== 45 || width !== 45) sentences.push(`Only its middle was scored, of ${height} x ${width} pixels.`);
    if (repaired) sentences.push(`${repaired} pixels were not finite, and became the median.`);
    if (noise < noises[0] / 2 || noise > noises[1] * 2)
      sentences.push(
        `Its noise is ${round(noise)}, that of the training was ${round(noises[0])} to ${round(noises[1])} counts.`,
      );
    find("#meaning").replaceChildren(
      ...sentences.map((sentence) => {
        const made = document.createElement("p");
        made.textContent = sentence;
        return made;
      }),
    );
  }

  #showMap(map) {
    const limit = drawMap(find("#map"), map);
    find("#map-note").textContent =
      `Orange: hiding this place lowers the score, by up to ${limit.toFixed(2)}. Blue: it raises it.`;
  }
}
