import assert from "node:assert/strict";
import { test } from "node:test";
import { lossOf } from "../src/loss.js";
import {
  addGradients,
  drawWeights,
  FEATURES,
  featuresOf,
  misread,
  N_WEIGHTS,
  outputsOf,
  SIDE,
  zeros,
} from "../src/network.js";
import { RandomState } from "../src/random.js";

const stampOf = (seed) => Float32Array.from(new RandomState(seed).uniform(-1, 3, SIDE * SIDE));
const ones = new Float32Array(FEATURES).fill(1);

/** Weights of zeros but for one filter that copies the pixel in the middle of its nine. */
function copying() {
  const weights = zeros();
  weights["conv.weight"][4] = 1;
  return weights;
}

test("it has 6,722 weights", () => assert.equal(N_WEIGHTS, 6722));

test("a filter that copies pixels leaves the largest of each 4 by 4, without the border", () => {
  const stamp = new Float32Array(SIDE * SIDE);
  stamp[SIDE * 6 + 3] = 7; // row 6, column 3: cell of rows 5 to 8, columns 1 to 4
  stamp[0] = 9; // the border has no response
  const { features, winners } = featuresOf(copying(), stamp);
  assert.equal(features[10], 7);
  assert.equal(
    features.reduce((a, b) => a + b),
    7,
  );
  assert.equal(winners[10], 1 << (4 * 1 + 2));
});

test("every pixel of a plateau has the maximum, and the gradient goes to all or to the first", () => {
  const stamp = new Float32Array(SIDE * SIDE).fill(2);
  const weights = copying();
  weights["dense.weight"][0] = 1; // the non-lens output looks at the first feature
  const found = featuresOf(weights, stamp);
  assert.equal(found.winners[0], 0xffff);
  for (const [ties, pixels] of [
    ["all", 16],
    ["first", 1],
  ]) {
    const gradients = zeros(Float64Array);
    addGradients(gradients, weights, stamp, found, ones, [1, 0], ties);
    assert.equal(gradients["conv.weight"][0], 2 * pixels);
    assert.equal(gradients["conv.bias"][0], pixels);
  }
});

test("the gradient is the slope of the loss along each weight", () => {
  const weights = drawWeights(4);
  const stamp = stampOf(5);
  const loss = () => lossOf(outputsOf(weights, featuresOf(weights, stamp).features), 1, "probability");
  const found = featuresOf(weights, stamp);
  const gradients = zeros(Float64Array);
  addGradients(gradients, weights, stamp, found, ones, loss().gradient, "all");
  for (const [name, place] of [
    ["conv.weight", 40],
    ["conv.bias", 7],
    ["dense.weight", 17],
    ["dense.weight", 5000],
    ["dense.bias", 1],
  ]) {
    const [before, step] = [weights[name][place], 1e-3];
    weights[name][place] = before + step;
    const above = loss().loss;
    weights[name][place] = before - step;
    const slope = (above - loss().loss) / (2 * step);
    weights[name][place] = before;
    assert.ok(Math.abs(slope - gradients[name][place]) < 2e-3 + 0.02 * Math.abs(slope), `${name}[${place}]: ${slope}`);
  }
});

test("a port that mirrors kernels, or lays out features pixel by pixel, reads other weights, and twice is once", () => {
  const weights = zeros();
  weights["conv.weight"].set([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  weights["dense.weight"].forEach((_, i, all) => {
    all[i] = i;
  });
  const read = misread(weights, { kernelsFlipped: true, channelsLast: true });
  assert.deepEqual(Array.from(read["conv.weight"].slice(0, 9)), [9, 8, 7, 6, 5, 4, 3, 2, 1]);
  // Feature (filter 1, cell 2) is 102nd of one layout and 65th of the other.
  assert.equal(read["dense.weight"][102], 65);
  assert.equal(read["dense.weight"][FEATURES + 102], FEATURES + 65);
  assert.deepEqual(misread(read, { kernelsFlipped: true })["conv.weight"], weights["conv.weight"]);
});
