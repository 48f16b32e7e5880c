import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { fit, readStamp } from "../src/fits.js";
import { pixelScaleOf } from "../src/headers.js";

const card = (key, value) => `${key.padEnd(8)}= ${value}`.padEnd(80);
const block = (bytes, fill) => Buffer.concat([bytes, Buffer.alloc((2880 - (bytes.length % 2880)) % 2880, fill)]);
const header = (cards) =>
  block(
    Buffer.from(
      `${Object.entries(cards)
        .map(([key, value]) => card(key, value))
        .join("")}${"END".padEnd(80)}`,
    ),
    " ",
  );

/** A primary image of float32 pixels, its header changed by `cards`. */
function image(height, width, cards = {}, pixel = (i) => i) {
  const pixels = Buffer.alloc(4 * height * width);
  for (let i = 0; i < height * width; i++) pixels.writeFloatBE(pixel(i), 4 * i);
  return Buffer.concat([
    header({ SIMPLE: "T", BITPIX: "-32", NAXIS: "2", NAXIS1: width, NAXIS2: height, ...cards }),
    block(pixels),
  ]);
}

const read = (...parts) => readStamp(new Blob(parts));
const refused = (parts, words) =>
  assert.rejects(read(...parts), (error) => error.constructor.name === "Refusal" && words.test(error.message));

test("an image is read, plain or gzipped", async () => {
  for (const bytes of [image(45, 45), gzipSync(image(45, 45))]) {
    const { pixels, height, width, scale } = await read(bytes);
    assert.deepEqual([height, width, pixels[2024], Number.isNaN(scale)], [45, 45, 2024, true]);
  }
});

test("integers are scaled by BSCALE and BZERO, and BLANK becomes the median", async () => {
  const pixels = Buffer.alloc(2 * 225);
  for (let i = 0; i < 225; i++) pixels.writeInt16BE(i === 3 ? -1 : 4, 2 * i);
  const cards = {
    SIMPLE: "T",
    BITPIX: "16",
    NAXIS: "2",
    NAXIS1: "15",
    NAXIS2: "15",
    BSCALE: "0.5 / unit",
    BZERO: "1.0D1",
    BLANK: "-1",
  };
  const found = await read(header(cards), block(pixels));
  assert.deepEqual([found.pixels[0], found.pixels[3], found.repaired], [12, 12, 1]);
});

test("the first extension with an image is taken, weights and an empty primary passed over", async () => {
  const empty = header({ SIMPLE: "T", BITPIX: "8", NAXIS: "0", PIXSCALE: "0.18" });
  const extension = (name, height) => {
    const whole = image(height, 45, { EXTNAME: `'${name}'` });
    whole.write(card("XTENSION", "'IMAGE   '"), 0);
    return whole;
  };
  const { height, scale } = await read(empty, extension("WHT", 10), extension("SCI", 45));
  assert.deepEqual([height, scale], [45, 0.18]);
});

const refusals = {
  "an empty file": [[""], /^is empty$/],
  "a picture": [["\x89PNG\r\n\x1a\n and more"], /^is not a FITS file$/],
  bzip2: [["BZh91AY"], /bzip2/],
  "a header without END": [[image(45, 45).subarray(0, 240)], /cut short: its header/],
  "a file that is cut short": [
    [image(45, 45).subarray(0, 6000)],
    /^is cut short: 45 x 45 pixels need 8100 bytes, and 3120 are there$/,
  ],
  "a broken gzip file": [[gzipSync(image(45, 45)).subarray(0, 200)], /damaged gzip/],
  "a cube": [
    [header({ SIMPLE: "T", BITPIX: "-32", NAXIS: "3", NAXIS1: 45, NAXIS2: 45, NAXIS3: 3 })],
    /^is a cube of 3 x 45 x 45/,
  ],
  "a table": [
    [
      header({ SIMPLE: "T", BITPIX: "8", NAXIS: "0" }),
      header({ XTENSION: "'BINTABLE'", BITPIX: 8, NAXIS: 2, NAXIS1: 8, NAXIS2: 0, PCOUNT: 0, GCOUNT: 1 }),
    ],
    /^holds no image: only a table$/,
  ],
  tiles: [
    [
      header({ SIMPLE: "T", BITPIX: "8", NAXIS: "0" }),
      header({ XTENSION: "'BINTABLE'", BITPIX: 8, NAXIS: 2, NAXIS1: 8, NAXIS2: 45, ZIMAGE: "T" }),
    ],
    /funpack/,
  ],
  "one axis": [[header({ SIMPLE: "T", BITPIX: "-32", NAXIS: "1", NAXIS1: 45 })], /one axis/],
  "100 million pixels": [
    [header({ SIMPLE: "T", BITPIX: "-32", NAXIS: "2", NAXIS1: 10000, NAXIS2: 10000 })],
    /^has 10000 x 10000 pixels; a cutout has at most 4 million$/,
  ],
  "nothing finite": [[image(45, 45, {}, () => Number.NaN)], /^has 2025 of 2025 pixels that are not finite/],
  "another BITPIX": [[image(45, 45, { BITPIX: "12" })], /BITPIX is 12/],
  "a negative axis": [[image(45, 45, { NAXIS1: "-45" })], /damaged/],
  "oblong pixels": [
    [image(45, 45, { CTYPE1: "'RA---TAN'", CTYPE2: "'DEC--TAN'", CDELT1: "5e-5", CDELT2: "6e-5" })],
    /0.18 by 0.216 arcsec/,
  ],
};
for (const [name, [parts, words]] of Object.entries(refusals))
  test(`${name} is refused in a sentence`, () => refused(parts, words));

test("a gzip file that grows without end is unpacked no further than 64 MB", async () => {
  const packed = new Blob([
    gzipSync(Buffer.concat([header({ SIMPLE: "T", BITPIX: "8", NAXIS: "0" }), Buffer.alloc(2 ** 28)])),
  ]);
  let taken = 0;
  const file = {
    size: packed.size,
    slice: (from, to) => {
      taken = Math.max(taken, Math.min(to, packed.size));
      return packed.slice(from, to);
    },
  };
  await assert.rejects(readStamp(file), { message: "holds more than 64 MB; a cutout has less" });
  assert.ok(taken < packed.size / 2, `${taken} of ${packed.size} bytes were unpacked`);
});

test("only 45 by 45 pixels of the network's scale fit, and the middle is offered where there is enough", async () => {
  const [small, large, coarse] = await Promise.all([
    read(image(44, 45)),
    read(image(47, 45)),
    read(image(45, 45, { PIXSCALE: "0.2" })),
  ]);
  assert.throws(() => fit(small, 0.18), {
    message:
      /^is 44 x 45 pixels of unknown scale, and the network was trained on 45 x 45 pixels of 0.18 arcsec; cut a larger one$/,
    offer: false,
  });
  assert.throws(() => fit(large, 0.18), { message: /take its middle/, offer: true });
  assert.throws(() => fit(coarse, 0.18), { message: /^is 45 x 45 pixels of 0.2 arcsec/, offer: true });
  assert.equal(fit(large, 0.18, true)[0], 45); // the second row is the first of the middle
  assert.throws(() => fit(small, 0.18, true));
});

test("a pixel scale is read from a CD matrix, CDELT, or a word with its unit", () => {
  const sky = { CTYPE1: "'RA---TAN'", CTYPE2: "'DEC--TAN'" };
  const scale = (cards) => pixelScaleOf(new Map(Object.entries(cards)));
  const near = (found, expected) => assert.ok(Math.abs(found - expected) < 1e-9, String(found));
  near(scale({ ...sky, CD1_1: "-5E-5", CD2_2: "5E-5" }), 0.18);
  near(scale({ ...sky, CD1_2: "5D-5", CD2_1: "5D-5" }), 0.18);
  near(scale({ ...sky, CDELT1: "-0.18", CDELT2: "0.18", CUNIT1: "'arcsec'", CUNIT2: "'arcsec'" }), 0.18);
  near(scale({ PIXSCALE: "'3 arcmin'" }), 180);
  assert.ok(Number.isNaN(scale({ PIXSCALE: "'n/a'" })));
});
