// What the header of a stamp says of its pixels: common/lens_common/data/headers.py.
// References: FITS standard 4.0, sections 4.2 and 8.2; Greisen & Calabretta 2002, A&A 395, 1061, section 2.1.

import { Refusal } from "./refusal.js";

// Words that surveys use; of several in a header the first here counts. In arcsec unless a unit stands behind.
const SCALE_KEYS = ["PIXSCALE", "SECPIX", "PIXSCAL1", "PIXELSCL", "PSCALE", "PLTSCALE", "SECPIX1", "SECPIX2"];
const ARCSEC = {
  "": 3600,
  deg: 3600,
  degree: 3600,
  degrees: 3600,
  arcmin: 60,
  arcsec: 1,
  mas: 0.001,
  rad: 206264.80624709636,
};
const CELESTIAL = /^(RA--|DEC-|.LON|.LAT)/;
const NUMBER = /^([-+]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][-+]?\d+)?) *(\S.*)?$/;
export const TOLERANCE = 0.01; // relative

/** Whether two scales are more than 1 % apart; what is not known (NaN) differs from nothing. */
export function differs(first, second) {
  return Math.abs(first / second - 1) > TOLERANCE;
}

/** Value of a card as text, less quotes and comment; empty where there is no such card. */
export function textOf(cards, key) {
  const value = (cards.get(key) ?? "").trim();
  const quoted = /^'((?:[^']|'')*)'/.exec(value);
  return (quoted ? quoted[1].replaceAll("''", "'") : value.split("/")[0]).trim();
}

/** Value of a card, finite, or NaN; `missing` where there is no such card. */
export function numberOf(cards, key, missing = Number.NaN) {
  if (!cards.has(key)) return missing;
  const match = NUMBER.exec(textOf(cards, key));
  if (!match) return Number.NaN;
  const unit = match[2] ? (ARCSEC[match[2].toLowerCase()] ?? Number.NaN) : 1;
  return Number(match[1].replace(/d/i, "E")) * unit;
}

/** Side of a pixel on the sky in arcsec; NaN where the header does not say. */
export function pixelScaleOf(cards) {
  const celestial = [1, 2].every((axis) => CELESTIAL.test(textOf(cards, `CTYPE${axis}`)));
  let [width, height] = [1, 2].map((axis) => (celestial ? columnOf(cards, axis) : Number.NaN));
  if (!(width * height > 0 && Number.isFinite(width * height)))
    width = height = SCALE_KEYS.map((key) => numberOf(cards, key)).find((value) => value > 0) ?? Number.NaN;
  if (differs(width, height))
    throw new Refusal(`its pixels are ${round(width)} by ${round(height)} arcsec; resample them to square ones`);
  return Math.sqrt(width * height);
}

/** How far on the sky, in arcsec, one pixel along an axis leads. */
function columnOf(cards, axis) {
  const hasMatrix = ["CD1_1", "CD1_2", "CD2_1", "CD2_2"].some((key) => cards.has(key));
  const parts = [1, 2].map((row) => {
    const degrees = hasMatrix
      ? numberOf(cards, `CD${row}_${axis}`, 0)
      : numberOf(cards, `CDELT${row}`) * numberOf(cards, `PC${row}_${axis}`, row === axis ? 1 : 0);
    return degrees * (ARCSEC[textOf(cards, `CUNIT${row}`).toLowerCase()] ?? Number.NaN);
  });
  return Math.hypot(...parts);
}

/** Three digits. */
export function round(value) {
  return String(Number(value.toPrecision(3)));
}
