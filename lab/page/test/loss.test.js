import assert from "node:assert/strict";
import { test } from "node:test";
import { lossOf, softmax } from "../src/loss.js";

const near = (found, expected, error) => assert.ok(Math.abs(found - expected) < error, `${found}, not ${expected}`);

test("a sure and wrong stamp costs 16.0302 in float32, a right one nothing, and half of each is 8.0151", () => {
  const wrong = lossOf([0, 300], 0, "probability");
  const right = lossOf([0, 300], 1, "probability");
  near(wrong.loss, (-Math.log(1e-7) - Math.log(2 ** -23)) / 2, 1e-4);
  near((wrong.loss + right.loss) / 2, 8.0151, 1e-4);
});

test("beyond the clip of the probability the slope is exactly zero, on either side", () => {
  for (const label of [0, 1]) assert.deepEqual(lossOf([0, 17.5], label, "probability").gradient.map(Math.abs), [0, 0]);
});

test("within the clip the slope is probability less truth", () => {
  const [other, lens] = softmax([0.3, -0.4]);
  const { loss, gradient } = lossOf([0.3, -0.4], 1, "probability");
  near(gradient[0], other, 1e-6);
  near(gradient[1], lens - 1, 1e-6);
  near(loss, -Math.log(lens), 1e-6);
});

test("the logarithm clipped at -100 keeps a slope where the probability has none, until float32 ends", () => {
  assert.ok(lossOf([0, 20], 0, "logarithm").gradient[0] < -100); // and it divides by 1e-12
  near(lossOf([0, 20], 0, "logarithm").loss, (20 + 100) / 2, 1e-4); // 1 - 2e-9 is 1 in float32
  assert.equal(Math.abs(lossOf([0, 200], 0, "logarithm").gradient[1]), 0);
});

test("both clips agree where neither bites", () => {
  const [keras, torch] = ["probability", "logarithm"].map((clip) => lossOf([1.5, -0.5], 0, clip));
  near(keras.loss, torch.loss, 1e-6);
  near(keras.gradient[1], torch.gradient[1], 1e-6);
});
