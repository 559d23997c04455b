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

export function parseNote(text) {
  const m = /^([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]+)\n\n((?:\u2014 [^ \n+]+ [^ \n]+\n)+)$/u.exec(text);
  if (!m || text.length > 65536) throw new Error('no checkpoint');
  const signatures = m[4].split('\n').filter(Boolean).map((line) => {
    const [, name, data] = line.split(' ');
    const bytes = base64(data);
    return { name, id: bytes.subarray(0, 4), bytes: bytes.subarray(4) };
  });
  return {
    origin: m[1], size: BigInt(m[2]), root: base64(m[3], 32),
    text: `${m[1]}\n${m[2]}\n${m[3]}\n`, signatures,
  };
}

// 'right', 'wrong' or 'none': the signatures of this key under the note.
export function judgeNote(note, name, publicKey) {
  const id = keyId(name, publicKey);
  const mine = note.signatures.filter((s) => s.name === name && s.id.equals(id));
  if (!mine.length) return 'none';
  return mine.every((s) => s.bytes.length === 64 && signedBy(publicKey, note.text, s.bytes)) ? 'right' : 'wrong';
}

// The leaf of a proof that holds within its own checkpoint, and that checkpoint; throws otherwise.
export function parseProof(text) {
  const m = /^c2sp\.org\/tlog-proof@v1\nextra ([^\n]*)\nindex (0|[1-9][0-9]{0,18})\n((?:[^\n]+\n)*)\n/.exec(text);
  if (!m) throw new Error('no proof');
  const extra = base64(m[1]);
  const n = extra.readUInt16LE(0);
  const leaf = extra.subarray(2, 2 + n);
  if (leaf.length !== n) throw new Error('no leaf');
  const index = BigInt(m[2]);
  const path = m[3].split('\n').filter(Boolean).map((line) => base64(line, 32));
  if (path.length > 64) throw new Error('a path that is too long');
  const note = parseNote(text.slice(m[0].length));
  if (leaf[0] !== 2 || leaf.readBigUInt64LE(4) !== index) throw new Error('the leaf of another place');
  if (!includes(leafHash(leaf), index, note.size, path, note.root)) throw new Error('it does not lead to the root');
  for (let at = 2 + n; at < extra.length;) {
    const which = extra[at], len = extra.readUInt32LE(at + 1);
    const shown = extra.subarray(at + 5, at + 5 + len);
    if (which < 1 || which > 2 || len < 32 || shown.length !== len || !(leaf[2] & which)) throw new Error('shown part');
    let to = 22 + leaf.readUInt16LE(20);
    if (which === 2) to += (leaf[2] & 1 ? 64 : 0) + 8;
    if (!sha('safehouse ledger part 2', Buffer.of(which), shown).equals(leaf.subarray(to, to + 32)))
      throw new Error('a part that is not in the leaf');
    at += 5 + len;
  }
  return { leaf, index, note };
}
