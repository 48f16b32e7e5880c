import assert from "node:assert/strict";
import { test } from "node:test";
import { RandomState } from "../src/random.js";
import { aurocOf, overwrite, STUDY, Training } from "../src/training.js";
import { meaningOf, percent, verdictOf } from "../src/words.js";

const random = new RandomState(8);
const stamps = Array.from({ length: 8 }, () => Float32Array.from(random.uniform(-1, 1, 2025)));
const labels = [1, 0, 1, 0, 1, 0, 1, 0];
const set = { stamps, labels };
const train = (settings) => {
  const training = new Training({ ...STUDY, batch: 5, epochs: 2, ...settings }, set, set);
  const steps = [];
  while (!training.ended) steps.push(training.takeStep());
  return { training, steps };
};

test("every non-lens gets the pixels of a lens, and no lens changes", () => {
  const given = overwrite(stamps, [1, 0, 0, 0, 1, 0, 0, 0]);
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5].map((row) => stamps.indexOf(given[row])),
    [0, 0, 4, 0, 4, 4],
  );
});

test("an epoch is every stamp once, the last step the smaller one, and its loss their mean", () => {
  const { training, steps } = train({});
  assert.deepEqual(
    steps.map(({ epoch, step }) => [epoch, step]),
    [
      [1, 1],
      [1, 2],
      [2, 1],
      [2, 2],
    ],
  );
  assert.equal(training.history[0].loss, (5 * steps[0].loss + 3 * steps[1].loss) / 8);
  assert.equal(training.takeStep(), null);
});

test("the same seed trains the same, another one another", () => {
  const [once, again, other] = [{}, {}, { seed: 2 }].map((settings) => train(settings).training.history[1].loss);
  assert.equal(once, again);
  assert.notEqual(once, other);
});

test("the first step of RMSprop is rate over sqrt(1 - rho), 3.16 or 10 times the rate", () => {
  for (const [memory, size] of [
    ["keras", 1e-3 / Math.sqrt(0.1)],
    ["torch", 1e-2],
  ]) {
    const training = new Training({ ...STUDY, memory, batch: 8 }, set, set);
    const before = Float32Array.from(training.weights["conv.weight"]);
    training.takeStep();
    const moves = training.weights["conv.weight"].map((value, i) => Math.abs(value - before[i]));
    assert.ok(Math.abs(Math.max(...moves) / size - 1) < 1e-3);
  }
});

test("on huge counts the network is sure after a step, and then nothing moves", () => {
  const huge = { stamps: stamps.map((stamp) => stamp.map((value) => 1e6 * (value + 1))), labels };
  const training = new Training({ ...STUDY, batch: 8, epochs: 3 }, huge, huge);
  const moved = [training.takeStep(), training.takeStep(), training.takeStep()].map((step) => step.moved);
  assert.deepEqual(moved.slice(1), [0, 0]);
});

test("AUROC counts pairs, a tie one half", () => {
  assert.equal(aurocOf([0.9, 0.1, 0.5, 0.5], [1, 0, 1, 0]), 3.5 / 4);
});

test("the verdict is stuck where nothing moved, mended where pairs are in order", () => {
  const row = { epoch: 5, loss: 8.0151, accuracy: 0.5, auroc: 0.5, moved: 0 };
  const state = (settings, changes, ended = true) =>
    verdictOf({ ...STUDY, ...settings }, [{ ...row, ...changes }], ended).state;
  assert.equal(state({}, {}), "stuck");
  assert.equal(state({}, { moved: 6722, auroc: 0.9 }), "mended");
  assert.equal(state({ overwritten: true }, { moved: 6722, auroc: 0.55 }), "stuck");
  assert.equal(state({}, {}, false), "idle");
  assert.equal(verdictOf(STUDY, [], false).state, "idle");
});

test("a score of one half means one in a thousand where one in a thousand is a lens", () => {
  assert.match(meaningOf(0.5, { error: 0.08 })[1], /means 0\.10 %/);
  assert.deepEqual([percent(0), percent(0.5), percent(1)], ["less than 0.01 %", "50 %", "more than 99.9 %"]);
});
