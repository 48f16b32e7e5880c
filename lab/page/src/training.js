// The training of the study's CNN, step by step: common/lens_common/learning/training.py with RMSprop as Keras writes
// it. Batches, dropped features and first weights come from the seed as in both twins.

import { lossOf, softmax } from "./loss.js";
import { addGradients, drawWeights, FEATURES, featuresOf, NAMES, outputsOf, zeros } from "./network.js";
import { RandomState } from "./random.js";
import { SCALINGS } from "./scaling.js";

const f32 = Math.fround;
const SHUFFLE_STREAM = 0;
const STEP_STREAM = 1;
const DROPPED = 0.1;

/** RMSprop's memory and the number that keeps it from dividing by zero, in each framework. */
export const MEMORIES = { keras: { rho: 0.9, epsilon: 1e-7 }, torch: { rho: 0.99, epsilon: 1e-8 } };

/** The study's settings on 200 images. */
export const STUDY = {
  scaling: "raw",
  overwritten: false,
  memory: "keras",
  clip: "probability",
  ties: "all",
  rate: 1e-3,
  batch: 97,
  epochs: 5,
  seed: 1,
};

/** Give every non-lens the pixels of a lens, labels kept, as one line of the study's code did. */
export function overwrite(stamps, labels) {
  const lenses = stamps.filter((_, row) => labels[row]);
  let used = 0;
  return stamps.map((stamp, row) => (labels[row] ? stamp : lenses[used++ % lenses.length]));
}

export class Training {
  /**
   * @param {object} settings as `STUDY`
   * @param {{stamps: Float32Array[], labels: number[]}} shown to learn from, counts
   * @param {{stamps: Float32Array[], labels: number[]}} held never learned from, never overwritten, counts
   */
  constructor(settings, shown, held) {
    this.settings = settings;
    const scale = SCALINGS[settings.scaling];
    const stamps = settings.overwritten ? overwrite(shown.stamps, shown.labels) : shown.stamps;
    this.shown = { stamps: stamps.map(scale), labels: shown.labels };
    this.held = { stamps: held.stamps.map(scale), labels: held.labels };
    this.range = rangeOf(this.shown.stamps);
    this.weights = drawWeights(settings.seed);
    this.averages = zeros();
    this.epoch = 0;
    this.step = 0;
    this.stepsAnEpoch = Math.ceil(stamps.length / settings.batch);
    this.lossSum = 0;
    this.history = [];
  }

  get ended() {
    return this.epoch >= this.settings.epochs;
  }

  /** Take one step; at the end of an epoch its row of the history is added. */
  takeStep() {
    const { seed, batch, epochs } = this.settings;
    if (this.epoch >= epochs) return null;
    if (this.step === 0)
      this.order = new RandomState([seed, this.epoch, SHUFFLE_STREAM]).permutation(this.shown.stamps.length);
    const rows = this.order.slice(this.step * batch, (this.step + 1) * batch);
    const random = new RandomState([seed, this.epoch, STEP_STREAM, this.step]);
    const { loss, gradients } = this.#gradientsOf(rows, random);
    const moved = this.#move(gradients);
    this.lossSum += loss * rows.length;
    this.moved = Math.max(moved, this.step ? this.moved : 0);
    this.step += 1;
    const done = { epoch: this.epoch + 1, step: this.step, loss, moved };
    if (this.step === this.stepsAnEpoch) this.#endEpoch();
    return done;
  }

  #gradientsOf(rows, random) {
    const { clip, ties } = this.settings;
    const gradients = zeros(Float64Array);
    const masks = rows.map(() => dropoutMask(random));
    let loss = 0;
    for (const [place, row] of rows.entries()) {
      const stamp = this.shown.stamps[row];
      const found = featuresOf(this.weights, stamp);
      const dropped = found.features.map((value, j) => value * masks[place][j]);
      const cost = lossOf(outputsOf(this.weights, dropped), this.shown.labels[row], clip);
      loss += cost.loss / rows.length;
      const slopes = cost.gradient.map((slope) => slope / rows.length);
      addGradients(gradients, this.weights, stamp, found, masks[place], slopes, ties);
    }
    return { loss, gradients };
  }

  /** Move the weights by RMSprop; return how many of them are another number than before. */
  #move(gradients) {
    const { rate, memory } = this.settings;
    const { rho, epsilon } = MEMORIES[memory];
    let moved = 0;
    for (const name of NAMES) {
      const weights = this.weights[name];
      const averages = this.averages[name];
      for (let i = 0; i < weights.length; i++) {
        const gradient = f32(gradients[name][i]);
        averages[i] = rho * averages[i] + (1 - rho) * gradient * gradient;
        const before = weights[i];
        weights[i] = before - f32((rate * gradient) / (Math.sqrt(averages[i]) + epsilon));
        if (weights[i] !== before) moved += 1;
      }
    }
    return moved;
  }

  #endEpoch() {
    const odds = oddsOf(this.weights, this.held.stamps);
    const { labels } = this.held;
    const judged = { accuracy: accuracyOf(odds, labels), auroc: aurocOf(scoresOf(odds), labels) };
    const loss = this.lossSum / this.shown.stamps.length;
    this.epoch += 1;
    this.history.push({ epoch: this.epoch, loss, ...judged, moved: this.moved });
    this.step = 0;
    this.lossSum = 0;
  }

  /** Log-odds of a lens for each stamp that is learned from, no feature dropped. */
  odds() {
    return oddsOf(this.weights, this.shown.stamps);
  }
}

/** Least and largest number of some stamps. */
function rangeOf(stamps) {
  return [Math.min, Math.max].map((least) => least(...stamps.map((pixels) => least(...pixels))));
}

function dropoutMask(random) {
  const mask = new Float32Array(FEATURES);
  for (let j = 0; j < FEATURES; j++) mask[j] = random.random() >= DROPPED ? 1 / (1 - DROPPED) : 0;
  return mask;
}

/** Log-odds of a lens, one a stamp: above 0 the network says lens. */
export function oddsOf(weights, stamps) {
  return Float32Array.from(stamps, (stamp) => {
    const [other, lens] = outputsOf(weights, featuresOf(weights, stamp).features);
    return lens - other;
  });
}

/** Share of stamps on the right side of a probability of 1/2. */
export function accuracyOf(odds, labels) {
  return labels.filter((label, row) => odds[row] > 0 === Boolean(label)).length / labels.length;
}

/** Probabilities of a lens, in float32: those of a sure network are 0 or 1. */
export function scoresOf(odds) {
  return Float32Array.from(odds, (value) => softmax([0, value])[1]);
}

/** Share of pairs of a lens and a non-lens in which the lens has the higher score; a tie counts one half. */
export function aurocOf(scores, labels) {
  let won = 0;
  let pairs = 0;
  for (const [lens, isLens] of labels.entries())
    for (const [other, isOther] of labels.entries())
      if (isLens && !isOther) {
        pairs += 1;
        won += scores[lens] > scores[other] ? 1 : scores[lens] === scores[other] ? 0.5 : 0;
      }
  return won / pairs;
}
