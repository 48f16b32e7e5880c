import assert from "node:assert/strict";
import { test } from "node:test";
import { occlusionMap } from "../src/occlusion.js";
import { median, noiseOf, SCALINGS, skyOf } from "../src/scaling.js";

test("a median of an even number is the mean of the two in the middle", () => assert.equal(median([4, 1, 3, 2]), 2.5));

test("the noise is 1.4826 times the median distance from the median", () => {
  assert.equal(noiseOf(Float32Array.of(1, 2, 3, 4, 100)), Math.fround(1.4826022185056018)); // distances 2 1 0 1 97
});

test("the sky is not that of a bright source", () => {
  const pixels = Float32Array.from({ length: 400 }, (_, i) => (i < 100 ? 500 : i % 5));
  assert.equal(median(pixels), 3);
  assert.equal(skyOf(Float32Array.from({ length: 400 }, (_, i) => (i < 20 ? 500 : i % 5))), 2);
});

test("counts over their noise are clipped at -10 and 20, and a band without noise is only clipped", () => {
  assert.deepEqual(Array.from(SCALINGS.sigma(Float32Array.of(5, 5, 5, 90, -90))), [5, 5, 5, 20, -10]);
});

test("a constant sky changes nothing of sky-sigma", () => {
  const pixels = Float32Array.from({ length: 2025 }, (_, i) => (i * 37) % 64);
  assert.deepEqual(SCALINGS["sky-sigma"](pixels.map((value) => value + 4096)), SCALINGS["sky-sigma"](pixels));
});

test("the occlusion map is the score that is lost, over the patches that cover a pixel", () => {
  const stamp = new Float32Array(2025);
  stamp[0] = 0.5; // only the first patch of each axis covers the corner
  const map = occlusionMap((pixels) => pixels[0], stamp);
  assert.equal(map[0], 0.5);
  assert.equal(map[45 * 4 + 4], Math.fround(0.5 / 9)); // three positions along each axis reach pixel 4
  assert.equal(map[45 * 5 + 5], 0);
});
