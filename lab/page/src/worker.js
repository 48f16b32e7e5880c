// What computes, beside the page: one worker trains, another one reads files and scores.

import { fit, readStamp } from "./fits.js";
import { occlusionMap } from "./occlusion.js";
import { Refusal } from "./refusal.js";
import { noiseOf, SCALINGS } from "./scaling.js";
import { scorer } from "./shipped.js";
import { Training } from "./training.js";

let mocks;
let training;
let run;
let going = false;

function post(kind, content) {
  self.postMessage({ kind, run, ...content });
}

function snapshot() {
  const { history, ended, epoch, step, range, weights } = training;
  post("snapshot", {
    history,
    ended,
    epoch,
    step,
    range,
    odds: training.odds(),
    filters: weights["conv.weight"],
  });
}

function step() {
  const done = training.takeStep();
  if (done) post("step", { ...done, ended: training.ended });
  return done;
}

/** Train on until paused, ended or replaced; between two steps messages are heard. */
async function goOn() {
  const mine = run;
  going = true;
  while (going && run === mine && !training.ended) {
    step();
    if (training.step === 0) snapshot();
    await new Promise((resolve) => setTimeout(resolve));
  }
  if (run !== mine) return;
  const paused = !training.ended;
  going = false;
  if (paused) snapshot();
  post("rest", { ended: training.ended });
}

async function ask({ file, pixels, cut, weights, scaling, mistakes, scale }) {
  try {
    const stamp = file ? await readStamp(file) : { pixels, height: 45, width: 45, scale, repaired: 0 };
    const counts = fit(stamp, scale, cut);
    const score = scorer(weights, scaling, mistakes);
    const about = { found: stamp.scale, height: stamp.height, width: stamp.width, repaired: stamp.repaired };
    const right = scorer(weights, scaling)(counts);
    post("score", {
      score: score(counts),
      right,
      pixels: counts,
      input: SCALINGS[scaling](counts),
      noise: noiseOf(counts),
      about,
    });
    post("map", { map: occlusionMap(score, counts) });
  } catch (error) {
    if (error instanceof Refusal) post("refused", { reason: error.message, offer: Boolean(error.offer) });
    else post("refused", { reason: `cannot be read: ${error.message}`, offer: false });
  }
}

const ORDERS = {
  mocks: (order) => {
    mocks = order.mocks;
  },
  reset: (order) => {
    run = order.run;
    going = false;
    training = new Training(order.settings, mocks.shown, mocks.held);
    snapshot();
  },
  run: () => {
    if (!going) goOn();
  },
  pause: () => {
    going = false;
  },
  step: () => {
    if (going) return;
    step();
    snapshot();
    post("rest", { ended: training.ended });
  },
  ask: (order) => {
    run = order.run;
    ask(order);
  },
};

self.onmessage = ({ data }) => ORDERS[data.kind](data);
