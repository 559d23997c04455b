// A second reader of C2SP's formats, after their pages and doc/ledger.md: signed notes, checkpoints,
// RFC 6962 trees and proofs. Nothing of it is the project's own code.
import { createHash, createPublicKey, verify, sign } from 'node:crypto';

export const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), createHash('sha256')).digest();
export const leafHash = (leaf) => sha256(Buffer.of(0), leaf);
const node = (a, b) => sha256(Buffer.of(1), a, b);

export function root(hashes) {
  if (hashes.length === 0) return sha256('');
  if (hashes.length === 1) return hashes[0];
  let k = 1;
  while (k * 2 < hashes.length) k *= 2;
  return node(root(hashes.slice(0, k)), root(hashes.slice(k)));
}

// RFC 6962 section 2.1.1, from the leaf's sibling up; iterative as RFC 9162 has it.
export function included(index, size, leaf, proof, top) {
  let at = index, last = size - 1, r = leaf;
  if (index >= size) return false;
  for (const p of proof) {
    if (last === 0) return false;
    if (at % 2 || at === last) {
      r = node(p, r);
      while (at % 2 === 0 && at) { at /= 2; last = Math.floor(last / 2); }
    } else r = node(r, p);
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && r.equals(top);
}

export function consistent(old, size, oldRoot, top, proof) {
  if (old === size) return proof.length === 0 && oldRoot.equals(top);
  if (old === 0) return proof.length === 0;
  let at = old - 1, last = size - 1;
  while (at % 2) { at = Math.floor(at / 2); last = Math.floor(last / 2); }
  const rest = at === 0 ? [oldRoot, ...proof] : [...proof];
  if (!rest.length) return false;
  let a = rest.shift(), b = a;
  for (const p of rest) {
    if (last === 0) return false;
    if (at % 2 || at === last) {
      a = node(p, a);
      b = node(p, b);
      while (at % 2 === 0 && at) { at /= 2; last = Math.floor(last / 2); }
    } else b = node(b, p);
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && a.equals(oldRoot) && b.equals(top);
}

// ---- keys and notes ----

const spki = (raw) => createPublicKey({
  key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]), format: 'der', type: 'spki' });

export function keyId(name, type, raw) {
  return sha256(name, Buffer.of(10, type), raw).subarray(0, 4);
}

export function verifierKey(text) {
  const [, name, id, key] = text.trim().match(/^([^+]+)\+([0-9a-f]{8})\+(.+)$/);
  const bytes = Buffer.from(key, 'base64');
  const it = { name, type: bytes[0], raw: bytes.subarray(1) };
  if (keyId(name, it.type, it.raw).toString('hex') !== id) throw new Error('the id is not of this key');
  return it;
}

export function formatKey(name, type, raw) {
  return `${name}+${keyId(name, type, raw).toString('hex')}+${Buffer.concat([Buffer.of(type), raw]).toString('base64')}`;
}

// The text of a note that this key signed; throws if it did not.
export function openNote(note, key) {
  const split = note.lastIndexOf('\n\n');
  const text = note.slice(0, split + 1);
  for (const line of note.slice(split + 2).split('\n').filter(Boolean)) {
    const [, name, coded] = line.match(/^— (\S+) (\S+)$/);
    const bytes = Buffer.from(coded, 'base64');
    if (name !== key.name || !bytes.subarray(0, 4).equals(keyId(key.name, key.type, key.raw))) continue;
    const time = key.type === 4 ? bytes.readBigUInt64BE(4) : 0n;
    const message = key.type === 4 ? `cosignature/v1\ntime ${time}\n${text}` : text;
    if (!verify(null, Buffer.from(message), spki(key.raw), bytes.subarray(key.type === 4 ? 12 : 4)))
      throw new Error('a wrong signature');
    return text;
  }
  throw new Error(`not signed by ${key.name}`);
}

export function checkpoint(note, key) {
  const [origin, size, hash] = openNote(note, key).split('\n');
  if (origin !== key.name && key.type === 1) throw new Error('another log');
  return { origin, size: Number(size), root: Buffer.from(hash, 'base64') };
}

export function cosign(note, name, privateKey, raw, time = Math.floor(Date.now() / 1000)) {
  const text = note.slice(0, note.lastIndexOf('\n\n') + 1);
  const head = Buffer.alloc(8);
  head.writeBigUInt64BE(BigInt(time));
  const signature = sign(null, Buffer.from(`cosignature/v1\ntime ${time}\n${text}`), privateKey);
  return `— ${name} ${Buffer.concat([keyId(name, 4, raw), head, signature]).toString('base64')}\n`;
}

// ---- proofs and leaves ----

export function checkProof(text, key) {
  const lines = text.split('\n');
  if (lines.shift() !== 'c2sp.org/tlog-proof@v1') throw new Error('no proof');
  const extra = Buffer.from(lines.shift().replace(/^extra /, ''), 'base64');
  const index = Number(lines.shift().replace(/^index /, ''));
  const end = lines.indexOf('');
  const proof = lines.slice(0, end).map((l) => Buffer.from(l, 'base64'));
  const c = checkpoint(lines.slice(end + 1).join('\n'), key);
  const leaf = extra.subarray(2, 2 + extra.readUInt16LE(0));
  if (!included(index, c.size, leafHash(leaf), proof, c.root)) throw new Error('not included');
  const it = readLeaf(leaf);
  if (it.index !== index) throw new Error('another entry');
  return { ...it, checkpoint: c };
}

export function readLeaf(leaf) {
  if (leaf[0] !== 2) throw new Error('another version');
  const n = leaf.readUInt16LE(20);
  return { kind: leaf[1], parts: leaf[2], index: Number(leaf.readBigUInt64LE(4)),
    time: leaf.readBigUInt64LE(12), fields: leaf.subarray(22, 22 + n), rest: leaf.subarray(22 + n) };
}
