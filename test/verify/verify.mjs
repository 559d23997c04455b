// The second verifier; README.md says what it is. As a module: verify({ledger, rows, leaves, checkpoints}).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Ledger } from './ledger.mjs';
import { parseNote, sha, treeRoot } from './note.mjs';
import { TABLES, leaves as readLeaves, rows as readRows } from './rowbinary.mjs';

const monthOf = (us) => {
  const t = new Date(Number(us / 1000n));
  return t.getUTCFullYear() * 100 + t.getUTCMonth() + 1;
};

class Check {
  constructor({ ledger, rows, leaves, checkpoints = [] }) {
    this.ledger = new Ledger(ledger);
    this.findings = this.ledger.findings;
    this.missing = new Map(); // "table month" -> count
    this.unlawful = [];
    this.exchanges = new Map();
    if (!this.ledger.origin) return;
    checkpoints.forEach((text) => this.ledger.checkAgainst(parseNote(text)));
    this.ledger.checkChains();
    this.gather(rows, leaves);
    for (const b of this.ledger.batches.values()) this.batch(b);
    for (const [key, list] of this.byBatch)
      if (!this.ledger.batches.has(key)) list.forEach((r) => this.row('row-added', r));
    for (const [key, [{ sealer, batch }]] of this.leaves)
      if (!this.ledger.batches.has(key)) this.find('leaves-changed', { sealer, batch });
    this.judgeMissing();
    this.judgeExchanges();
  }

  find(finding, more) {
    this.findings.push({ finding, ...more });
  }
  row(finding, { table, sealer, batch, index }) {
    this.find(finding, { table, sealer, batch, index });
  }

  gather(rows, leaves) {
    this.byBatch = new Map();
    TABLES.forEach((table, number) => {
      if (!table) return;
      const take = (r, more) => {
        const key = `${r.sealer}/${r.batch}`;
        if (!this.byBatch.has(key)) this.byBatch.set(key, []);
        this.byBatch.get(key).push({ ...r, ...more, table, leaf: sha(Buffer.of(0, number), r.row) });
      };
      for (const r of readRows(table, rows[table])) take(r);
      // What a hold kept: only of months that a retention names, and beside the row itself once.
      const copied = new Set();
      for (const r of readRows(table, rows[`held_${table}`] ?? Buffer.alloc(0))) {
        const stray = !this.ledger.drops.some((d) => d.table === table && d.month === monthOf(r.time));
        const own = stray ? undefined : (this.byBatch.get(`${r.sealer}/${r.batch}`) ?? [])
          .find((o) => o.table === table && !o.held && !copied.has(o) && o.row.equals(r.row));
        if (own) copied.add(own);
        else take(r, { stray, held: true });
      }
    });
    this.leaves = new Map();
    for (const l of readLeaves(leaves)) {
      const key = `${l.sealer}/${l.batch}`;
      if (!this.leaves.has(key)) this.leaves.set(key, []);
      this.leaves.get(key).push(l);
    }
  }

  batch(b) {
    const key = `${b.sealer}/${b.number}`, rows = this.byBatch.get(key) ?? [];
    const place = { sealer: b.sealer, batch: b.number };
    const sorted = [...rows].sort((x, y) => x.index - y.index);
    const whole = rows.length === b.rows && sorted.every((r, i) => r.index === i && !r.stray);
    if (whole && treeRoot(sorted.map((r) => r.leaf)).equals(b.root)) {
      this.judgeLeaves(b, sorted, this.leaves.get(key) ?? []);
      return rows.forEach((r) => this.exchange(r));
    }
    const known = (this.leaves.get(key) ?? []).find((l) => l.hashes.length === b.rows &&
      l.tables.every((t) => t >= 1 && t <= 4) && treeRoot(l.hashes).equals(b.root));
    if (!known && rows.length === 0) return this.lost(b, `leaves ${monthOf(b.time)}`, 'batch-missing', place);
    if (!known) return this.find('batch-changed', place);
    const there = new Set();
    for (const r of rows) {
      r.right = !r.stray && r.index < b.rows && r.leaf.equals(known.hashes[r.index]);
      if (r.right && there.has(r.index)) this.row('row-replayed', r);
      if (r.right) {
        there.add(r.index);
        this.exchange(r);
      }
    }
    for (const r of rows) {
      if (r.right) continue;
      if (r.stray || r.index >= b.rows || there.has(r.index)) {
        this.row('row-added', r);
      } else {
        there.add(r.index);
        this.row('row-changed', r);
        if (known.tables[r.index] === 3) this.lostExchanges = (this.lostExchanges ?? 0n) + 1n;
      }
    }
    for (let i = 0; i < b.rows; i++) {
      const table = TABLES[known.tables[i]];
      if (!there.has(i)) this.lost(b, `${table} ${known.months[i]}`, 'row-missing', { table, ...place, index: i });
    }
  }

  judgeLeaves(b, rows, found) {
    const dropped = this.ledger.drops.some((d) => d.table === 'leaves' && d.month === monthOf(b.time));
    if (found.length === 0 && dropped) return;
    const right = found.length === 1 && found[0].hashes.length === rows.length &&
      rows.every((r, i) => r.leaf.equals(found[0].hashes[i]) && TABLES[found[0].tables[i]] === r.table && found[0].months[i] === monthOf(r.time));
    if (!right) this.find('leaves-changed', { sealer: b.sealer, batch: b.number });
  }

  lost(b, group, finding, more) {
    if (!this.missing.has(group)) this.missing.set(group, []);
    this.missing.get(group).push({ order: b.order, f: { finding, ...more } });
    if (group.startsWith('interactions')) this.lostExchanges = (this.lostExchanges ?? 0n) + 1n;
    if (finding === 'batch-missing') this.lostBatches = true;
  }

  // A row goes under a retention that the ledger has behind its batch.
  judgeMissing() {
    for (const [group, list] of this.missing) {
      const [table, month] = group.split(' ');
      const drops = this.ledger.drops.filter((d) => d.table === table && d.month === Number(month));
      const lawful = [-1n, ...drops.map((d) => d.order)].every((after) => list.filter((m) => m.order > after).length <=
        drops.filter((d) => d.order > after).reduce((n, d) => n + Math.max(0, d.rows - d.held), 0));
      if (!lawful) this.findings.push(...list.map((m) => m.f));
    }
  }

  exchange(r) {
    if (!r.exchange) return;
    const [epoch, sequence] = r.exchange;
    if (!this.exchanges.has(epoch)) this.exchanges.set(epoch, new Set());
    this.exchanges.get(epoch).add(sequence);
  }

  judgeExchanges() {
    let absent = 0n;
    for (const [epoch, { highest, open }] of this.ledger.marks) {
      const seen = [...(this.exchanges.get(epoch) ?? [])].filter((n) => n >= 1n && n <= highest).length;
      const gone = highest - BigInt(seen);
      absent += gone > open ? gone - open : 0n;
    }
    // Of a batch that is wholly gone nobody knows how many were interactions.
    if (absent > (this.lostExchanges ?? 0n) && !this.lostBatches) this.find('exchange-missing', {});
  }
}

export function verify(input) {
  const { findings } = new Check(input);
  return { result: findings.length ? 'found' : 'clean', findings };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [ledger, folder, ...notes] = process.argv.slice(2);
  const rows = Object.fromEntries(TABLES.filter(Boolean).map((t) => [t, readFileSync(join(folder, t))]));
  const { result, findings } = verify({
    ledger: readFileSync(ledger), rows, leaves: readFileSync(join(folder, 'leaves')),
    checkpoints: notes.map((f) => readFileSync(f, 'utf8')),
  });
  for (const f of findings)
    console.log([f.finding, f.table, f.sealer !== undefined && `sealer ${f.sealer} batch ${f.batch}`,
      f.index !== undefined && `index ${f.index}`].filter(Boolean).join(' '));
  console.log(result);
  process.exitCode = result === 'clean' ? 0 : 1;
}
