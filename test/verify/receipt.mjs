// Receipts, and single proofs: doc/receipts.md, doc/ledger.md, c2sp.org/signed-note, /tlog-proof, /tlog-tiles.
//
//   judgeReceipt(bytes, {key, ledger, tiles, checkpoints, file})   judgeProof(bytes, {...})
//
// key: a verifier key; ledger: a ledger.log; tiles: a folder; checkpoints: texts; file: what it is about.
// Both give {result: 'clean' | 'pending' | 'incomplete' | 'found', findings: [names]}.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { blake2b } from './blake2b.mjs';
import { Ledger, judgeKept } from './ledger.mjs';
import { Tree, base64, isOrigin, judgeNote, parseKey, parseNote, parseProof, parseSigned, readProof, checkProof, textOf } from './note.mjs';

const PENDING = ['receipt-pending'];
const INCOMPLETE = ['receipt-unproven', 'proof-unanchored', 'checkpoint-unlinked'];
const verdict = (findings) => ({
  findings,
  result: findings.some((f) => !PENDING.includes(f) && !INCOMPLETE.includes(f)) ? 'found'
    : findings.some((f) => PENDING.includes(f)) ? 'pending' : findings.length ? 'incomplete' : 'clean',
});

// ---- an object without objects in it ----

// JSON (RFC 8259) of one object; members are strings, true, false and null; none stands twice.
function parseObject(text) {
  const token = /[ \t\n\r]*("(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|true|false|null|[{}:,]|$)/y;
  const next = () => {
    const m = token.exec(text);
    if (!m) throw new Error('no JSON');
    return m[1];
  };
  const value = (t) => {
    if (!/^["tfn]/.test(t)) throw new Error('no value');
    const v = JSON.parse(t);
    if (typeof v === 'string' && (!v.isWellFormed() || v.includes('\0'))) throw new Error('no text');
    return v;
  };
  const out = new Map();
  if (next() !== '{') throw new Error('no object');
  for (let t = next(); t !== '}';) {
    if (t[0] !== '"') throw new Error('no member');
    const key = value(t);
    if (next() !== ':' || out.has(key)) throw new Error('no member');
    out.set(key, value(next()));
    t = next();
    if (t === ',') {
      t = next();
      if (t === '}') throw new Error('no member');
    } else if (t !== '}') throw new Error('no end');
  }
  if (next() !== '' || token.lastIndex !== text.length) throw new Error('more');
  return out;
}

// ---- a receipt's note ----

const HEX = (bytes) => `([0-9a-f]{${2 * bytes}})`, NUMBER = '(0|[1-9][0-9]{0,18})';
const forms = {
  erasure: new RegExp(`^erasure ${HEX(16)}\nleaf ${NUMBER}\ntime ${NUMBER}\nsubjects ${NUMBER}\nname ${HEX(16)} ${HEX(32)}\n` +
    'sealer (forgotten|pending)\n((?:replica (?:erased|pending) [^\\n]+\n)*)$'),
  export: new RegExp(`^request ${HEX(16)}\nsha256 ${HEX(32)}\ninteractions ${NUMBER}\nleaf ${NUMBER}\ntime ${NUMBER}\n$`),
  report: new RegExp(`^report (records|breach|subject)\nsha256 ${HEX(32)}\nentries ${NUMBER}\nroot ([^\\n]+)\ntime ${NUMBER}\n$`),
};

function parseText(note) {
  const m = /^safehouse\.invalid\/receipt\/(erasure|export|report)\n([^\n]+)\n([^]*)$/.exec(note.text);
  const f = m && isOrigin(m[2]) ? forms[m[1]].exec(m[3]) : null;
  if (!f) throw new Error('no receipt');
  const r = { kind: m[1], origin: m[2], note };
  if (r.kind === 'erasure') {
    const waiting = (f[7] === 'pending') + f[8].split('\n').filter((l) => l.startsWith('replica pending')).length;
    return { ...r, id: f[1], leaf: BigInt(f[2]), salt: f[5], hash: f[6], waiting };
  }
  if (r.kind === 'export') return { ...r, id: f[1], sha256: f[2], leaf: BigInt(f[4]), waiting: 0 };
  return { ...r, sha256: f[2], entries: BigInt(f[3]), root: base64(f[4], 32), waiting: 0 };
}

function parseReceipt(bytes) {
  if (bytes.length > 4 << 20) throw new Error('too large');
  const text = textOf(bytes);
  if (text[0] !== '{') return parseText(parseSigned(text));
  const o = parseObject(text);
  for (const [key, v] of o) {
    const type = { receipt: 'string', note: 'string', name: 'text', project: 'text', proof: 'text', checkpoint: 'text', type: 'text', pending: 'boolean' }[key];
    if (!(type === 'text' ? v === null || typeof v === 'string' : typeof v === type)) throw new Error('a member');
  }
  const r = { ...parseText(parseSigned(o.get('note'))), ...Object.fromEntries(['name', 'project', 'proof', 'checkpoint'].map((k) => [k, o.get(k) ?? null])) };
  const erasure = r.kind === 'erasure', type = o.get('type') ?? null;
  if (type !== null && (r.kind !== 'export' || type !== 'receipt')) throw new Error('another line');
  if (o.get('receipt') !== r.kind || erasure !== o.has('pending') || (!erasure && (r.name ?? r.project) !== null) ||
    (r.kind === 'report' ? r.proof : r.checkpoint) !== null || (erasure && o.get('pending') !== r.waiting > 0))
    throw new Error('other members than its note');
  return r;
}

// ---- whose it is ----

class Tiles {
  constructor(folder, find) {
    try {
      const key = parseKey(readFileSync(join(folder, 'key'), 'utf8'));
      const note = parseNote(readFileSync(join(folder, 'checkpoint')));
      [this.origin, this.publicKey, this.entries] = [key.name, key.publicKey, Number(note.size)];
      if (note.origin !== this.origin || judgeNote(note, this.origin, this.publicKey) !== 'right') find('ledger-signature');
      this.read(folder, note, find);
    } catch {
      find('ledger-missing');
    }
  }
  read(folder, note, find) {
    const tree = new Tree();
    const roots = [tree.root()];
    for (let n = 0; tree.count < this.entries; n++) {
      const width = Math.min(256, this.entries - tree.count);
      const groups = String(n).padStart(3 * Math.ceil(String(n).length / 3), '0').match(/.../g);
      const name = groups.map((g, i) => i < groups.length - 1 ? `x${g}` : g).join('/') + (width < 256 ? `.p/${width}` : '');
      let bytes;
      try {
        bytes = readFileSync(join(folder, 'tile/0', name));
      } catch {
        bytes = Buffer.alloc(0);
      }
      if (bytes.length !== 32 * width) return find('ledger-damaged');
      for (let i = 0; i < width; i++) {
        tree.add(bytes.subarray(32 * i, 32 * i + 32));
        roots.push(tree.root());
      }
    }
    this.roots = roots;
    if (!tree.root().equals(note.root)) find('ledger-root');
  }
}

// The key that is known, or null; what speaks against the checkpoint (null: there is none) is told to find.
function anchor(note, { key, ledger, tiles, checkpoints = [] }, find) {
  const given = key ? parseKey(key) : null;
  const before = find.count();
  let own = given, known = !!(given || ledger || tiles);
  const kept = checkpoints.map(parseNote);
  if (note && given && (judgeNote(note, given.name, given.publicKey) !== 'right' || note.origin !== given.name)) find('proof-wrong');
  for (const l of [ledger && new Ledger(ledger), tiles && new Tiles(tiles, find)].filter(Boolean)) {
    (l.findings ?? []).forEach((f) => find(f.finding));
    if (!l.roots?.length || !l.publicKey) {
      known = false;
      continue;
    }
    if (given && (given.name !== l.origin || !given.publicKey.equals(l.publicKey))) find('ledger-key');
    for (const n of note ? [...kept, note] : kept) judgeKept(l, n, given ?? undefined).forEach((f) => find(f));
    own ??= { name: l.origin, publicKey: l.publicKey };
  }
  if (note && !ledger && !tiles)
    for (const c of kept) {
      const judged = given ? judgeNote(c, given.name, given.publicKey) : 'right';
      if (judged !== 'right') find(judged === 'wrong' ? 'checkpoint-wrong' : 'ledger-key');
      else if (c.origin !== note.origin) find('proof-wrong');
      else if (c.size === note.size && !c.root.equals(note.root)) find('ledger-forked');
      else if (c.size !== note.size && given) find('checkpoint-unlinked');
      else known ||= sameNote(c, note);
    }
  return { own, known: !!note && known && find.count() === before };
}

export function sameNote(a, b) {
  if (a.text !== b.text) return false;
  let shared = false;
  for (const x of a.signatures)
    for (const y of b.signatures) {
      if (x.name !== y.name || !x.id.equals(y.id)) continue;
      if (x.bytes.length !== 64 || !x.bytes.equals(y.bytes)) return false;
      shared = true;
    }
  return shared;
}

function finder() {
  const findings = [];
  const find = (f) => void findings.push(f);
  find.count = () => findings.length;
  return { findings, find };
}

export function judgeProof(bytes, anchors) {
  const { findings, find } = finder();
  let note;
  try {
    ({ note } = parseProof(bytes));
  } catch {
    return verdict(['proof-wrong']);
  }
  if (!anchor(note, anchors, find).known && !findings.length) find('proof-unanchored');
  return verdict(findings);
}

// ---- all of a receipt ----

// The checkpoint that it carries, or null.
function carried(r, find) {
  const text = r.kind === 'report' ? r.checkpoint : r.proof;
  if (text === null || text === undefined) return void find('receipt-unproven');
  let note, leaf, wrong = false;
  try {
    const proof = r.kind === 'report' ? null : readProof(text);
    ({ note, leaf } = proof ?? { note: parseNote(text) });
    if (proof) {
      try {
        checkProof(proof);
      } catch {
        wrong = true;
      }
    }
  } catch {
    return void find('receipt-proof');
  }
  const at = 22 + (r.kind === 'erasure' ? 2 : 0);
  wrong ||= leaf
    ? leaf[1] !== (r.kind === 'erasure' ? 5 : 4) || leaf.readBigUInt64LE(4) !== r.leaf ||
      leaf.readUInt16LE(20) < at - 22 + 16 || leaf.toString('hex', at, at + 16) !== r.id
    : note.size !== r.entries || !note.root.equals(r.root);
  if (wrong) find('receipt-proof');
  if (note.origin !== r.origin) find('receipt-proof');
  return note;
}

const length = (bytes, n) => Buffer.concat([n === 1 ? Buffer.of(bytes.length) : Buffer.of(bytes.length & 255, bytes.length >> 8), bytes]);
function isNamed(r) {
  const project = Buffer.from(r.project), name = Buffer.from(r.name);
  if (project.length > 255 || name.length > 65535) return false;
  return [1, 2].some((kind) => blake2b(Buffer.concat([length(Buffer.from('default'), 1), length(project, 1), Buffer.of(kind),
    length(name, 2)]), 32, Buffer.from(r.salt, 'hex')).toString('hex') === r.hash);
}

// An export that ends with its receipt, a line: [receipt, what it is about]; anything else is no such file.
function splitExport(bytes) {
  const end = bytes.length && bytes.at(-1) === 10 ? bytes.length - 1 : bytes.length, at = bytes.subarray(0, end).lastIndexOf(10) + 1;
  return at > 0 && bytes.subarray(at).toString('latin1').startsWith('{"type":"receipt",') ? [bytes.subarray(at), bytes.subarray(0, at)] : null;
}

export function judgeReceipt(bytes, { file, ...anchors }) {
  const whole = file ? null : splitExport(bytes);
  if (whole) [bytes, file] = whole;
  const { findings, find } = finder();
  let r;
  try {
    r = parseReceipt(bytes);
  } catch {
    return verdict(['receipt-wrong']);
  }
  const { own } = anchor(carried(r, find) ?? null, anchors, find);
  if (!own) {
    find('proof-unanchored');
  } else {
    const judged = judgeNote(r.note, own.name, own.publicKey);
    if (r.origin !== own.name) find('receipt-key');
    else if (judged !== 'right') find(judged === 'wrong' ? 'receipt-signature' : 'receipt-key');
  }
  if (r.kind === 'erasure') {
    if (typeof r.name !== 'string' || typeof r.project !== 'string') find('receipt-unproven');
    else if (!isNamed(r)) find('receipt-name');
    if (r.waiting) find('receipt-pending');
  } else if (!file) {
    find('receipt-unproven');
  } else if (createHash('sha256').update(file).digest('hex') !== r.sha256) {
    find('receipt-file');
  }
  return verdict(findings);
}
