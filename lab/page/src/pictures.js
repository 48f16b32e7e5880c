// Pictures of stamps, maps and filters on canvases.

import { FILTERS, SIDE } from "./network.js";
import { median } from "./scaling.js";

/** Draw numbers as an image of `width` columns; `paint` turns each into red, green and blue. */
function draw(canvas, values, width, paint) {
  canvas.width = width;
  canvas.height = values.length / width;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (const [index, value] of values.entries()) image.data.set([...paint(value), 255], 4 * index);
  context.putImageData(image, 0, 0);
}

/** A stamp in grey, faint light lifted by an inverse hyperbolic sine. */
export function drawStamp(canvas, pixels) {
  const sorted = Float32Array.from(pixels).sort();
  const low = median(pixels) - 2;
  const high = Math.max(low + 1, sorted[Math.floor(0.997 * sorted.length)]);
  const top = Math.asinh((high - low) / 4);
  draw(canvas, pixels, SIDE, (value) => Array(3).fill((255 * Math.asinh(Math.max(0, value - low) / 4)) / top));
}

/** What a network gets, in grey from its lowest to its highest number. */
export function drawInput(canvas, values) {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  draw(canvas, values, SIDE, (value) => Array(3).fill((255 * (value - low)) / (high - low || 1)));
}

// From blue over white to orange, the colours of the two classes.
const ENDS = [
  [0, 92, 160],
  [214, 94, 0],
];

function diverging(value, limit) {
  const strength = Math.min(1, Math.abs(value) / (limit || 1)) ** 0.8;
  return ENDS[value < 0 ? 0 : 1].map((end) => 255 + (end - 255) * strength);
}

/** Occlusion map: orange where hiding costs evidence for a lens, blue where it adds some. */
export function drawMap(canvas, map) {
  const limit = map.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-6);
  draw(canvas, map, SIDE, (value) => diverging(value, limit));
  return limit;
}

const ACROSS = 8;
const CELL = 4; // three pixels of a filter, and one between

/** The filters, side by side: orange adds light, blue subtracts it; one limit for all. */
export function drawFilters(canvas, kernels) {
  const limit = kernels.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-6);
  canvas.width = ACROSS * CELL - 1;
  canvas.height = (FILTERS / ACROSS) * CELL - 1;
  const context = canvas.getContext("2d");
  for (let filter = 0; filter < FILTERS; filter++)
    for (let k = 0; k < 9; k++) {
      context.fillStyle = `rgb(${diverging(kernels[9 * filter + k], limit).join(" ")})`;
      context.fillRect(
        CELL * (filter % ACROSS) + (k % 3),
        CELL * Math.floor(filter / ACROSS) + Math.floor(k / 3),
        1,
        1,
      );
    }
  return limit;
}
