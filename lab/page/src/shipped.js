// The CNN that ships with the project: from counts to a score.

import { softmax } from "./loss.js";
import { featuresOf, misread, outputsOf } from "./network.js";
import { SCALINGS } from "./scaling.js";

/**
 * Scoring function of a network.
 * @param {object} weights by name
 * @param {string} scaling a key of SCALINGS
 * @param {{kernelsFlipped?: boolean, channelsLast?: boolean}} [mistakes] of a port
 * @returns {(pixels: Float32Array) => number} from counts to the probability of a lens
 */
export function scorer(weights, scaling, mistakes = {}) {
  const read = misread(weights, mistakes);
  return (pixels) => softmax(outputsOf(read, featuresOf(read, SCALINGS[scaling](pixels)).features))[1];
}
