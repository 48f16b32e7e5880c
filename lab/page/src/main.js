// Put the page together: unpack what it carries, start the workers, hand both halves what they show.

import { AskView } from "./ask-view.js";
import { unpackMocks, unpackWeights } from "./mocks.js";
import { scorer } from "./shipped.js";
import { TrainView } from "./train-view.js";

const source = document.querySelector("#worker").textContent;
const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));

async function start() {
  const data = JSON.parse(document.querySelector("#data").textContent);
  const mocks = await unpackMocks(data.mocks);
  const weights = unpackWeights(data.shipped.weights);
  const trainer = new Worker(address);
  trainer.postMessage({ kind: "mocks", mocks });
  new TrainView(trainer, mocks, data.pairs);
  const twelve = {
    stamps: data.twelve.map((row) => mocks.held.stamps[row]),
    labels: data.twelve.map((row) => mocks.held.labels[row]),
  };
  new AskView(() => new Worker(address), twelve, { ...data.shipped, weights });
  // For the browser's console: lensLab.mocks.map(lensLab.score)
  globalThis.lensLab = {
    mocks: [...mocks.shown.stamps, ...mocks.held.stamps],
    score: scorer(weights, data.shipped.scaling),
  };
}

start().catch((error) => {
  const broken = document.querySelector("#broken");
  broken.hidden = false;
  broken.textContent = `This browser cannot run the page (${error.message}); Chrome, Firefox or Safari of 2023 or later can.`;
});
