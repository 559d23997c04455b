// Makes ledgers as somebody could who holds the vault's folder: cut, rewritten, forked, signed anew.
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { blake2b } from './blake2b.mjs';
import { Tree, checkpointText, keyId, leafHash, nodeHash, sha } from './note.mjs';

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex'); // of an Ed25519 seed, RFC 8410

export class Signer {
  constructor(seed) {
    this.key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' });
    this.publicKey = createPublicKey(this.key).export({ format: 'der', type: 'spki' }).subarray(-32);
  }
  // Of ledger.key: 8 bytes of magic, then the seed.
  static of = (ledgerKey) => new Signer(ledgerKey.subarray(8, 40));
  sign = (text) => sign(null, Buffer.from(text), this.key);
}

// {head, frames: [{type, body, end}]}: `end` is the offset behind it.
export function split(file) {
  const frames = [];
  for (let at = 64; file.length - at >= 16;) {
    const n = file.readUInt32LE(at);
    frames.push({ type: file[at + 4], body: file.subarray(at + 16, at + 16 + n), end: at + 16 + n });
    at += 16 + n;
  }
  return { head: file.subarray(0, 64), frames };
}

export const leafOf = (body) => body.subarray(2, 2 + body.readUInt16LE(0));

// The file of these frames; checkpoints are computed and signed anew.
export function build(head, frames, signer, { keepSignatures = false } = {}) {
  const origin = `safehouse.invalid/${head.toString('hex', 8, 24)}`;
  const newHead = Buffer.concat([head.subarray(0, 24), signer.publicKey, Buffer.alloc(8)]);
  const tree = new Tree(), out = [newHead];
  let at = 64;
  for (const { type, body: old } of frames) {
    let body = old;
    if (type === 1) {
      tree.add(leafHash(leafOf(body)));
    } else if (!keepSignatures) {
      body = Buffer.alloc(104);
      body.writeBigUInt64LE(BigInt(tree.count));
      tree.root().copy(body, 8);
      signer.sign(checkpointText(origin, tree.count, tree.root())).copy(body, 40);
    }
    const frame = Buffer.alloc(8), offset = Buffer.alloc(8);
    frame.writeUInt32LE(body.length);
    frame[4] = type;
    offset.writeBigUInt64LE(BigInt(at));
    out.push(frame, sha('safehouse ledger frame 2', offset, frame, type === 2 ? body : '').subarray(0, 8), body);
    at += 16 + body.length;
  }
  return Buffer.concat(out);
}

// An entry without sealed parts.
export function entry(index, time, kind, fields) {
  const leaf = Buffer.alloc(22 + fields.length);
  leaf[0] = 2;
  leaf[1] = kind;
  leaf.writeBigUInt64LE(BigInt(index), 4);
  leaf.writeBigUInt64LE(time, 12);
  leaf.writeUInt16LE(fields.length, 20);
  fields.copy(leaf, 22);
  const body = Buffer.alloc(2 + leaf.length + 8);
  body.writeUInt16LE(leaf.length);
  leaf.copy(body, 2);
  return { type: 1, body };
}
export const checkpointFrame = () => ({ type: 2, body: Buffer.alloc(104) });

// The file and these entries behind it, confirmed.
export function append(file, signer, ...entries) {
  const { head, frames } = split(file);
  const leaves = frames.filter((f) => f.type === 1);
  const time = leaves.length ? leafOf(leaves.at(-1).body).readBigUInt64LE(12) : 1n;
  const more = entries.map(([kind, fields], i) => entry(leaves.length + i, time, kind, fields));
  return build(head, [...frames, ...more, checkpointFrame()], signer);
}

// The file with these entries before all others.
export function prepend(file, signer, ...entries) {
  const { head, frames } = split(file);
  const [first, ...rest] = frames.map((f) => ({ ...f, body: Buffer.from(f.body) }));
  const time = leafOf(rest.find((f) => f.type === 1).body).readBigUInt64LE(12);
  const more = entries.map(([kind, fields], i) => entry(i, time, kind, fields));
  rest.filter((f) => f.type === 1).forEach((f, i) => leafOf(f.body).writeBigUInt64LE(BigInt(more.length + i), 4));
  return build(head, [first, ...more, checkpointFrame(), ...rest], signer);
}

// Checkpoints in the file, oldest first, as signed notes.
export function notes(file) {
  const { head, frames } = split(file);
  const origin = `safehouse.invalid/${head.toString('hex', 8, 24)}`;
  const id = keyId(origin, head.subarray(24, 56));
  return frames.filter((f) => f.type === 2).map(({ body }) => {
    const text = checkpointText(origin, body.readBigUInt64LE(0), body.subarray(8, 40));
    return `${text}\n\u2014 ${origin} ${Buffer.concat([id, body.subarray(40)]).toString('base64')}\n`;
  });
}

// RFC 6962 section 2.1.1.
function path(m, hashes) {
  if (hashes.length <= 1) return [];
  let k = 1;
  while (2 * k < hashes.length) k *= 2;
  const root = (h) => h.length === 1 ? h[0] : (() => {
    let j = 1;
    while (2 * j < h.length) j *= 2;
    return nodeHash(root(h.slice(0, j)), root(h.slice(j)));
  })();
  return m < k ? [...path(m, hashes.slice(0, k)), root(hashes.slice(k))]
    : [...path(m - k, hashes.slice(k)), root(hashes.slice(0, k))];
}

// A tlog-proof of entry `index` in the newest checkpoint.
export function prove(file, index) {
  const leaves = split(file).frames.filter((f) => f.type === 1).map((f) => leafOf(f.body));
  const note = notes(file).at(-1);
  const size = Number(note.split('\n')[1]);
  const length = Buffer.alloc(2);
  length.writeUInt16LE(leaves[index].length);
  const hashes = leaves.slice(0, size).map(leafHash);
  return `c2sp.org/tlog-proof@v1\nextra ${Buffer.concat([length, leaves[index]]).toString('base64')}\n` +
    `index ${index}\n${path(index, hashes).map((h) => h.toString('base64') + '\n').join('')}\n${note}`;
}

const s8 = (text) => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
// Public fields of a retention entry.
export function retention(table, month, rows, held = 0) {
  const numbers = Buffer.alloc(32);
  numbers.writeBigUInt64LE(BigInt(rows), 16);
  numbers.writeBigUInt64LE(BigInt(held), 24);
  return Buffer.concat([s8(table), s8(String(month)), numbers, s8('test')]);
}
// Of a high-water mark.
export function mark(epoch, highest, open) {
  const b = Buffer.alloc(30);
  b.writeUInt16LE(1, 8);
  b.writeBigUInt64LE(epoch, 10);
  b.writeBigUInt64LE(highest, 18);
  b.writeUInt32LE(open, 26);
  return b;
}

// A file of the spool (doc/spool.md): rows are [table, bytes], exchanges [epoch, sequence] behind them all.
export function spool(sealer, number, { rows = [], exchanges = [], end = false } = {}) {
  const check = (bytes) => blake2b(bytes, 16).subarray(0, 8);
  const header = Buffer.alloc(56);
  header.write('shspool1');
  header.writeBigUInt64LE(BigInt(sealer), 8);
  header.writeBigUInt64LE(BigInt(number), 16);
  const out = [header, check(header)], tree = new Tree();
  const frame = (kind, table, payload) => {
    const head = Buffer.alloc(8);
    head.writeUInt32LE(payload.length);
    head[4] = kind;
    head[5] = table;
    out.push(head, payload, check(Buffer.concat([head, payload])));
  };
  for (const [table, bytes] of rows) {
    tree.add(sha(Buffer.of(0, table), bytes));
    frame(1, table, bytes);
  }
  for (const [epoch, sequence] of exchanges) {
    const p = Buffer.alloc(32);
    p.writeBigUInt64LE(BigInt(epoch), 0);
    p.writeBigUInt64LE(BigInt(sequence), 8);
    frame(3, 0, p);
  }
  if (end) {
    const p = Buffer.alloc(68);
    p.writeUInt32LE(rows.length);
    tree.root().copy(p, 4);
    frame(2, 0, p);
  }
  return Buffer.concat(out);
}
export const spoolName = (sealer, number) => [sealer, number].map((n) => BigInt(n).toString(16).padStart(16, '0')).join('-') + '.spool';
