// Whoever can write to the database, systematically: every column of every table, rows and batches added,
// moved, doubled and dropped, and what is no tampering. The log is made without a gateway (tools/fill),
// so that many attacks fit into one folder; each must be named by both verifiers at its place.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BIN } from './lib/installation.mjs';
import { Signer, append, build, checkpointFrame, leafOf, prepend, retention, split, spool, spoolName } from '../verify/forge.mjs';
import { TABLES, rows as readRows } from '../verify/rowbinary.mjs';
import { verify as second } from '../verify/verify.mjs';

const run = promisify(execFile);
const TOOLS = join(BIN, '..', 'test', 'tools');
const OWN = TABLES.filter(Boolean), HELD = ['held_turns', 'held_interactions', 'held_findings'];
const EACH = 20, BATCHES = 22;
let home, D, store, sealer, columns;
let dumped = false; // the rows are in files, as they are

const safehouse = (...args) => run(join(BIN, 'safehouse'), args, { maxBuffer: 1 << 28 })
  .then((r) => ({ code: 0, ...r }), (e) => ({ code: e.code, stdout: e.stdout, stderr: e.stderr }));
const sql = (format, ...statements) => {
  if (format === 'Null') dumped = false;
  return run(join(TOOLS, 'tamper'), [store, format, ...statements], { maxBuffer: 1 << 28 });
};
const select = async (statement) => (await sql('JSONEachRow', statement)).stdout.split('\n').filter(Boolean)
  .map((line) => JSON.parse(line));

async function findings() {
  const r = await safehouse('verify', '--dir', D, '--json');
  const lines = r.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  return { code: r.code, list: lines.filter((l) => l.finding), end: lines.at(-1), stderr: r.stderr };
}
const DUMPED = [...OWN, ...HELD, 'leaves'];
async function judgeBySecond() {
  const rows = {};
  for (const t of DUMPED) rows[t] = await readFile(join(home, t));
  return second({ ledger: await readFile(join(D, 'vault', 'ledger.log')), rows, leaves: rows.leaves });
}
// In words that both have: a swap is two changed rows to the second, a replay a row too many.
const where = (list) => [...new Set(list.map((f) => {
  const kind = /^row-(swapped|changed|replayed|added)$/.test(f.finding) ? 'row' : f.finding;
  return [kind, f.table, f.sealer, f.batch, f.index].filter((x) => x !== undefined).join(' ');
}))].sort();

async function restore() {
  dumped = false;
  await rm(store, { recursive: true, force: true });
  await run('cp', ['-a', join(home, 'kept'), store]);
}
// Applies, and gives what the first verifier found; the second found the same.
async function tampered(...statements) {
  if (statements.length || !dumped) await sql('RowBinary', ...statements, ...DUMPED.flatMap((t) => [`>${join(home, t)}`, `SELECT * FROM ${t}`]));
  dumped = true;
  const first = await findings(), other = await judgeBySecond();
  assert.equal(first.code, first.list.length ? 1 : 0, first.stderr);
  assert.equal(first.end.result, other.result);
  // The second sees neither the spool nor what the tables are.
  const all = where(other.findings.filter((f) => !first.list.some((d) => d.finding === 'partition-dropped' && f.finding === 'row-missing' && d.text.includes(`table ${f.table},`))));
  assert.deepEqual(where(first.list.filter((f) => !/^(partition-dropped|spool-|table-)/.test(f.finding))), all);
  return first.list;
}

test.before(async () => {
  home = await mkdtemp(join(tmpdir(), 'safehouse-test-'));
  await chmod(home, 0o711);
  D = join(home, 'D');
  store = join(D, 'store');
  await writeFile(join(home, 'passphrase'), 'correct horse battery staple\n', { mode: 0o600 });
  await run(join(BIN, 'safehouse'), ['init', '--dir', D, '--passphrase-file', join(home, 'passphrase'), '--passphrase-memory', '64']);
  await run(join(TOOLS, 'fill'), [D, String(EACH * BATCHES), '80', String(EACH)]);
  await run('cp', ['-a', store, join(home, 'kept')]);
  columns = await select(`SELECT table, name, type FROM system.columns WHERE database = 'safehouse' AND table IN (${OWN.map((t) => `'${t}'`)})
    AND default_kind = '' ORDER BY table, position`);
  sealer = (await select('SELECT sealer FROM turns LIMIT 1'))[0].sealer;
});
test.after(() => home && rm(home, { recursive: true, force: true }));

test('what is no tampering is clean: merges, parts taken out and put back, mutations to the same values', async () => {
  const [{ m }] = await select('SELECT toYYYYMM(min(time)) AS m FROM turns');
  const list = await tampered(
    ...OWN.map((t) => `OPTIMIZE TABLE ${t} FINAL`),
    `ALTER TABLE turns DETACH PARTITION ${m}`, `ALTER TABLE turns ATTACH PARTITION ${m}`,
    'ALTER TABLE interactions UPDATE model = model, status = status WHERE 1',
    'ALTER TABLE interactions DELETE WHERE 0',
    'DETACH TABLE findings', 'ATTACH TABLE findings');
  assert.deepEqual(list, []);
});

// A value of the type that is another one than v.
const other = (type, v) => /UUID/.test(type) ? 'generateUUIDv4()'
  : /FixedString\((\d+)\)/.test(type) ? `toFixedString(randomString(${type.match(/\((\d+)\)/)[1]}), ${type.match(/\((\d+)\)/)[1]})`
  : /Bool/.test(type) ? `NOT ${v}`
  : /Map/.test(type) ? "map('a', 'b')"
  : /DateTime/.test(type) ? `${v} + toIntervalMicrosecond(1)`
  : /String/.test(type) ? `concat(${v}, 'x')`
  : `${v} + 1`;

test('every column of every table: one value is another one', async () => {
  await restore();
  const statements = [], expected = [];
  for (const table of OWN) {
    // The n-th column of a table is changed in the n-th row of it; a row is exchanged for its changed
    // copy, since the engine does not update what it sorts by.
    const list = columns.filter((c) => c.table === table); // at a moved row's place another one may stand
    const rows = await select(`SELECT batch, index FROM ${table} ORDER BY batch, index`);
    statements.push(`CREATE TABLE was AS ${table}`);
    for (const [i, { name, type }] of list.entries()) {
      const row = rows[Math.floor(i * rows.length / list.length)];
      const at = `batch = ${row.batch} AND index = ${row.index}`;
      statements.push(`INSERT INTO was SELECT * REPLACE (${other(type, `\`${name}\``)} AS \`${name}\`) FROM (SELECT * FROM ${table} WHERE ${at})`);
      expected.push({ table, name, ...row });
    }
    const places = expected.filter((x) => x.table === table).map((x) => `(${x.batch}, ${x.index})`);
    statements.push(`ALTER TABLE ${table} DELETE WHERE (batch, index) IN (${places})`,
      `INSERT INTO ${table} SELECT * FROM was`, 'DROP TABLE was SYNC');
  }
  const list = await tampered(...statements);
  for (const { table, name, batch, index } of expected) {
    const here = list.filter((f) => f.table === table && f.batch === batch && f.index === Number(index));
    const moved = ['sealer', 'batch', 'index'].includes(name);
    assert.ok(here.some((f) => moved ? /row-(missing|replayed|changed)/.test(f.finding) : f.finding === 'row-changed'),
      `${table}.${name}: ${JSON.stringify(here)} ${JSON.stringify(list.slice(0, 3))}`);
    if (moved) assert.ok(list.some((f) => f.table === table && /row-(added|replayed|changed)/.test(f.finding)), `${table}.${name}`);
  }
});

test('rows and batches added, doubled, moved, exchanged, dropped', async () => {
  await restore();
  const of = (batch, table) => `sealer = ${sealer} AND batch = ${batch}` + (table ? ` AND index = (SELECT min(index) FROM ${table} WHERE batch = ${batch})` : '');
  const insert = (table, batch, replace) => `INSERT INTO ${table} SELECT * ${replace ? `REPLACE (${replace})` : ''} FROM (SELECT * FROM ${table} WHERE ${of(batch, table)})`;
  const gone = (table, condition) => `ALTER TABLE ${table} DELETE WHERE ${condition}`;
  const list = await tampered(
    insert('data_keys', 1), //                                              the same row again
    insert('findings', 2, 'batch + 1 AS batch'), //                         in another batch
    insert('interactions', 3, `sealer + 1 AS sealer`), //                   of another sealer
    insert('turns', 4, 'index + 1000 AS index'), //                         behind the batch's end
    insert('turns', 5, 'generateUUIDv4() AS id'), //                        another row in its place, beside it
    gone('data_keys', of(6)), //                                            a key's row gone
    gone('findings', `${of(7)}`), //                                        all findings of a batch
    ...OWN.map((t) => gone(t, of(8))), //                                   a whole batch
    ...OWN.map((t) => gone(t, of(9))), gone('leaves', of(9)), //            with its leaves
    ...OWN.map((t) => `INSERT INTO ${t} SELECT * REPLACE (toUInt64(batch + 1000) AS batch) FROM (SELECT * FROM ${t} WHERE ${of(10)})`), // again under another number
    `ALTER TABLE data_keys UPDATE wrapped = (SELECT wrapped FROM data_keys WHERE ${of(12)}) WHERE ${of(11)}`, // another's key
    `INSERT INTO held_turns SELECT * FROM turns WHERE ${of(13, 'turns')}`, // kept, though no month went
    `INSERT INTO held_interactions SELECT * FROM interactions WHERE ${of(14)}`, gone('interactions', of(14)), // moved there
    `ALTER TABLE turns UPDATE envelope = reverse(envelope) WHERE ${of(15)}`, // all of a batch
    gone('leaves', of(16)), //                                              what tells the rows of a batch
    `ALTER TABLE leaves UPDATE leaves = arrayReverse(leaves) WHERE ${of(17)}`, // another order of them
    `INSERT INTO leaves SELECT * REPLACE (time + toIntervalMicrosecond(1) AS time) FROM leaves WHERE ${of(18)}`, // twice
    `ALTER TABLE leaves UPDATE months = arrayMap(m -> m + 1, months) WHERE ${of(19)}`, // of other months
    `INSERT INTO leaves SELECT * REPLACE (toUInt64(batch + 2000) AS batch) FROM (SELECT * FROM leaves WHERE ${of(20)})`); // of no batch
  const named = (batch, finding, table) => list.filter((f) => f.finding === finding && f.batch === String(batch) && (!table || f.table === table)).length;
  assert.equal(named(1, 'row-replayed', 'data_keys'), 1);
  assert.equal(named(3, 'row-added', 'findings') + named(3, 'row-replayed', 'findings'), 1);
  assert.ok(list.some((f) => f.table === 'interactions' && f.sealer === String(BigInt(sealer) + 1n)));
  assert.equal(named(4, 'row-replayed', 'turns') + named(4, 'row-added', 'turns'), 1);
  assert.equal(named(5, 'row-added', 'turns'), 1);
  assert.equal(named(6, 'row-missing', 'data_keys'), 1);
  assert.equal(named(7, 'row-missing', 'findings'), EACH);
  assert.equal(named(8, 'row-missing'), 1 + 3 * EACH);
  assert.equal(named(9, 'batch-missing'), 1);
  assert.equal(named(1010, 'row-added') + named(1010, 'row-replayed'), 1 + 3 * EACH);
  assert.equal(named(11, 'row-changed', 'data_keys') + named(11, 'row-swapped', 'data_keys'), 1);
  assert.equal(named(13, 'row-added', 'turns'), 1);
  assert.equal(named(14, 'row-missing', 'interactions'), EACH);
  assert.equal(named(14, 'row-added', 'interactions'), EACH);
  assert.equal(named(15, 'row-changed', 'turns'), EACH);
  for (const batch of [16, 17, 18, 19, 2020]) assert.equal(named(batch, 'leaves-changed'), 1, `leaves of ${batch}`);
  assert.equal(named(12, 'row-changed') + named(21, 'row-changed'), 0, 'of the others nothing is said');
});

// Whoever owns the disk can put files into the spool, of what is missing in the database: they excuse nothing
// that the ledger does not have in the same words, and never silently.
test('files in the spool', async () => {
  await restore();
  const dir = join(D, 'spool'), put = (number, what) => writeFile(join(dir, spoolName(sealer, number)), spool(sealer, number, what));
  const gone = (table, batch) => `ALTER TABLE ${table} DELETE WHERE sealer = ${sealer} AND batch = ${batch}`;
  await mkdir(dir, { recursive: true });
  const before = new Set(await readdir(dir));
  const row = [...readRows('findings', (await run(join(TOOLS, 'tamper'), [store, 'RowBinary', 'SELECT * FROM findings LIMIT 1'], { encoding: 'buffer' })).stdout)][0].row;
  await put(1, {}); //                                                      a name and nothing in it
  await put(2, { end: true }); //                                           finished, and empty
  await put(3, { rows: [[4, row]], end: true }); //                         other rows than the ledger's
  await put(4, { rows: [[4, row]] }); //                                    not finished
  await put(5, {});
  await put(6000, {}); //                                                   of rows that no batch has
  await put(7000, { exchanges: [[1, 1], [1, 2], [1, 3]], end: true }); //   exchanges that never had a row
  await put(7001, { exchanges: [[1, 4]] });
  await run('mkfifo', [join(dir, spoolName(sealer, 8000))]); //             nobody ever writes to it
  const list = await tampered(...[1, 2, 3, 4].map((b) => gone('findings', b)), gone('leaves', 5),
    `INSERT INTO findings SELECT * REPLACE (toUInt64(6000) AS batch) FROM (SELECT * FROM findings WHERE sealer = ${sealer} AND batch = 6)`);
  const named = (batch, finding) => list.filter((f) => f.finding === finding && f.batch === String(batch)).length;
  for (const batch of [1, 2, 3, 4]) assert.equal(named(batch, 'row-missing'), EACH, `batch ${batch}: ${JSON.stringify(list.slice(0, 5))}`);
  assert.equal(named(5, 'leaves-changed'), 1);
  assert.equal(named(6000, 'row-added') + named(6000, 'row-replayed'), EACH);
  for (const number of [2, 3, 7000, 7001, 8000]) assert.equal(named(number, 'spool-damaged'), 1, `file ${number}`);
  assert.equal(named(4, 'spool-waiting'), 1);
  for (const name of await readdir(dir)) if (!before.has(name)) await rm(join(dir, name));
});

test('what a true file of the spool excuses is pending, never clean', async () => {
  await restore();
  const dir = join(D, 'spool'), of = [];
  await sql('RowBinary', ...OWN.flatMap((t) => [`>${join(home, t)}`, `SELECT * FROM ${t}`]));
  for (const [i, table] of OWN.entries())
    for (const r of readRows(table, await readFile(join(home, table)))) if (r.batch === 3n) of[r.index] = [i + 1, r.row];
  await sql('Null', ...[...OWN, 'leaves'].map((t) => `ALTER TABLE ${t} DELETE WHERE sealer = ${sealer} AND batch = 3`));
  const file = join(dir, spoolName(sealer, 3));
  await writeFile(file, spool(sealer, 3, { rows: of, end: true }));
  const { code, list } = await findings();
  await rm(file);
  assert.equal(code, 3);
  assert.deepEqual(list.map((f) => [f.finding, f.batch]), [['spool-waiting', '3']]);
  assert.equal((await findings()).code, 1, 'without the file they are missing');
});

// The months in `leaves` are under no root. A retention lets go of rows that were noted before it: one that
// let more go than there were is no leave for those that come later.
test('rows that are written into a month that went', async () => {
  const log = join(D, 'vault', 'ledger.log'), original = await readFile(log);
  const signer = Signer.of(await readFile(join(D, 'vault', 'ledger.key'))), let_ = [8, retention('turns', 202001, 1000)];
  const gone = (batch) => [`ALTER TABLE turns DELETE WHERE sealer = ${sealer} AND batch = ${batch}`,
    `ALTER TABLE leaves UPDATE months = arrayMap((m, t) -> if(t = 2, toUInt32(202001), m), months, tables) WHERE sealer = ${sealer} AND batch = ${batch}`];
  try {
    await restore();
    await writeFile(log, append(original, signer, let_));
    assert.deepEqual(await tampered(...gone(2)), []); // nothing proves that it was not so
    await writeFile(log, prepend(original, signer, let_));
    const list = await tampered();
    assert.deepEqual(list.map((f) => f.finding), ['partition-dropped']);
    assert.match(list[0].text, /turns, partition 202001: .* noted after the retention/);
    await writeFile(log, prepend(append(original, signer, [8, retention('turns', 202001, EACH - 1)]), signer, let_));
    assert.equal((await tampered()).length, 1, 'the second let fewer go');
    await writeFile(log, prepend(append(original, signer, [8, retention('turns', 202001, EACH)]), signer, let_));
    assert.deepEqual(await tampered(), []);
  } finally {
    await writeFile(log, original);
  }
});

test('tables of what holds keep; a row that is none', async () => {
  await restore();
  await sql('Null', 'ALTER TABLE held_findings MODIFY TTL toDateTime(time) + INTERVAL 10 YEAR',
    "ALTER TABLE held_turns MODIFY COLUMN body String ALIAS 'x'");
  const held = await findings();
  assert.deepEqual(held.list.map((f) => [f.finding, f.text.split(' ')[1]]), [['table-changed', 'held_turns'], ['table-ttl', 'held_findings']]);
  await sql('Null', `INSERT INTO interactions SELECT * REPLACE (mapFromArrays(arrayMap(i -> toString(i), range(2000)), arrayMap(i -> '', range(2000))) AS tags)
    FROM (SELECT * FROM interactions LIMIT 1)`);
  const { code, list } = await findings();
  assert.equal(code, 1);
  assert.deepEqual(list.map((f) => f.finding).sort(), ['row-added', 'store-unread', 'table-changed', 'table-ttl']);
});

// Whoever has the vault's key can write any ledger; what its batches are has to agree with itself and the rows.
test('a ledger whose batches are left out, doubled, chained to others', async () => {
  await restore();
  const log = join(D, 'vault', 'ledger.log'), original = await readFile(log);
  const signer = Signer.of(await readFile(join(D, 'vault', 'ledger.key')));
  const numberOf = (f) => f.type === 1 && leafOf(f.body)[1] === 1 ? Number(leafOf(f.body).readBigUInt64LE(22 + 8)) : 0;
  const forged = async (change) => {
    const { head, frames } = split(original);
    const list = change(frames.map((f) => ({ ...f, body: Buffer.from(f.body) })));
    list.filter((f) => f.type === 1).forEach((f, i) => leafOf(f.body).writeBigUInt64LE(BigInt(i), 4));
    // A checkpoint counts more than the one before.
    await writeFile(log, build(head, list.filter((f, i) => f.type !== 2 || i === 0 || list[i - 1].type === 1), signer));
    return tampered();
  };
  const names = (list) => [...new Set(list.map((f) => `${f.finding} ${f.batch}`))].sort();
  try {
    const left = await forged((frames) => frames.filter((f) => numberOf(f) !== 5));
    assert.deepEqual(names(left), ['batch-gap 5', 'leaves-changed 5', 'row-added 5']);
    const first = await forged((frames) => frames.filter((f) => numberOf(f) !== 1));
    assert.deepEqual(names(first), ['batch-gap 1', 'leaves-changed 1', 'row-added 1']);
    const twice = await forged((frames) => [...frames, frames.find((f) => numberOf(f) === 5), checkpointFrame()].map((f) => ({ ...f, body: Buffer.from(f.body) })));
    assert.deepEqual(names(twice), ['ledger-batch-twice 5', 'ledger-time undefined']);
    const chained = await forged((frames) => {
      leafOf(frames.find((f) => numberOf(f) === 7).body)[22 + 20] ^= 1; // `previous`
      return frames;
    });
    assert.deepEqual(names(chained), ['batch-chain 7']);
    const order = await forged((frames) => {
      const [a, b] = [frames.findIndex((f) => numberOf(f) === 8), frames.findIndex((f) => numberOf(f) === 9)];
      [frames[a], frames[b]] = [frames[b], frames[a]];
      const time = leafOf(frames[a].body).readBigUInt64LE(12);
      leafOf(frames[b].body).writeBigUInt64LE(time, 12);
      return frames;
    });
    assert.deepEqual(order, [], 'the vault may note them in any order; their numbers chain them');
    const other = await forged((frames) => {
      leafOf(frames.find((f) => numberOf(f) === 10).body)[22 + 52] ^= 1; // its root
      return frames;
    });
    assert.ok(other.some((f) => f.finding === 'batch-chain' && f.batch === '10') && other.some((f) => f.finding === 'batch-changed' && f.batch === '10'));
  } finally {
    await writeFile(log, original);
  }
});
