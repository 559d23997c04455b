// Signed notes, checkpoints, tlog-proofs and RFC 6962 trees: c2sp.org/signed-note, /tlog-checkpoint,
// /tlog-proof, doc/ledger.md.
import { createHash, createPublicKey, verify } from 'node:crypto';

export const sha = (...parts) => {
  const h = createHash('sha256');
  for (const p of parts) h.update(p);
  return h.digest();
};
export const leafHash = (leaf) => sha(Buffer.of(0), leaf);
export const nodeHash = (l, r) => sha(Buffer.of(1), l, r);

// Leaf hashes are added; root() is the tree's at that moment.
export class Tree {
  full = [];
  count = 0;
  add(hash) {
    let carry = hash, level = 0;
    for (let n = this.count; n % 2 === 1; n = (n - 1) / 2) carry = nodeHash(this.full[level++], carry);
    this.full[level] = carry;
    this.count++;
  }
  root() {
    let root = null;
    for (let n = this.count, level = 0; n > 0; n = Math.floor(n / 2), level++)
      if (n % 2 === 1) root = root ? nodeHash(this.full[level], root) : this.full[level];
    return root ?? sha();
  }
}
export function treeRoot(hashes) {
  const t = new Tree();
  hashes.forEach((h) => t.add(h));
  return t.root();
}

// RFC 9162 section 2.1.3.2.
export function includes(hash, index, size, path, root) {
  if (index >= size) return false;
  let fn = index, sn = size - 1n, r = hash;
  for (const p of path) {
    if (sn === 0n) return false;
    if (fn % 2n === 1n || fn === sn) {
      r = nodeHash(p, r);
      if (fn % 2n === 0n) while (fn % 2n === 0n && fn !== 0n) { fn /= 2n; sn /= 2n; }
    } else r = nodeHash(r, p);
    fn /= 2n;
    sn /= 2n;
  }
  return sn === 0n && r.equals(root);
}

const DER = Buffer.from('302a300506032b6570032100', 'hex'); // of an Ed25519 key, RFC 8410
export const signedBy = (publicKey, text, signature) =>
  verify(null, Buffer.from(text), createPublicKey({ key: Buffer.concat([DER, publicKey]), format: 'der', type: 'spki' }),
    signature);
export const keyId = (name, publicKey) => sha(name, Buffer.of(0x0a, 1), publicKey).subarray(0, 4);

export function base64(text, length) {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text || (length !== undefined && bytes.length !== length))
    throw new Error('base64');
  return bytes;
}

export const checkpointText = (origin, size, root) => `${origin}\n${size}\n${root.toString('base64')}\n`;

// UTF-8, strictly; what is a string already was read so.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
export const textOf = (bytes) => typeof bytes === 'string' ? bytes : utf8.decode(bytes);

const isName = (name) => name.length > 0 && Buffer.byteLength(name) < 256 && !/[\x00-\x20\x7f+]|\p{White_Space}/u.test(name);
export const isOrigin = (name) => isName(name) && /^[!-~]+$/.test(name);

// name+id+key
export function parseKey(text) {
  const m = /^([^+]+)\+([0-9a-fA-F]{8})\+([^+\n]{44})\n?$/.exec(text) ?? /^([^+]+)\+([0-9a-fA-F]{8})\+(.+)\n?$/.exec(text);
  if (!m || !isOrigin(m[1])) throw new Error('no key');
  const bytes = base64(m[3], 33), publicKey = bytes.subarray(1);
  if (bytes[0] !== 1 || keyId(m[1], publicKey).toString('hex') !== m[2].toLowerCase()) throw new Error('no key');
  return { name: m[1], publicKey };
}

// The lines behind a note's empty line.
function parseSignatures(text) {
  const lines = text.split('\n');
  if (lines.pop() !== '' || lines.length < 1 || lines.length > 64) throw new Error('signatures');
  return lines.map((line) => {
    const m = /^\u2014 ([^ ]+) ([^ ]+)$/u.exec(line);
    if (!m || !isName(m[1])) throw new Error('a signature');
    const bytes = base64(m[2]);
    if (bytes.length < 5 || bytes.length > 8192) throw new Error('a signature');
    return { name: m[1], id: bytes.subarray(0, 4), bytes: bytes.subarray(4) };
  });
}

const short = (text) => {
  if (Buffer.byteLength(text) > 65536) throw new Error('too long');
  return text;
};

// {text, signatures} of a signed note of any text.
export function parseSigned(input) {
  const text = short(textOf(input)), split = text.lastIndexOf('\n\n');
  if (split < 0 || /[\x00-\x09\x0b-\x1f\x7f]/.test(text)) throw new Error('no note');
  return { text: text.slice(0, split + 1), signatures: parseSignatures(text.slice(split + 2)) };
}

export function parseNote(input) {
  const m = /^([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]+)\n\n([^]+)$/.exec(short(textOf(input)));
  if (!m || !isOrigin(m[1]) || BigInt(m[2]) >= 2n ** 63n) throw new Error('no checkpoint');
  return {
    origin: m[1], size: BigInt(m[2]), root: base64(m[3], 32),
    text: `${m[1]}\n${m[2]}\n${m[3]}\n`, signatures: parseSignatures(m[4]),
  };
}

// 'right', 'wrong' or 'none': the signatures of this key under the note.
export function judgeNote(note, name, publicKey) {
  const id = keyId(name, publicKey);
  const mine = note.signatures.filter((s) => s.name === name && s.id.equals(id));
  if (!mine.length) return 'none';
  return mine.every((s) => s.bytes.length === 64 && signedBy(publicKey, note.text, s.bytes)) ? 'right' : 'wrong';
}

// Is it one, from its first byte to its last?
export function isLeaf(leaf) {
  if (leaf.length < 22 || leaf[0] !== 2 || leaf[2] & ~7 || leaf[3]) return false;
  const n = 22 + leaf.readUInt16LE(20);
  return leaf.length === n + (leaf[2] & 1 ? 64 : 0) + (leaf[2] & 2 ? 72 : 0);
}

// A proof's parts; throws where it is none.
export function readProof(input) {
  const text = textOf(input);
  const m = /^c2sp\.org\/tlog-proof@v1\nextra ([^\n]*)\nindex (0|[1-9][0-9]{0,18})\n((?:[^\n]+\n)*)\n/.exec(text);
  if (!m || text.length > 4 << 20) throw new Error('no proof');
  const extra = base64(m[1]);
  if (extra.length < 2) throw new Error('no leaf');
  const n = extra.readUInt16LE(0), leaf = extra.subarray(2, 2 + n);
  if (leaf.length !== n) throw new Error('no leaf');
  const path = m[3].split('\n').filter(Boolean).map((line) => base64(line, 32));
  if (path.length > 64) throw new Error('a path that is too long');
  return { leaf, shown: extra.subarray(2 + n), index: BigInt(m[2]), path, note: parseNote(text.slice(m[0].length)) };
}

// Does it hold within its own checkpoint? Throws where it does not.
export function checkProof({ leaf, shown, index, path, note }) {
  if (!isLeaf(leaf) || leaf.readBigUInt64LE(4) !== index) throw new Error('the leaf of another place');
  if (!includes(leafHash(leaf), index, note.size, path, note.root)) throw new Error('it does not lead to the root');
  for (let at = 0; at < shown.length;) {
    if (shown.length - at < 5) throw new Error('shown part');
    const which = shown[at], len = shown.readUInt32LE(at + 1), part = shown.subarray(at + 5, at + 5 + len);
    if (which < 1 || which > 2 || len < 32 || part.length !== len || !(leaf[2] & which)) throw new Error('shown part');
    let to = 22 + leaf.readUInt16LE(20);
    if (which === 2) to += (leaf[2] & 1 ? 64 : 0) + 8;
    if (!sha('safehouse ledger part 2', Buffer.of(which), part).equals(leaf.subarray(to, to + 32)))
      throw new Error('a part that is not in the leaf');
    at += 5 + len;
  }
}

export function parseProof(input) {
  const proof = readProof(input);
  checkProof(proof);
  return proof;
}
