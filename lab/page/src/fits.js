// One stamp from a FITS file, plain or gzipped: what common/lens_common/data/decoding.py does, in a browser.
// Reference: FITS standard 4.0, sections 3, 4.4 and 5.

import { differs, numberOf, pixelScaleOf, round, textOf } from "./headers.js";
import { SIDE } from "./network.js";
import { Refusal } from "./refusal.js";
import { median } from "./scaling.js";

const BLOCK = 2880;
const CARD = 80;
export const MOST_BYTES = 64e6; // in memory; a cutout of 4 million numbers of 64 bits has half of it
const PIECE = 2 ** 14;
const MOST_PIXELS = 4e6;
const TOO_LARGE = `holds more than ${MOST_BYTES / 1e6} MB; a cutout has less`;
const MAX_NONFINITE_FRACTION = 0.01;
// Words in the name of an extension that holds no image of the sky.
const NOT_SKY =
  /(?:^|[^A-Z])(WHT|WEIGHTS?|WGT|ERR|ERRORS?|RMS|VAR|VARIANCE|IVAR|INVVAR|UNC|UNCERT|UNCERTAINTY|STD|MASK|MSK|DQ|FLG|FLAGS?|QUALITY|PSF|EXP|EXPMAP|EXPOSURE|NEXP|CTX|BKG|BACKGROUND|SEG|SEGMAP)(?:$|[^A-Z])/i;
const READERS = {
  8: (view, at) => view.getUint8(at),
  16: (view, at) => view.getInt16(at),
  32: (view, at) => view.getInt32(at),
  64: (view, at) => Number(view.getBigInt64(at)),
  "-32": (view, at) => view.getFloat32(at),
  "-64": (view, at) => view.getFloat64(at),
};

/**
 * Read the first image of a file.
 * @param {Blob} file
 * @returns {Promise<{pixels: Float32Array, height: number, width: number, scale: number, repaired: number}>}
 *   scale: arcsec, NaN where unknown; repaired: pixels that were not finite and became the median
 * @throws {Refusal}
 */
export async function readStamp(file) {
  const { bytes, whole } = await bytesOf(file);
  if (!bytes.length) throw new Refusal("is empty");
  if (latin(bytes, 0, 9) !== "SIMPLE  =") throw new Refusal(`is not a FITS file${hint(bytes)}`);
  const { cards, start, axes } = findImage(bytes, whole);
  const [height, width] = sidesOf(axes);
  const bits = numberOf(cards, "BITPIX");
  if (!READERS[bits]) throw new Refusal(`is damaged: BITPIX is ${textOf(cards, "BITPIX") || "missing"}`);
  const needed = (height * width * Math.abs(bits)) / 8;
  if (bytes.length - start < needed)
    throw new Refusal(
      whole
        ? `is cut short: ${height} x ${width} pixels need ${needed} bytes, and ${Math.max(0, bytes.length - start)} are there`
        : TOO_LARGE,
    );
  const pixels = decode(bytes, start, height * width, bits, cards);
  return { ...repair(pixels), height, width, scale: pixelScaleOf(cards) };
}

/**
 * See that a stamp has the size and scale that the network was trained on.
 * @param {{pixels: Float32Array, height: number, width: number, scale: number}} stamp
 * @param {number} wanted arcsec
 * @param {boolean} cut take the middle where it does not
 * @throws {Refusal} its `offer` is true where the middle can be taken
 */
export function fit(stamp, wanted, cut = false) {
  const { height, width, scale } = stamp;
  const isScaled = differs(scale, wanted);
  if (height === SIDE && width === SIDE && !isScaled) return stamp.pixels;
  const enough = Math.min(height, width) >= SIDE;
  if (!cut || !enough)
    throw new Refusal(
      `is ${geometry(height, width, scale)}, and the network was trained on ${geometry(SIDE, SIDE, wanted)}; ` +
        (enough ? "cut and resample it, or take its middle as it is" : "cut a larger one"),
      enough,
    );
  const top = Math.floor((height - SIDE) / 2);
  const left = Math.floor((width - SIDE) / 2);
  const middle = new Float32Array(SIDE * SIDE);
  for (let row = 0; row < SIDE; row++)
    middle.set(stamp.pixels.subarray((top + row) * width + left, (top + row) * width + left + SIDE), row * SIDE);
  return middle;
}

function geometry(height, width, scale) {
  return `${height} x ${width} pixels of ${Number.isNaN(scale) ? "unknown scale" : `${round(scale)} arcsec`}`;
}

/** Bytes of a file, unpacked, at most MOST_BYTES of them; `whole`: there are no more. */
async function bytesOf(file) {
  const magic = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const packed = magic[0] === 0x1f && magic[1] === 0x8b;
  if (!packed) {
    const bytes = new Uint8Array(await file.slice(0, MOST_BYTES).arrayBuffer());
    return { bytes, whole: file.size <= MOST_BYTES };
  }
  if (typeof DecompressionStream === "undefined")
    throw new Refusal("is gzipped, which this browser cannot unpack; unpack it first");
  const parts = [];
  let length = 0;
  try {
    for await (const part of unpack(file)) {
      parts.push(part);
      length += part.length;
      if (length > MOST_BYTES) break;
    }
  } catch (error) {
    throw new Refusal(`is a damaged gzip file: ${error.message || "it cannot be unpacked"}`);
  }
  const whole = length <= MOST_BYTES;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return { bytes, whole };
}

/** Unpack a gzip file piece by piece: a byte of it may stand for a thousand, which wait in memory to be read. */
async function* unpack(file) {
  const { readable, writable } = new DecompressionStream("gzip");
  const [reader, writer] = [readable.getReader(), writable.getWriter()];
  let damage;
  const fed = (async () => {
    for (let at = 0; at < file.size; at += PIECE) await writer.write(await file.slice(at, at + PIECE).arrayBuffer());
    await writer.close();
  })().catch((error) => {
    damage = error;
  });
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
    await fed;
    if (damage) throw damage;
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Header, place and axes of the first image that has pixels; tables, weights and masks are passed over. */
function findImage(bytes, whole) {
  let primary;
  let at = 0;
  let passed = "";
  while (at < bytes.length) {
    const found = readHeader(bytes, at);
    if (!found && !whole) throw new Refusal(TOO_LARGE);
    if (!found) throw new Refusal(at ? `holds no image${passed}` : "is cut short: its header has no END");
    const { cards, end } = found;
    const kind = primary ? textOf(cards, "XTENSION") : "IMAGE";
    if (textOf(cards, "ZIMAGE") === "T")
      throw new Refusal("is compressed by tiles (.fz); unpack it with `funpack`, and drop what comes out");
    const axes = axesOf(cards);
    const isImage = kind.startsWith("IMAGE") && axes.length > 0 && axes.every((length) => length > 0);
    primary ??= cards;
    if (isImage && !NOT_SKY.test(textOf(cards, "EXTNAME")))
      return { cards: new Map([...primary, ...cards]), start: end, axes };
    if (kind.endsWith("TABLE")) passed = ": only a table";
    const groups =
      numberOf(cards, "GCOUNT", 1) * (numberOf(cards, "PCOUNT", 0) + axes.reduce((a, b) => a * b, axes.length ? 1 : 0));
    const size = (Math.abs(numberOf(cards, "BITPIX")) / 8) * groups;
    if (!(size >= 0)) throw new Refusal("is damaged: its header does not say how much data follows");
    at = end + BLOCK * Math.ceil(size / BLOCK);
  }
  throw new Refusal(whole ? `holds no image${passed}` : TOO_LARGE);
}

/** Cards of a header by keyword, of a keyword that comes twice the first; `end`: where its data begin. */
function readHeader(bytes, from) {
  const cards = new Map();
  for (let at = from; at + CARD <= bytes.length; at += CARD) {
    const card = latin(bytes, at, CARD);
    const key = card.slice(0, 8).trimEnd();
    if (key === "END") return { cards, end: from + BLOCK * Math.ceil((at + CARD - from) / BLOCK) };
    if (card.slice(8, 10) === "= " && !cards.has(key)) cards.set(key, card.slice(10));
  }
  return null;
}

function axesOf(cards) {
  const count = numberOf(cards, "NAXIS");
  if (!(count >= 0 && count <= 999)) throw new Refusal(`is damaged: NAXIS is ${textOf(cards, "NAXIS") || "missing"}`);
  const axes = Array.from({ length: count }, (_, axis) => numberOf(cards, `NAXIS${count - axis}`));
  const bad = axes.find((length) => !(Number.isInteger(length) && length >= 0));
  if (bad !== undefined) throw new Refusal("is damaged: the length of an axis is not a whole number from 0");
  return axes;
}

/** Height and width of an image, axes of length 1 taken off. */
function sidesOf(axes) {
  const long = axes.filter((length) => length > 1);
  const sides = long.length < 2 ? axes.slice(-2) : long;
  if (sides.length > 2)
    throw new Refusal(
      `is a cube of ${sides.join(" x ")}; the network takes one band, so write that to a file of its own`,
    );
  if (sides.length < 2) throw new Refusal("has one axis; a stamp has two");
  if (sides[0] * sides[1] > MOST_PIXELS)
    throw new Refusal(`has ${sides.join(" x ")} pixels; a cutout has at most ${MOST_PIXELS / 1e6} million`);
  return sides;
}

function decode(bytes, start, length, bits, cards) {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start);
  const [scale, zero, blank] = [numberOf(cards, "BSCALE", 1), numberOf(cards, "BZERO", 0), numberOf(cards, "BLANK")];
  const read = READERS[bits];
  const step = Math.abs(bits) / 8;
  return Float32Array.from({ length }, (_, pixel) => {
    const value = read(view, pixel * step);
    return bits > 0 && value === blank ? Number.NaN : value * scale + zero;
  });
}

/** Give pixels that are not finite the median of the others. */
function repair(pixels) {
  const finite = pixels.filter(Number.isFinite);
  const repaired = pixels.length - finite.length;
  if (repaired > MAX_NONFINITE_FRACTION * pixels.length)
    throw new Refusal(`has ${repaired} of ${pixels.length} pixels that are not finite; at most 1 % may be`);
  if (!repaired) return { pixels, repaired };
  const middle = median(finite);
  return { pixels: pixels.map((value) => (Number.isFinite(value) ? value : middle)), repaired };
}

function hint(bytes) {
  if (latin(bytes, 0, 3) === "BZh") return ", but bzip2; unpack it first";
  if (latin(bytes, 0, 4) === "PK\x03\x04") return ", but a ZIP archive; unpack it first";
  return "";
}

function latin(bytes, from, length) {
  return String.fromCharCode(...bytes.subarray(from, from + length));
}
