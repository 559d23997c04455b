// One row of ROWS (10^6) is dropped, and of another one a bit flipped: verify names both, and so does the
// second verifier.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TABLES } from '../verify/rowbinary.mjs';
import { verify as second } from '../verify/verify.mjs';

const B = process.env.B ?? 'build';
const ROWS = Number(process.env.ROWS ?? 1000000);
const home = mkdtempSync(join(tmpdir(), 'safehouse-soak-'));
const D = join(home, 'D');
const run = (file, ...args) => execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
const tamper = (format, ...sql) => run(`${B}/test/tools/tamper`, join(D, 'store'), format, ...sql);
const verify = () => {
  try {
    return run(`${B}/bin/safehouse`, 'verify', '--dir', D, '--json');
  } catch (e) {
    return e.stdout;
  }
};
try {
  chmodSync(home, 0o711);
  writeFileSync(join(home, 'pass'), 'correct horse battery staple\n', { mode: 0o600 });
  run(`${B}/bin/safehouse`, 'init', '--dir', D, '--passphrase-file', join(home, 'pass'));
  run(`${B}/test/tools/fill`, D, String(ROWS / 2), '200');
  const [drop, flip] = tamper('JSONEachRow', `SELECT id, sealer, batch, index FROM interactions ORDER BY cityHash64(id) LIMIT 2`)
    .split('\n').filter(Boolean).map((line) => JSON.parse(line));
  tamper('Null', `ALTER TABLE interactions DELETE WHERE id = '${drop.id}'`,
    `ALTER TABLE interactions UPDATE tokens_output = bitXor(tokens_output, 4) WHERE id = '${flip.id}'`);
  const lines = verify().split('\n').filter(Boolean).map((line) => JSON.parse(line));
  const found = lines.filter((l) => l.finding).map((f) => [f.finding, f.table, f.column, f.batch, f.index]);
  assert.deepEqual(found.sort(), [
    ['row-changed', 'interactions', 'tokens_output', flip.batch, flip.index],
    ['row-missing', 'interactions', undefined, drop.batch, drop.index],
  ]);
  assert.equal(lines.at(-1).rows, ROWS - 2);
  const tables = [...TABLES.filter(Boolean), 'leaves'];
  tamper('RowBinary', ...tables.flatMap((t) => [`>${join(home, t)}`, `SELECT * FROM ${t}`]));
  const rows = Object.fromEntries(tables.map((t) => [t, readFileSync(join(home, t))]));
  const other = second({ ledger: readFileSync(join(D, 'vault', 'ledger.log')), rows, leaves: rows.leaves });
  assert.deepEqual(other.findings.map((f) => [f.finding, String(f.batch), f.index]).sort(), [
    ['row-changed', flip.batch, flip.index], ['row-missing', drop.batch, drop.index]]);
  console.log(`one row of ${ROWS} dropped and one bit flipped: named by both`);
} finally {
  rmSync(home, { recursive: true, force: true });
}
