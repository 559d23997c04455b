// Mutated proofs against the second verifier: none may be accepted but those that are proofs themselves.
//   node test/verify/mutate.mjs [COUNT [SEED]]      over the golden ledger; exit code 1 when one is
import { pathToFileURL } from 'node:url';
import { vectors } from './golden.mjs';
import { checkProof, judgeNote, leafHash, parseKey, readProof, treeRoot } from './note.mjs';

// xorshift128+ of a seed, so that what was found can be found again.
export function random(seed) {
  let a = BigInt.asUintN(64, BigInt(seed) * 0x9e3779b97f4a7c15n + 1n), b = a ^ 0xd1b54a32d192ed03n;
  const next = () => {
    let x = a;
    a = b;
    x = BigInt.asUintN(64, x ^ (x << 23n));
    b = x ^ b ^ (x >> 17n) ^ (b >> 26n);
    return Number(BigInt.asUintN(64, a + b) >> 11n) / 2 ** 53;
  };
  return (n) => Math.floor(next() * n);
}

const text = (p) => `c2sp.org/tlog-proof@v1\nextra ${p.extra}\nindex ${p.index}\n${p.path.map((h) => h + '\n').join('')}\n${p.origin}\n${p.size}\n${p.root}\n\n${p.signatures}`;
function parts(proof) {
  const [, extra, index, path, origin, size, root, signatures] =
    /^[^\n]+\nextra (.*)\nindex (.*)\n((?:.+\n)*)\n(.*)\n(.*)\n(.*)\n\n([^]*)$/.exec(proof);
  return { extra, index, path: path.split('\n').filter(Boolean), origin, size, root, signatures };
}

const flip = (b64, pick) => {
  const bytes = Buffer.from(b64, 'base64');
  bytes[pick(bytes.length)] ^= 1 << pick(8);
  return bytes.toString('base64');
};

// Of the proof's parts: what each does to them. `pick(n)` is a number below n, `other` another proof's parts.
const structural = {
  'a bit of a hash': (p, pick) => { if (p.path.length) { const i = pick(p.path.length); p.path[i] = flip(p.path[i], pick); } },
  'two hashes change places': (p, pick) => { if (p.path.length > 1) { const i = pick(p.path.length), j = pick(p.path.length); [p.path[i], p.path[j]] = [p.path[j], p.path[i]]; } },
  'a hash less': (p, pick) => p.path.splice(pick(p.path.length + 1), 1),
  'the path cut': (p, pick) => p.path.splice(pick(p.path.length + 1)),
  'a hash more': (p, pick, other, hashes) => p.path.splice(pick(p.path.length + 1), 0, hashes[pick(hashes.length)]),
  'another index': (p, pick) => { p.index = String([Number(p.index) + 1, Number(p.index) - 1, Number(p.index) ^ 1 << pick(9), pick(300), -1, 2 ** 53][pick(6)]); },
  'another size': (p, pick) => { p.size = String([Number(p.size) + 1, Number(p.size) - 1, Number(p.size) ^ 1 << pick(9), 1 + pick(300), 0, 2 ** 53][pick(6)]); },
  'another leaf': (p, pick, other) => { p.extra = other.extra; },
  'a bit of the leaf': (p, pick) => { p.extra = flip(p.extra, pick); },
  'another path': (p, pick, other) => { p.path = [...other.path]; },
  'half of another path': (p, pick, other) => { const n = pick(p.path.length + 1); p.path = [...p.path.slice(0, n), ...other.path.slice(n)]; },
  'another checkpoint': (p, pick, other) => Object.assign(p, { size: other.size, root: other.root, signatures: other.signatures }),
  'another signature': (p, pick, other) => { p.signatures = other.signatures; },
  'the root of another tree': (p, pick, other, hashes) => { p.root = treeRoot(hashes.slice(0, 1 + pick(hashes.length)).map((h) => Buffer.from(h, 'base64'))).toString('base64'); },
  'the root that the path leads to': (p, pick, other, hashes) => { p.path = []; p.index = '0'; p.size = '1'; p.root = hashes[pick(hashes.length)]; },
  'the leaf as the root of a tree of one': (p) => {
    const extra = Buffer.from(p.extra, 'base64');
    Object.assign(p, { path: [], size: '1', root: leafHash(extra.subarray(2, 2 + extra.readUInt16LE(0))).toString('base64') });
  },
  'another origin': (p, pick) => { const i = pick(p.origin.length); p.origin = p.origin.slice(0, i) + 'x' + p.origin.slice(i + 1); },
};
// Of its bytes.
const bytewise = {
  'a bit': (b, pick) => { b[pick(b.length)] ^= 1 << pick(8); return b; },
  'a byte': (b, pick) => { b[pick(b.length)] = pick(256); return b; },
  'cut': (b, pick) => b.subarray(0, pick(b.length)),
  'a byte less': (b, pick) => { const i = pick(b.length); return Buffer.concat([b.subarray(0, i), b.subarray(i + 1)]); },
  'a byte more': (b, pick) => { const i = pick(b.length + 1); return Buffer.concat([b.subarray(0, i), Buffer.of(pick(256)), b.subarray(i)]); },
  'pieces change places': (b, pick) => {
    const n = 1 + pick(48), i = pick(b.length - n), j = pick(b.length - n), piece = Buffer.from(b.subarray(i, i + n));
    b.copyWithin(i, j, j + n);
    piece.copy(b, j);
    return b;
  },
  'doubled': (b, pick) => { const i = pick(b.length), n = pick(b.length - i); return Buffer.concat([b.subarray(0, i + n), b.subarray(i)]); },
  'more behind it': (b, pick) => Buffer.concat([b, Buffer.from(['\n', 'x\n', ' ', '\0', '\r\n'][pick(5)])]),
};

// {tried, accepted, signatures, kinds}: `accepted` lists texts.
export function mutate(count, seed = 1) {
  const v = vectors(), key = parseKey(v.text('key'));
  const genuine = ['proof.3.300', 'proof.290.291', 'shown.295.300'].map(v.text);
  const known = new Set(genuine), of = genuine.map(parts);
  const hashes = [...of.flatMap((p) => p.path), ...of.map((p) => p.root), ...Array.from({ length: 8 }, (_, i) => v.get('tile.0.0').subarray(32 * i, 32 * i + 32).toString('base64'))];
  const pick = random(seed), out = { tried: 0, accepted: [], signatures: 0, kinds: {} };
  const ways = [...Object.keys(structural), ...Object.keys(bytewise)];
  const accepts = (bytes) => {
    const proof = readProof(bytes);
    checkProof(proof);
    out.signatures++; // only now, as the root is right
    return proof.note.origin === key.name && judgeNote(proof.note, key.name, key.publicKey) === 'right';
  };
  if (!genuine.every(accepts)) throw new Error('what is right is refused');
  out.signatures = 0;
  while (out.tried < count) {
    const i = pick(of.length), way = ways[pick(ways.length)];
    let bytes;
    if (structural[way]) {
      const p = { ...of[i], path: [...of[i].path] };
      for (let n = pick(4) === 0 ? 2 : 1; n > 0; n--) structural[n > 1 ? Object.keys(structural)[pick(Object.keys(structural).length)] : way](p, pick, of[(i + 1 + pick(of.length - 1)) % of.length], hashes);
      bytes = Buffer.from(text(p));
    } else {
      bytes = bytewise[way](Buffer.from(genuine[i]), pick);
    }
    if (known.has(bytes.toString())) continue;
    out.tried++;
    out.kinds[way] = (out.kinds[way] ?? 0) + 1;
    let yes = false;
    try {
      yes = accepts(bytes);
    } catch { /* refused */ }
    if (yes) out.accepted.push(`${way}: ${bytes}`);
  }
  return out;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [count = 1000000, seed = Date.now() % 2 ** 31] = process.argv.slice(2).map(Number);
  const { tried, accepted, signatures, kinds } = mutate(count, seed);
  accepted.slice(0, 10).forEach((a) => console.log(a));
  console.log(`${tried} mutated proofs of ${Object.keys(kinds).length} kinds (seed ${seed}), ${signatures} with a right root, ${accepted.length} accepted`);
  process.exitCode = accepted.length ? 1 : 0;
}
