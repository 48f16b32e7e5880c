// The sentences that change: what a training came to, and what a score means.

import { N_WEIGHTS } from "./network.js";

const LEARNED = 0.75; // of pairs in the right order; chance moves that of 100 stamps by 0.06
const count = (number) => number.toLocaleString("en");

/**
 * Where a training stands.
 * @param {object} settings as `STUDY`
 * @param {object[]} history rows of the epochs
 * @param {boolean} ended
 * @returns {{state: "stuck" | "mended" | "idle", text: string}}
 */
export function verdictOf(settings, history, ended) {
  const last = history.at(-1);
  if (!last) return { state: "idle", text: "Nothing is trained yet. Choose a story, or press Train." };
  const pairs = Math.round(100 * last.auroc);
  const epochs = `${last.epoch} ${last.epoch === 1 ? "epoch" : "epochs"}`;
  if (!ended) return { state: "idle", text: `Paused after ${epochs}.` };
  if (last.moved === 0)
    return {
      state: "stuck",
      text:
        `Stuck: in the last epoch none of the ${count(N_WEIGHTS)} weights moved. The network is certain of every picture, ` +
        `its loss stays at ${last.loss.toFixed(4)}, and where the loss is flat there is nothing to follow.`,
    };
  if (last.auroc >= LEARNED)
    return {
      state: "mended",
      text:
        `It learned: of 100 pairs of a lens and a non-lens that it never saw, it puts ${pairs} in the right order. ` +
        "A coin gets 50.",
    };
  return {
    state: "stuck",
    text: settings.overwritten
      ? `The weights move, but there is nothing to learn: both labels stand on the same pictures. Of 100 pairs that it never saw it puts ${pairs} in the right order; a coin gets 50.`
      : `Not learned after ${epochs}: of 100 pairs that it never saw it puts ${pairs} in the right order. Try more epochs, or another seed.`,
  };
}

/** A probability as a reader says it. */
export function percent(share) {
  const value = 100 * share;
  if (value < 0.01) return "less than 0.01 %";
  if (value > 99.9) return "more than 99.9 %";
  return `${value >= 10 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(2)} %`;
}

const RARE = 1000; // cutouts a lens, of the sky's galaxies that are worth a look

/**
 * What a score of the shipped CNN means.
 * @param {number} score
 * @param {{error: number, auroc: number}} card of the frozen mocks whose classes differ by lensing alone
 */
export function meaningOf(score, card) {
  const odds = score / (1 - score) / (RARE - 1);
  const rare = odds === Infinity ? 1 : odds / (1 + odds);
  return [
    `The network leans towards ${score > 0.5 ? "a lens" : "no lens"}. Of mocks with this score, half of all being lenses, ` +
      `${percent(score)} should be lenses; where only lensing tells the classes apart, such shares are off by ${card.error.toFixed(2)} on average.`,
    `Where one galaxy in ${count(RARE)} is a lens, the same score means ${percent(rare)}.`,
  ];
}
