// Which pixels a score rests on, found by hiding them: common/lens_common/scores/occlusion.py.

import { SIDE } from "./network.js";
import { median } from "./scaling.js";

const PATCH = 5;
const STRIDE = 2;

/** First pixel of each position of the patch along an axis; the last ends at the edge. */
const STARTS = Array.from({ length: Math.ceil((SIDE - PATCH) / STRIDE) + 1 }, (_, step) =>
  Math.min(step * STRIDE, SIDE - PATCH),
);

/**
 * Loss of score where a patch is hidden below the median of the stamp.
 * @param {(stamp: Float32Array) => number} score from counts to a probability
 * @param {Float32Array} stamp counts
 * @returns {Float32Array} for each pixel the mean over the patches that cover it; above 0: evidence for a lens
 */
export function occlusionMap(score, stamp) {
  const sky = median(stamp);
  const whole = score(stamp);
  const losses = new Float64Array(stamp.length);
  const covers = new Float64Array(stamp.length);
  for (const top of STARTS)
    for (const left of STARTS) {
      const hidden = stamp.slice();
      for (let row = top; row < top + PATCH; row++) hidden.fill(sky, SIDE * row + left, SIDE * row + left + PATCH);
      const loss = whole - score(hidden);
      for (let row = top; row < top + PATCH; row++)
        for (let pixel = SIDE * row + left; pixel < SIDE * row + left + PATCH; pixel++) {
          losses[pixel] += loss;
          covers[pixel] += 1;
        }
    }
  return Float32Array.from(losses, (loss, pixel) => loss / covers[pixel]);
}
