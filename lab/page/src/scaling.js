// What turns counts into what a network sees: common/lens_common/learning/scaling.py and data/noise.py, number by number.

// Standard deviation of a Gaussian over its median absolute deviation: 1 / Phi^-1(3/4).
const SIGMA_PER_MAD = 1.4826022185056018;
const LOW = -10;
const HIGH = 20;

/** Median of numbers; of an even number of them the mean of the two in the middle. */
export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Robust standard deviation of a stamp, in its unit, as float32: 1.4826 times the median absolute deviation. */
export function noiseOf(pixels) {
  const middle = median(pixels);
  const rounded = pixels instanceof Float32Array ? Math.fround : Number;
  return Math.fround(SIGMA_PER_MAD * median(pixels.map((value) => rounded(Math.abs(value - middle)))));
}

/** Sky of a stamp: the median of its pixels, those beyond three sigma left out, five times over. */
export function skyOf(pixels) {
  let kept = Float64Array.from(pixels);
  for (let round = 0; round < 5; round++) {
    const middle = median(kept);
    const mean = kept.reduce((sum, value) => sum + value, 0) / kept.length;
    const sigma = Math.sqrt(kept.reduce((sum, value) => sum + (value - mean) ** 2, 0) / kept.length);
    const inside = kept.filter((value) => Math.abs(value - middle) <= 3 * sigma);
    if (inside.length === kept.length) break;
    kept = inside;
  }
  return median(kept);
}

function overNoise(pixels) {
  const noise = noiseOf(pixels) || 1;
  return Float32Array.from(pixels, (value) => Math.min(HIGH, Math.max(LOW, Math.fround(value / noise))));
}

/** By name: from counts, Float32Array, to what a network sees, Float32Array of the same length. */
export const SCALINGS = {
  raw: (pixels) => pixels,
  sigma: overNoise,
  "sky-sigma": (pixels) => {
    const sky = skyOf(pixels);
    return overNoise(Float64Array.from(pixels, (value) => value - sky));
  },
};
