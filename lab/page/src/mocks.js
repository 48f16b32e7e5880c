// The mocks and weights that docs/lab.py puts into the page.

import { NAMES, SIDE, zeros } from "./network.js";

/** Bytes of a base64 text. */
export function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/**
 * Stamps of the page, counts, lens and non-lens in turn.
 * @param {{pixels: string, step: number, shown: number}} packed pixels: gzipped, the low bytes of all, then the high ones
 * @returns {Promise<{shown: {stamps: Float32Array[], labels: number[]}, held: object}>}
 */
export async function unpackMocks(packed) {
  const stream = new Blob([bytesOf(packed.pixels)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = planes.length / 2;
  const pixels = Float32Array.from(
    { length },
    (_, i) => (((planes[length + i] << 24) >> 16) | planes[i]) * packed.step,
  );
  const size = SIDE * SIDE;
  const stamps = Array.from({ length: length / size }, (_, row) => pixels.subarray(row * size, (row + 1) * size));
  const labels = stamps.map((_, row) => 1 - (row % 2));
  const part = (from, to) => ({ stamps: stamps.slice(from, to), labels: labels.slice(from, to) });
  return { shown: part(0, packed.shown), held: part(packed.shown) };
}

/** Weights by name from float32 numbers, one array after another. */
export function unpackWeights(text) {
  const numbers = new Float32Array(bytesOf(text).buffer);
  const weights = zeros();
  let at = 0;
  for (const name of NAMES) {
    weights[name].set(numbers.subarray(at, at + weights[name].length));
    at += weights[name].length;
  }
  return weights;
}
