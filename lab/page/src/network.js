// The study's CNN: 32 filters of 3 x 3, rectifier, maximum over 4 x 4, one dense layer. 6,722 weights.
// A stamp is a Float32Array of 45 x 45; features are channels first, as in the weights that both twins share.

import { RandomState } from "./random.js";

const f32 = Math.fround;
export const SIDE = 45;
export const FILTERS = 32;
const KERNEL = 9;
const POOL = 4;
const POOLED = 10; // (45 - 2) / 4, what is left over is left out
const RESPONSES = POOL * POOLED; // a side, of the pixels that are pooled
const CELLS = POOLED * POOLED;
export const FEATURES = FILTERS * CELLS;
const SHAPES = { "conv.weight": FILTERS * KERNEL, "conv.bias": FILTERS, "dense.weight": 2 * FEATURES, "dense.bias": 2 };
export const NAMES = Object.keys(SHAPES);
export const N_WEIGHTS = Object.values(SHAPES).reduce((sum, length) => sum + length);

/** Weights as Keras draws them by default: Glorot's uniform, biases zero; those of both twins for the same seed. */
export function drawWeights(seed) {
  const random = new RandomState(seed);
  const glorot = (length, fans) => {
    const limit = Math.sqrt(3) * Math.sqrt(2 / fans);
    return Float32Array.from(random.uniform(-limit, limit, length));
  };
  return {
    "conv.weight": glorot(SHAPES["conv.weight"], (FILTERS + 1) * KERNEL),
    "conv.bias": new Float32Array(FILTERS),
    "dense.weight": glorot(SHAPES["dense.weight"], 2 + FEATURES),
    "dense.bias": new Float32Array(2),
  };
}

/** Arrays of zeros in the shapes of the weights. */
export function zeros(Kind = Float32Array) {
  return Object.fromEntries(NAMES.map((name) => [name, new Kind(SHAPES[name])]));
}

/**
 * Features of a stamp: for each filter and cell of 4 x 4 the largest response, or 0.
 * @returns {{features: Float32Array, winners: Uint16Array}} winners: the pixels of the cell that have it, one bit each
 */
export function featuresOf(weights, stamp) {
  const features = new Float32Array(FEATURES);
  const winners = new Uint16Array(FEATURES);
  const responses = new Float32Array(RESPONSES * RESPONSES);
  for (let filter = 0, index = 0; filter < FILTERS; filter++) {
    respond(responses, stamp, weights["conv.weight"].subarray(KERNEL * filter), weights["conv.bias"][filter]);
    for (let cell = 0; cell < CELLS; cell++, index++) {
      const corner = POOL * (RESPONSES * Math.floor(cell / POOLED) + (cell % POOLED));
      let largest = 0;
      let bits = 0;
      for (let pixel = 0; pixel < POOL * POOL; pixel++) {
        const response = responses[corner + RESPONSES * (pixel >> 2) + (pixel & 3)];
        if (response > largest) {
          largest = response;
          bits = 1 << pixel;
        } else if (response === largest) bits |= 1 << pixel;
      }
      features[index] = largest;
      winners[index] = largest > 0 ? bits : 0;
    }
  }
  return { features, winners };
}

/** Responses of a filter, float32, at each place that a cell looks at. */
function respond(responses, stamp, kernel, bias) {
  const [a, b, c, d, e, f, g, h, i] = kernel;
  for (let row = 0, place = 0; row < RESPONSES; row++) {
    let top = SIDE * row;
    for (let column = 0; column < RESPONSES; column++, place++, top++) {
      const middle = top + SIDE;
      const bottom = middle + SIDE;
      const first = a * stamp[top] + b * stamp[top + 1] + c * stamp[top + 2];
      const second = d * stamp[middle] + e * stamp[middle + 1] + f * stamp[middle + 2];
      const third = g * stamp[bottom] + h * stamp[bottom + 1] + i * stamp[bottom + 2];
      responses[place] = first + second + third + bias;
    }
  }
}

/** The two outputs, non-lens and lens, before the softmax. */
export function outputsOf(weights, features) {
  const dense = weights["dense.weight"];
  let other = weights["dense.bias"][0];
  let lens = weights["dense.bias"][1];
  for (let j = 0; j < FEATURES; j++) {
    other += dense[j] * features[j];
    lens += dense[FEATURES + j] * features[j];
  }
  return [f32(other), f32(lens)];
}

/**
 * Add to `gradients` what one stamp asks of each weight.
 * @param {number[]} slopes of the loss by each output
 * @param {Float32Array} mask what dropout multiplied each feature with
 * @param {"all" | "first"} ties who gets the gradient of a maximum that several pixels have
 */
export function addGradients(gradients, weights, stamp, { features, winners }, mask, slopes, ties) {
  if (slopes[0] === 0 && slopes[1] === 0) return;
  const dense = weights["dense.weight"];
  gradients["dense.bias"][0] += slopes[0];
  gradients["dense.bias"][1] += slopes[1];
  for (let j = 0; j < FEATURES; j++) {
    const value = features[j] * mask[j];
    if (value === 0) continue;
    gradients["dense.weight"][j] += slopes[0] * value;
    gradients["dense.weight"][FEATURES + j] += slopes[1] * value;
    const slope = (slopes[0] * dense[j] + slopes[1] * dense[FEATURES + j]) * mask[j];
    const bits = ties === "first" ? winners[j] & -winners[j] : winners[j];
    addToKernel(gradients, Math.floor(j / CELLS), j % CELLS, bits, slope, stamp);
  }
}

function addToKernel(gradients, filter, cell, bits, slope, stamp) {
  const kernel = gradients["conv.weight"];
  const corner = POOL * (SIDE * Math.floor(cell / POOLED) + (cell % POOLED));
  for (let pixel = 0; pixel < POOL * POOL; pixel++) {
    if (!(bits & (1 << pixel))) continue;
    gradients["conv.bias"][filter] += slope;
    const top = corner + SIDE * (pixel >> 2) + (pixel & 3);
    for (let k = 0; k < KERNEL; k++)
      kernel[KERNEL * filter + k] += slope * stamp[top + SIDE * Math.floor(k / 3) + (k % 3)];
  }
}

/** Weights as a port misreads them: kernels mirrored, or the dense layer's inputs pixel by pixel. */
export function misread(weights, { kernelsFlipped = false, channelsLast = false }) {
  const read = { ...weights };
  if (kernelsFlipped)
    read["conv.weight"] = weights["conv.weight"].map(
      (_, i, all) => all[i - (i % KERNEL) + (KERNEL - 1 - (i % KERNEL))],
    );
  if (channelsLast)
    read["dense.weight"] = weights["dense.weight"].map((_, i, all) => {
      const j = i % FEATURES;
      return all[i - j + (j % CELLS) * FILTERS + Math.floor(j / CELLS)];
    });
  return read;
}
