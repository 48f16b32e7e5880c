// Charts as SVG: drawn anew at each change, in the colours of the style sheet.

import { lossOf } from "./loss.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 420;
const HEIGHT = 240;
const FRAME = { left: 46, right: 12, top: 24, bottom: 40 };

function element(name, attributes = {}, text = "") {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

/** A frame with ticks; `x` and `y` turn values into places. */
class Axes {
  constructor(holder, { x, y, width = WIDTH, height = HEIGHT }) {
    this.svg = element("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false" });
    this.box = { left: FRAME.left, right: width - FRAME.right, top: FRAME.top, bottom: height - FRAME.bottom };
    const place = (scale, from, to) => {
      const map = scale.log ? Math.log10 : Number;
      const [low, high] = scale.range.map(map);
      return (value) => from + ((map(value) - low) / (high - low)) * (to - from);
    };
    this.x = place(x, this.box.left, this.box.right);
    this.y = place(y, this.box.bottom, this.box.top);
    this.#ticks(x, y);
    holder.replaceChildren(this.svg);
  }

  #ticks(x, y) {
    const { left, right, bottom } = this.box;
    for (const [value, label] of y.ticks) {
      this.add("line", { x1: left, x2: right, y1: this.y(value), y2: this.y(value), class: "grid" });
      this.text(left - 6, this.y(value) + 4, label, { "text-anchor": "end" });
    }
    for (const [value, label] of x.ticks) this.text(this.x(value), bottom + 16, label, { "text-anchor": "middle" });
    this.add("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "axis" });
    this.text((left + right) / 2, bottom + 34, x.label, { "text-anchor": "middle", class: "label" });
    this.text(0, 11, y.label, { class: "label" });
  }

  add(name, attributes, text) {
    const made = element(name, attributes, text);
    this.svg.append(made);
    return made;
  }

  text(x, y, text, attributes = {}) {
    return this.add("text", { x, y, ...attributes }, text);
  }

  /** A horizontal line with what it means: above it at the right, or `below` it at one side. */
  mark(value, label, kind, below) {
    const { left, right } = this.box;
    const anchor = below === "left" ? "start" : "end";
    this.add("line", { x1: left, x2: right, y1: this.y(value), y2: this.y(value), class: `mark ${kind}` });
    this.text(below === "left" ? left + 4 : right, this.y(value) + (below ? 14 : -5), label, {
      "text-anchor": anchor,
      class: `mark-label ${kind}`,
    });
  }

  line(points, kind) {
    const places = points.map(([x, y]) => `${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`);
    if (places.length > 1) this.add("polyline", { points: places.join(" "), class: `line ${kind}` });
    for (const place of places.length > 40 ? [] : places) {
      const [cx, cy] = place.split(",");
      this.add("circle", { cx, cy, r: 3, class: `dot ${kind}` });
    }
  }
}

function epochTicks(epochs) {
  const step = Math.ceil(epochs / 10);
  return Array.from({ length: Math.floor(epochs / step) }, (_, i) => [(i + 1) * step, String((i + 1) * step)]);
}

/** Loss an epoch, on a logarithmic axis, with the loss of a stuck network and of a coin. */
export function drawLoss(holder, history, epochs) {
  const axes = new Axes(holder, {
    x: { range: [0.5, epochs + 0.5], ticks: epochTicks(epochs), label: "epoch" },
    y: {
      range: [0.1, 110],
      log: true,
      ticks: [
        [0.1, "0.1"],
        [1, "1"],
        [10, "10"],
        [100, "100"],
      ],
      label: "loss",
    },
  });
  axes.mark(8.0151, "8.0151: sure of every picture, half of them wrong", "bad");
  axes.mark(Math.LN2, "0.693: a coin", "plain", "left");
  axes.line(
    history.map((row) => [row.epoch, Math.min(100, Math.max(0.1, row.loss))]),
    "loss",
  );
}

/** Share of held-out stamps that are right, and of pairs that are in order. */
export function drawAccuracy(holder, history, epochs) {
  const axes = new Axes(holder, {
    x: { range: [0.5, epochs + 0.5], ticks: epochTicks(epochs), label: "epoch" },
    y: { range: [0.3, 1], ticks: [0.4, 0.6, 0.8, 1].map((share) => [share, `${100 * share} %`]), label: "right" },
  });
  axes.mark(0.5, "50 %: a coin", "plain", "right");
  axes.line(
    history.map((row) => [row.epoch, Math.max(0.3, row.auroc)]),
    "ranked",
  );
  axes.line(
    history.map((row) => [row.epoch, Math.max(0.3, row.accuracy)]),
    "right",
  );
}

/** Weights that moved, a bar a step. */
export function drawMoves(holder, moves, nSteps, nWeights) {
  const axes = new Axes(holder, {
    x: { range: [0.5, nSteps + 0.5], ticks: stepTicks(nSteps), label: "step" },
    y: {
      range: [0, nWeights],
      ticks: [
        [0, "0"],
        [nWeights / 2, ""],
        [nWeights, nWeights.toLocaleString("en")],
      ],
      label: "weights that moved",
    },
  });
  const width = Math.max(1, 0.7 * (axes.x(2) - axes.x(1)));
  for (const [index, moved] of moves.entries()) {
    const x = axes.x(index + 1) - width / 2;
    if (moved) axes.add("rect", { x, width, y: axes.y(moved), height: axes.y(0) - axes.y(moved), class: "bar" });
    else axes.add("rect", { x, width, y: axes.y(0) - 3, height: 3, class: "bar none" });
  }
}

function stepTicks(nSteps) {
  const step = [1, 2, 3, 5, 10, 20, 50, 100].find((size) => nSteps / size <= 8) ?? 200;
  return Array.from({ length: Math.floor(nSteps / step) }, (_, i) => [(i + 1) * step, String((i + 1) * step)]);
}

const EDGE = 24; // log-odds at the sides of the drawing
const POWERS = { "-23.026": "10⁻¹⁰", "-16.118": "10⁻⁷", "-6.907": "0.001", 0: "½", 6.907: "0.999", 16.118: "1−10⁻⁷" };

const curves = new Map();

/** Loss of one stamp by the log-odds of the right answer, computed once by the code that trains. */
function curveOf(clip) {
  if (!curves.has(clip)) curves.set(clip, computeCurve(clip));
  return curves.get(clip);
}

function computeCurve(clip) {
  return Array.from({ length: 40 * EDGE + 1 }, (_, i) => {
    const odds = (i - 20 * EDGE) / 20;
    const { loss, gradient } = lossOf([0, odds], 1, clip);
    return { odds, loss, flat: gradient[0] === 0 && gradient[1] === 0 };
  });
}

/**
 * The loss over the probability of the right answer, with the stamps on it.
 * @returns {{wrong: number, between: number, right: number}} stamps where the curve is flat, and where it is not
 */
export function drawCurve(holder, odds, labels, clip) {
  const curve = curveOf(clip);
  const highest = Math.max(...curve.map(({ loss }) => loss));
  const ticks = highest > 20 ? [0, 25, 50] : [0, 4, 8, 12, 16];
  const axes = new Axes(holder, {
    ...(holder.clientWidth < 560 ? {} : { width: 2 * WIDTH, height: 300 }),
    x: {
      range: [-EDGE - 1, EDGE + 1],
      ticks: Object.entries(POWERS).map(([value, label]) => [Number(value), label]),
      label: "probability that the network gives to the right answer",
    },
    y: {
      range: [-0.04 * highest, 1.14 * highest],
      ticks: ticks.map((tick) => [tick, String(tick)]),
      label: "loss of one picture",
    },
  });
  const slope = curve.filter(({ flat }) => !flat);
  const [low, high] = [slope[0].odds, slope.at(-1).odds];
  for (const [from, to] of [
    [-EDGE - 1, low],
    [high, EDGE + 1],
  ])
    if (to - from > 1.5)
      axes.add("rect", {
        x: axes.x(from),
        width: axes.x(to) - axes.x(from),
        y: axes.box.top,
        height: axes.box.bottom - axes.box.top,
        class: "flat",
      });
  if (clip === "probability") axes.mark(8.0151, "8.0151: the mean, half at each end", "bad");
  axes.add("polyline", {
    points: curve.map((point) => `${axes.x(point.odds)},${axes.y(point.loss)}`).join(" "),
    class: "curve",
  });
  return placeStamps(axes, curve, odds, labels, [low, high]);
}

/** A number in [-0.5, 0.5) that looks drawn at random, the same for the same key. */
function scatter(key) {
  const value = 43758.5453 * Math.sin(12.9898 * (key + 1));
  return value - Math.floor(value) - 0.5;
}

function placeStamps(axes, curve, odds, labels, [low, high]) {
  const counts = { wrong: 0, between: 0, right: 0 };
  for (const [row, value] of odds.entries()) {
    const right = labels[row] ? value : -value;
    counts[right < low ? "wrong" : right > high ? "right" : "between"] += 1;
    const [along, across] = [scatter(row), scatter(row + 0.5)];
    const beyond = Math.abs(right) > EDGE;
    const shown = beyond ? Math.sign(right) * (EDGE - 1.6 + 4 * along) : right;
    const point = curve[Math.round(20 * (Math.min(EDGE, Math.max(-EDGE, shown)) + EDGE))];
    axes.add("circle", {
      cx: axes.x(shown),
      cy: axes.y(point.loss) + 30 * across,
      r: 3.2,
      class: labels[row] ? "stamp lens" : "stamp other",
    });
  }
  return counts;
}
