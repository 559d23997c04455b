// ledger.log, from doc/ledger.md: its frames, leaves and checkpoints, and what batches it says there are.
import { Tree, checkpointText, judgeNote, leafHash, sha, signedBy } from './note.mjs';

export class Ledger {
  findings = [];
  batches = new Map(); // "sealer/number" -> {sealer, number, rows, previous, root, commitment, time}
  marks = new Map(); // epoch -> {highest, open}
  drops = []; // {table, month, rows, held}
  roots = []; // of the tree at each size
  entries = 0;

  constructor(bytes) {
    this.bytes = bytes;
    const zero = bytes.subarray(56, 64);
    if (bytes.length < 64 || bytes.toString('latin1', 0, 8) !== 'shledgr2' || zero.some((b) => b))
      return void this.find('ledger-missing');
    this.origin = `safehouse.invalid/${bytes.toString('hex', 8, 24)}`;
    this.publicKey = bytes.subarray(24, 56);
    this.read();
  }

  find(finding, more = {}) {
    this.findings.push({ finding, ...more });
  }

  // Entries count when a checkpoint has followed them.
  read() {
    const tree = new Tree();
    let at = 64, waiting = [], last = -1n, time = 0n;
    this.roots.push(tree.root());
    while (this.bytes.length - at >= 16) {
      const frame = this.bytes.subarray(at, at + 16);
      const offset = Buffer.alloc(8);
      offset.writeBigUInt64LE(BigInt(at));
      const covered = this.bytes.subarray(at + 16, at + 16 + (frame[4] === 2 ? 104 : 0));
      if (frame[4] === 2 && covered.length < 104) break; // never confirmed
      if (!sha('safehouse ledger frame 2', offset, frame.subarray(0, 8), covered).subarray(0, 8).equals(frame.subarray(8))) {
        if (this.bytes.subarray(at).some((b) => b)) this.find('ledger-damaged');
        break;
      }
      const n = frame.readUInt32LE(0), type = frame[4];
      if (n > 2097152 || frame[5] || frame[6] || frame[7] || (type !== 1 && !(type === 2 && n === 104))) {
        this.find('ledger-damaged');
        break;
      }
      const body = this.bytes.subarray(at + 16, at + 16 + n);
      if (body.length < n) break; // never confirmed
      at += 16 + n;
      if (type === 1) {
        const leaf = body.subarray(2, 2 + body.readUInt16LE(0));
        const parts = this.parts(body);
        if (!parts) {
          this.find('ledger-damaged');
          break;
        }
        if (leaf[0] !== 2 || leaf.readBigUInt64LE(4) !== BigInt(tree.count)) {
          this.find('ledger-damaged');
        } else {
          const then = leaf.readBigUInt64LE(12);
          if (then < time) this.find('ledger-time');
          time = then;
          this.checkParts(leaf, parts);
          waiting.push(leaf);
        }
        tree.add(leafHash(leaf));
        this.roots.push(tree.root());
      } else {
        const size = body.readBigUInt64LE(0), root = body.subarray(8, 40);
        if (size !== BigInt(tree.count) || size <= last || (last < 0n && size !== 0n)) this.find('ledger-root');
        if (!root.equals(this.roots.at(-1))) this.find('ledger-root');
        if (!signedBy(this.publicKey, checkpointText(this.origin, size, root), body.subarray(40)))
          this.find('ledger-signature');
        last = size;
        this.entries = tree.count;
        waiting.forEach((leaf) => this.entry(leaf));
        waiting = [];
      }
    }
    if (last < 0n) this.find('ledger-damaged');
  }

  parts(body) {
    let at = 2 + body.readUInt16LE(0);
    const out = [];
    for (let i = 0; i < 2; i++) {
      if (body.length - at < 4) return null;
      const n = body.readUInt32LE(at);
      if (body.length - at - 4 < n) return null;
      out.push(body.subarray(at + 4, at + 4 + n));
      at += 4 + n;
    }
    return at === body.length ? out : null;
  }

  checkParts(leaf, [who, subject]) {
    let at = 22 + leaf.readUInt16LE(20);
    for (const [bit, sealed, hint] of [[1, who, 0], [2, subject, 8]]) {
      const has = leaf[2] & bit;
      const hash = has ? leaf.subarray(at + hint + 32, at + hint + 64) : null;
      if (!!has !== sealed.length > 0 || (has && !sha(sealed).equals(hash))) this.find('ledger-damaged');
      if (has) at += hint + 64;
    }
    if (at !== leaf.length) this.find('ledger-damaged');
  }

  entry(leaf) {
    const kind = leaf[1], f = leaf.subarray(22, 22 + leaf.readUInt16LE(20));
    if (kind === 1) {
      const b = {
        sealer: f.readBigUInt64LE(0), number: f.readBigUInt64LE(8), rows: f.readUInt32LE(16),
        previous: f.subarray(20, 52), root: f.subarray(52, 84), commitment: f.subarray(84, 116),
        time: leaf.readBigUInt64LE(12), order: leaf.readBigUInt64LE(4),
      };
      const key = `${b.sealer}/${b.number}`;
      if (this.batches.has(key)) this.find('ledger-batch-twice', { sealer: b.sealer, batch: b.number });
      else this.batches.set(key, b);
    } else if (kind === 8) {
      const texts = [];
      let at = 0;
      for (let i = 0; i < 2; i++) {
        texts.push(f.toString('utf8', at + 1, at + 1 + f[at]));
        at += 1 + f[at];
      }
      this.drops.push({
        table: texts[0], month: Number(texts[1]),
        rows: Number(f.readBigUInt64LE(at + 16)), held: Number(f.readBigUInt64LE(at + 24)),
        order: leaf.readBigUInt64LE(4),
      });
    } else if (kind === 15) {
      for (let i = 0, n = f.readUInt16LE(8); i < n; i++)
        this.marks.set(f.readBigUInt64LE(10 + 20 * i), {
          highest: f.readBigUInt64LE(18 + 20 * i), open: BigInt(f.readUInt32LE(26 + 20 * i)),
        });
    }
  }

  // Commitments and `previous`; numbers without gaps.
  checkChains() {
    const list = [...this.batches.values()].sort((a, b) =>
      a.sealer !== b.sealer ? (a.sealer < b.sealer ? -1 : 1) : a.number < b.number ? -1 : 1);
    let before = null;
    for (const b of list) {
      if (before?.sealer !== b.sealer) before = null;
      const next = before ? before.number + 1n : 1n;
      const at = { sealer: b.sealer, batch: b.number };
      if (b.number > next) this.find('batch-gap', { sealer: b.sealer, batch: next });
      if (b.number === next && !b.previous.equals(before?.commitment ?? Buffer.alloc(32))) this.find('batch-chain', at);
      const head = Buffer.alloc(16), rows = Buffer.alloc(4);
      head.writeBigUInt64LE(b.sealer, 0);
      head.writeBigUInt64LE(b.number, 8);
      rows.writeUInt32LE(b.rows);
      if (!sha('safehouse batch 1', head, b.previous, rows, b.root).equals(b.commitment)) this.find('batch-chain', at);
      before = b;
    }
  }

  checkAgainst(note, key) {
    for (const finding of judgeKept(this, note, key)) this.find(finding);
  }
}

// What a checkpoint that was kept says against a ledger: {origin, publicKey, entries, roots}, read as a log
// or as tiles. `key`: the one that was given.
export function judgeKept(ledger, note, key = { name: ledger.origin, publicKey: ledger.publicKey }) {
  const own = judgeNote(note, key.name, key.publicKey);
  if (own === 'wrong') return ['checkpoint-wrong'];
  if (note.origin !== ledger.origin) return ['ledger-forked'];
  const out = own === 'none' ? ['ledger-key'] : [];
  if (note.size > BigInt(ledger.entries)) return [...out, 'ledger-shortened'];
  if (!ledger.roots[Number(note.size)].equals(note.root)) out.push('ledger-forked');
  return out;
}
