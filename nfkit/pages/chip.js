// The faulty cells of a chip, as nfkit/faults/weakness.py draws them: the same words of the same generator, bit for bit.
// 64-bit words are pairs of unsigned 32-bit numbers; in arrays the low half comes first, as it lies in memory.

const TWO32 = 4294967296;
const SHELLS = 48;
const POSITIONS = 0, COUNTS = 1, MARKS = 2;  // sub-streams of a memory

/** Upper half of the 64-bit product of two 32-bit numbers. */
function high(a, b) {
  const a0 = a & 0xffff, a1 = a >>> 16, b0 = b & 0xffff, b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const rest = a0 * b1 + (middle % 65536);
  return (a1 * b1 + Math.floor(middle / 65536) + (rest >>> 16)) >>> 0;
}

const low = (a, b) => Math.imul(a, b) >>> 0;

/** 128-bit product of two 64-bit numbers, as four 32-bit words, lowest first, written into `out`. */
function multiply(aLow, aHigh, bLow, bHigh, out) {
  const second = high(aLow, bLow) + low(aHigh, bLow) + low(aLow, bHigh);
  const third = high(aHigh, bLow) + high(aLow, bHigh) + low(aHigh, bHigh) + Math.floor(second / TWO32);
  out[0] = low(aLow, bLow);
  out[1] = second % TWO32;
  out[2] = third % TWO32;
  out[3] = high(aHigh, bHigh) + Math.floor(third / TWO32);
}

/** Philox 4x64 with 10 rounds (Salmon et al., 2011): four words of one block of a sub-stream. */
function philoxBlock(seed, key, block, stream, into, at) {
  // NumPy counts up before it draws; only the lowest and the highest word of its counter are in use here.
  const c = [block + 1, 0, 0, 0, 0, 0, stream, 0];
  let k0 = seed[0], k1 = seed[1], k2 = key[0], k3 = key[1];
  const first = [0, 0, 0, 0], second = [0, 0, 0, 0];
  for (let round = 0; round < 10; round++) {
    multiply(c[0], c[1], 0xe14c6c93, 0xd2e7470e, first);
    multiply(c[4], c[5], 0x95121157, 0xca5a8263, second);
    c[0] = (second[2] ^ c[2] ^ k0) >>> 0;
    c[1] = (second[3] ^ c[3] ^ k1) >>> 0;
    c[2] = second[0];
    c[3] = second[1];
    c[4] = (first[2] ^ c[6] ^ k2) >>> 0;
    c[5] = (first[3] ^ c[7] ^ k3) >>> 0;
    c[6] = first[0];
    c[7] = first[1];
    k1 = (k1 + 0x9e3779b9 + (k0 + 0x7f4a7c15 >= TWO32 ? 1 : 0)) >>> 0;
    k0 = (k0 + 0x7f4a7c15) >>> 0;
    k3 = (k3 + 0xbb67ae85 + (k2 + 0x84caa73b >= TWO32 ? 1 : 0)) >>> 0;
    k2 = (k2 + 0x84caa73b) >>> 0;
  }
  for (let i = 0; i < 8; i++) into[at + i] = c[i];
}

/** The first `count` 64-bit words of a sub-stream. */
function words(seed, key, stream, count) {
  const blocks = Math.ceil(count / 4);
  const drawn = new Uint32Array(8 * blocks);
  for (let block = 0; block < blocks; block++) philoxBlock(seed, key, block, stream, drawn, 8 * block);
  return drawn.subarray(0, 2 * count);
}

const tables = new Map();

/** Smallest count of non-negligible probability, and the cumulative probabilities from there on. */
function poissonTable(mean) {
  if (tables.has(mean)) return tables.get(mean);
  const mode = Math.floor(mean), width = Math.floor(12 * Math.sqrt(mean)) + 40;
  const falling = [];
  let weight = 1;
  for (let n = mode; n > Math.max(mode - width, 0); n--) falling.push(weight *= n / mean);
  const cumulative = [...falling.reverse(), 1];
  weight = 1;
  for (let n = mode + 1; n < mode + width; n++) cumulative.push(weight *= mean / n);
  for (let i = 1; i < cumulative.length; i++) cumulative[i] += cumulative[i - 1];
  const total = cumulative[cumulative.length - 1];
  const table = { first: mode - falling.length, cumulative: cumulative.map((sum) => sum / total) };
  tables.set(mean, table);
  return table;
}

/** Poisson count of a mean, by inversion of one uniform number. */
function poisson(mean, uniform) {
  const { first, cumulative } = poissonTable(mean);
  let from = 0, to = cumulative.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (cumulative[middle] <= uniform) from = middle + 1; else to = middle;
  }
  return first + from;
}

/** The cells of one memory of one chip; a seed beyond 2^53 comes as text. */
export class Memory {
  constructor(seed, name, cells) {
    this.seed = split(BigInt(seed));
    this.key = digestWord(name);
    this.side = digestWord(`${seed} ${name}`);
    this.cells = cells;
    this.drawn = new Uint32Array(0);
    const uniform = words(this.seed, this.key, COUNTS, SHELLS + 1);
    this.uniforms = Array.from({ length: SHELLS + 1 }, (_, i) => unit(uniform[2 * i], uniform[2 * i + 1]));
    this.marks = new Map();
  }

  /** How many points have fallen by the time tau = -log(1 - rate). */
  pointsUntil(tau) {
    let total = 0;
    for (let shell = SHELLS; shell >= 0; shell--) {
      const start = shell === SHELLS ? 0 : 2 ** -(shell + 1), end = 2 ** -shell;
      if (tau <= start) break;
      const count = poisson(this.cells * (end - start), this.uniforms[shell]);
      if (tau >= end) total += count;
      else if (count) total += this.marksBelow(shell, count, Math.floor(((tau - start) / (end - start)) * TWO32));
    }
    return total;
  }

  marksBelow(shell, count, limit) {
    if (!this.marks.has(shell)) this.marks.set(shell, words(this.seed, this.key, MARKS + shell, (count + 1) >> 1));
    const marks = this.marks.get(shell);
    let below = 0;
    for (let i = 0; i < count; i++) if (marks[i] < limit) below++;
    return below;
  }

  /** The cells that are faulty by a time, weakest first; one may occur twice. */
  weakest(tau) {
    const count = this.pointsUntil(tau);
    if (count > this.drawn.length) {
      const room = Math.max(count, 2 * this.drawn.length);  // a slider asks for a little more again and again
      const word = words(this.seed, this.key, POSITIONS, room);
      this.drawn = new Uint32Array(room);
      for (let i = 0; i < room; i++) {  // floor(word * cells / 2^64)
        const upper = word[2 * i + 1], carry = low(upper, this.cells) + high(word[2 * i], this.cells) >= TWO32;
        this.drawn[i] = high(upper, this.cells) + (carry ? 1 : 0);
      }
    }
    return this.drawn.subarray(0, count);
  }

  /** Whether a cell is stuck at 1 rather than at 0: the finaliser of SplitMix64. */
  prefersOne(cell, share) {
    const out = [0, 0, 0, 0];
    let x0 = (this.side[0] + cell) >>> 0;
    let x1 = (this.side[1] + (this.side[0] + cell >= TWO32 ? 1 : 0)) >>> 0;
    [x0, x1] = [(x0 ^ ((x0 >>> 30) | (x1 << 2))) >>> 0, (x1 ^ (x1 >>> 30)) >>> 0];
    multiply(x0, x1, 0x1ce4e5b9, 0xbf58476d, out);
    [x0, x1] = out;
    [x0, x1] = [(x0 ^ ((x0 >>> 27) | (x1 << 5))) >>> 0, (x1 ^ (x1 >>> 27)) >>> 0];
    multiply(x0, x1, 0x133111eb, 0x94d049bb, out);
    return out[1] < Math.floor(share * TWO32);  // the lower half of the limit is 0
  }
}

/** A uniform number in [0, 1) of 53 bits. */
const unit = (lower, upper) => (upper * 2 ** 21 + (lower >>> 11)) * 2 ** -53;

const split = (number) => [Number(number & 0xffffffffn), Number(number >> 32n)];

/** The first 8 bytes of a text's SHA-256, as a little-endian word. */
function digestWord(text) {
  const [a, b] = sha256(new TextEncoder().encode(text));
  const turned = (x) => ((x >>> 24) | ((x >>> 8) & 0xff00) | ((x << 8) & 0xff0000) | (x << 24)) >>> 0;
  return [turned(a), turned(b)];
}

/** SHA-256 (FIPS 180-4) as eight words; the browser's own is absent from pages that were fetched without TLS. */
function sha256(bytes) {
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p)) primes.push(n);
  const part = (root) => Math.floor((root - Math.floor(root)) * TWO32);
  const k = primes.map((p) => part(Math.cbrt(p)));
  const h = primes.slice(0, 8).map((p) => part(Math.sqrt(p)));
  const length = (Math.floor((bytes.length + 8) / 64) + 1) * 64;
  const padded = new Uint8Array(length);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  new DataView(padded.buffer).setUint32(length - 4, bytes.length * 8);
  const turn = (x, n) => (x >>> n) | (x << (32 - n));
  const w = new Uint32Array(64);
  for (let start = 0; start < length; start += 64) {
    const view = new DataView(padded.buffer, start, 64);
    for (let i = 0; i < 64; i++) {
      if (i < 16) { w[i] = view.getUint32(4 * i); continue; }
      const x = w[i - 15], y = w[i - 2];
      const s0 = turn(x, 7) ^ turn(x, 18) ^ (x >>> 3), s1 = turn(y, 17) ^ turn(y, 19) ^ (y >>> 10);
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    let [a, b, c, d, e, f, g, last] = h;
    for (let i = 0; i < 64; i++) {
      const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25), choice = (e & f) ^ (~e & g);
      const t1 = (last + s1 + choice + k[i] + w[i]) | 0;
      const s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22), majority = (a & b) ^ (a & c) ^ (b & c);
      [a, b, c, d, e, f, g, last] = [(t1 + s0 + majority) | 0, a, b, c, (d + t1) | 0, e, f, g];
    }
    [a, b, c, d, e, f, g, last].forEach((value, i) => { h[i] = (h[i] + value) >>> 0; });
  }
  return h;
}

/** The stored codes of a site as a chip returns them, and how many bits come back wrong.
 *
 * site: `bits` of a code, `width` of the word that holds it, `signed`, `exposed` bit positions.
 * errors: kind, share of errors that write a 1; taus: times up to which cells set and clear.
 */
export function read(memory, site, stored, errors, [setting, clearing]) {
  const got = stored.slice();
  const put = (cell, one) => {
    const bit = cell % site.bits;
    if (!site.exposed.includes(bit)) return;
    const at = Math.floor(cell / site.bits) * site.width + bit, mask = 1 << (at & 7), byte = Math.floor(at / 8);
    if (((stored[byte] & mask) !== 0) !== one) got[byte] = one ? got[byte] | mask : got[byte] & ~mask;
  };
  if (errors.kind === "stuck") {
    for (const cell of memory.weakest(setting)) put(cell, memory.prefersOne(cell, errors.set_share));
  } else {
    for (const cell of memory.weakest(setting)) put(cell, true);
    for (const cell of memory.weakest(clearing)) put(cell, false);
  }
  let flipped = 0;
  for (let i = 0; i < got.length; i++) {
    let differing = got[i] ^ stored[i];
    for (; differing; differing &= differing - 1) flipped++;
  }
  if (site.signed && site.bits < site.width) extend(got, site);
  return { codes: got, flipped };
}

/** Carries the top bit of narrow codes into the unused bits of their words. */
function extend(bytes, { bits, width }) {
  for (let start = 0; start < bytes.length * 8; start += width) {
    const top = start + bits - 1, one = (bytes[top >> 3] >> (top & 7)) & 1;
    for (let at = start + bits; at < start + width; at++) {
      if (one) bytes[at >> 3] |= 1 << (at & 7); else bytes[at >> 3] &= ~(1 << (at & 7));
    }
  }
}
