import assert from "node:assert/strict";
import { test } from "node:test";
import { RandomState } from "../src/random.js";

// The expected numbers are NumPy's: numpy.random.RandomState(seed), whose streams NumPy keeps for ever.

test("the first numbers of the twister are those of its authors", () => {
  const random = new RandomState(5489); // mt19937ar's default seed
  assert.deepEqual([random.bits(), random.bits(), random.bits()], [3499211612, 581869302, 3890346734]);
});

test("uniform numbers are NumPy's", () => {
  const found = Array.from(new RandomState(1).uniform(-2, 3, 3));
  assert.deepEqual(found, [0.08511002351287011, 1.6016224672107904, -1.9994281259132756]);
});

test("numbers beyond the first twist are NumPy's", () => {
  assert.equal(new RandomState(3).uniform(0, 1, 700)[699], 0.39228520288628477);
});

test("a seed of several numbers is NumPy's", () => {
  const random = new RandomState([2018, 3, 1, 2]);
  assert.deepEqual(
    [random.random(), random.random(), random.random()],
    [0.2775000836323205, 0.6226859795478852, 0.15896149291087847],
  );
});

test("a permutation is NumPy's", () => {
  assert.deepEqual(new RandomState([7, 0, 0]).permutation(12), [2, 7, 1, 3, 5, 10, 9, 6, 0, 4, 11, 8]);
});
