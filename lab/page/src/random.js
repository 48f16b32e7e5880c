// NumPy's RandomState: the Mersenne Twister, so that a seed of the page draws what it draws in both twins.
// References: Matsumoto & Nishimura 1998, ACM TOMACS 8, 3; numpy/random/src/mt19937, and numpy/random/mtrand.pyx.

const LENGTH = 624;
const MIDDLE = 397;

export class RandomState {
  /** @param {number | number[]} seed one unsigned 32-bit number, or several */
  constructor(seed) {
    this.key = new Uint32Array(LENGTH);
    if (Array.isArray(seed)) this.#seedWithMany(seed);
    else this.#seedWithOne(seed);
    this.position = LENGTH;
  }

  /** Next 32 random bits. */
  bits() {
    if (this.position === LENGTH) this.#twist();
    let y = this.key[this.position++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** Uniform in [0, 1), of 53 random bits. */
  random() {
    const high = this.bits() >>> 5;
    const low = this.bits() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** `length` uniform numbers in [low, high), float64. */
  uniform(low, high, length) {
    return Float64Array.from({ length }, () => low + (high - low) * this.random());
  }

  /** 0 to length - 1 in random order. */
  permutation(length) {
    const order = Array.from({ length }, (_, index) => index);
    for (let last = length - 1; last > 0; last--) {
      const other = this.#atMost(last);
      [order[last], order[other]] = [order[other], order[last]];
    }
    return order;
  }

  #atMost(largest) {
    const mask = 2 ** (32 - Math.clz32(largest)) - 1;
    for (;;) {
      const value = (this.bits() & mask) >>> 0;
      if (value <= largest) return value;
    }
  }

  #seedWithOne(seed) {
    const { key } = this;
    key[0] = seed;
    for (let i = 1; i < LENGTH; i++) key[i] = Math.imul(1812433253, key[i - 1] ^ (key[i - 1] >>> 30)) + i;
  }

  #seedWithMany(seeds) {
    const { key } = this;
    this.#seedWithOne(19650218);
    let i = 1;
    const next = () => {
      if (++i === LENGTH) {
        key[0] = key[LENGTH - 1];
        i = 1;
      }
    };
    for (let round = 0; round < Math.max(LENGTH, seeds.length); round++) {
      const j = round % seeds.length;
      key[i] = (key[i] ^ Math.imul(key[i - 1] ^ (key[i - 1] >>> 30), 1664525)) + seeds[j] + j;
      next();
    }
    for (let round = 1; round < LENGTH; round++) {
      key[i] = (key[i] ^ Math.imul(key[i - 1] ^ (key[i - 1] >>> 30), 1566083941)) - i;
      next();
    }
    key[0] = 0x80000000;
  }

  #twist() {
    const { key } = this;
    for (let i = 0; i < LENGTH; i++) {
      const y = (key[i] & 0x80000000) | (key[(i + 1) % LENGTH] & 0x7fffffff);
      key[i] = key[(i + MIDDLE) % LENGTH] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.position = 0;
  }
}
