// The loss of one stamp, and what it asks of the two outputs. float32 where the twins have float32: there a sure
// probability is exactly 0 or 1, and that is the story of this page.

const f32 = Math.fround;
const LOWEST = f32(1e-7);
const HIGHEST = f32(1 - 1e-7);

/** Probabilities of non-lens and lens from the two outputs. */
export function softmax(outputs) {
  const largest = Math.max(...outputs);
  const powers = outputs.map((output) => f32(Math.exp(f32(output - largest))));
  const sum = f32(powers[0] + powers[1]);
  return powers.map((power) => f32(power / sum));
}

/** Each clip: cost of one probability `p` where the truth is `y`, and the slope of that cost. */
const CLIPS = {
  // Keras: the probability stays within [1e-7, 1 - 1e-7]; beyond, the slope is exactly 0.
  probability(p, y) {
    const clipped = Math.min(HIGHEST, Math.max(LOWEST, p));
    const cost = -(y ? Math.log(clipped) : Math.log(f32(1 - clipped)));
    const slope = clipped === p ? (p - y) / (p * (1 - p)) : 0;
    return [cost, slope];
  },
  // PyTorch: the logarithm is at least -100, and the slope is divided by at least 1e-12.
  logarithm(p, y) {
    const cost = -Math.max(-100, y ? Math.log(p) : Math.log1p(-p));
    const slope = (p - y) / Math.max(f32(f32(1 - p) * p), 1e-12);
    return [cost, slope];
  },
};

/**
 * Binary cross-entropy of a stamp, averaged over the two outputs.
 * @param {number[]} outputs non-lens and lens, before the softmax
 * @param {number} label 1 for a lens, 0 for a non-lens
 * @param {"probability" | "logarithm"} clip
 * @returns {{loss: number, gradient: number[]}} gradient: of the loss by each output
 */
export function lossOf(outputs, label, clip) {
  const p = softmax(outputs.map(f32));
  const [other, lens] = p.map((probability, output) => CLIPS[clip](probability, output === label ? 1 : 0));
  // In float32, as torch does it: where one probability is 1 the slopes cancel, and rounding decides what is left.
  const slopes = [f32(other[1] / 2), f32(lens[1] / 2)];
  const mean = f32(f32(p[0] * slopes[0]) + f32(p[1] * slopes[1]));
  const gradient = p.map((probability, k) => f32(probability * f32(slopes[k] - mean)));
  return { loss: (other[0] + lens[0]) / 2, gradient };
}
