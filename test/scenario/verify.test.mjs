// The log and the ledger against whoever can write to them: each case must be named, by both verifiers,
// and what was moved must not open. A stopped installation's folder is tampered with through the engine
// itself, since the store refuses to write.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chown, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { BIN, Installation, until } from './lib/installation.mjs';
import { Upstream, completion } from './lib/upstream.mjs';
import { TABLES } from '../verify/rowbinary.mjs';
import { verify as second } from '../verify/verify.mjs';
import { Signer, append, build, leafOf, mark, notes, prove, retention, split } from '../verify/forge.mjs';
import { parseNote, parseProof } from '../verify/note.mjs';

const run = promisify(execFile);
const TAMPER = join(BIN, '..', 'test', 'tools', 'tamper');
let upstream, house, store, vault, signer, original;

// SQL on the stopped folder; returns the bytes of the results.
let dumped = null; // the rows as they were read last
const sql = async (format, ...statements) => {
  if (format === 'Null') dumped = null;
  return (await run(TAMPER, [store, format, ...statements], { encoding: 'buffer', maxBuffer: 1 << 28 })).stdout;
};
const select = async (statement) => {
  const text = (await sql('JSONEachRow', statement)).toString();
  return text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
};

// What safehouse verify says: {code, findings, end}.
async function verify(...args) {
  const r = await house.cliResult('verify', '--dir', house.dir, '--json', ...args);
  const lines = r.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  return { code: r.code, findings: lines.filter((l) => l.finding), end: lines.at(-1), stderr: r.stderr };
}
async function judgeBySecond(...checkpoints) {
  const tables = [...TABLES.filter(Boolean), 'leaves'];
  if (!dumped) {
    await sql('RowBinary', ...tables.flatMap((t) => [`>${join(house.home, t)}`, `SELECT * FROM ${t}`]));
    dumped = {};
    for (const t of tables) dumped[t] = await readFile(join(house.home, t));
  }
  const rows = dumped;
  return second({ ledger: await readFile(join(vault, 'ledger.log')), rows, leaves: rows.leaves, checkpoints });
}

// Where something is wrong, in words that both verifiers have: a swap is two changed rows to the second,
// a replay a row too many or another row.
const where = (findings) => [...new Set(findings.map((f) => {
  const kind = { 'row-swapped': 'row', 'row-changed': 'row', 'row-replayed': 'row', 'row-added': 'row' }[f.finding];
  return f.index === undefined ? `${f.finding} ${f.sealer ?? ''} ${f.batch ?? ''}`
    : `${kind ?? f.finding} ${f.table} ${f.sealer} ${f.batch} ${f.index}`;
}))].sort();

async function bothSay(expected, ...checkpoints) {
  const files = typeof expected.at(-1) === 'object' ? expected.pop().args : [];
  for (const [i, text] of checkpoints.entries()) {
    const file = join(house.home, `checkpoint-${i}`);
    await writeFile(file, text);
    files.push('--checkpoint', file);
  }
  const first = await verify(...files);
  const other = await judgeBySecond(...checkpoints);
  const names = [...new Set(first.findings.map((f) => f.finding))].sort();
  assert.deepEqual(names, [...expected].sort(), JSON.stringify(first, null, 1));
  assert.equal(first.code, expected.length ? 1 : 0, first.stderr);
  assert.equal(first.end.result, other.result);
  const tableOnly = (f) => !['table-ttl', 'table-changed', 'partition-dropped'].includes(f.finding);
  if (first.findings.every(tableOnly)) assert.deepEqual(where(first.findings), where(other.findings));
  return first;
}

async function putLedger(bytes) {
  const path = join(vault, 'ledger.log'), old = await stat(path);
  await writeFile(path + '.new', bytes, { mode: 0o600 });
  await chown(path + '.new', old.uid, old.gid);
  await rename(path + '.new', path);
}

// Every case begins with the folder as it was.
async function restore(...names) {
  dumped = null;
  for (const name of names) {
    await rm(join(house.dir, name), { recursive: true, force: true });
    await run('cp', ['-a', join(house.home, 'kept', name), join(house.dir, name)]);
  }
}

const settled = () => until(async () => (await verify()).code === 0, 'nothing is pending', 20000);

test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ upstream: upstream.url });
  store = join(house.dir, 'store');
  vault = join(house.dir, 'vault');
  const other = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--project', 'shop', '--json'));
  const clients = [house.key, other.secret].map((apiKey) => new OpenAI({ apiKey, baseURL: `${house.gateway}/v1` }));
  let n = 0;
  upstream.answer = (x) => x.json(completion(`answer ${n}`));
  for (let round = 0; round < 3; round++) { // batches are closed after a second, and here when all is stored
    for (const [c, client] of clients.entries())
      for (const user of ['ada', 'grace']) {
        const messages = [{ role: 'user', content: `secret-${user}-${c}-${++n}` }];
        await client.chat.completions.create({ model: 'gpt-4o-mini', user, messages });
      }
    await house.stored(4 * (round + 1));
  }
  await settled();
  const running = await verify();
  assert.equal(running.end.result, 'clean');
  assert.ok(running.end.rows >= 24 && running.end.batches >= 3);
  await house.stop();
  await run('mkdir', [join(house.home, 'kept')]);
  for (const name of ['store', 'vault', 'spool']) await run('cp', ['-a', join(house.dir, name), join(house.home, 'kept', name)]);
  original = await readFile(join(vault, 'ledger.log'));
  signer = Signer.of(await readFile(join(vault, 'ledger.key')));
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

test('a stopped installation is clean, also after merges', async () => {
  await sql('Null', ...TABLES.filter(Boolean).map((t) => `OPTIMIZE TABLE ${t} FINAL`));
  const { end } = await bothSay([], notes(original).at(-1));
  assert.match(end.checkpoint, /^safehouse\.invalid\/[0-9a-f]{32}\n/);
});

test('cells swapped, rows replayed, added, dropped, changed: each is named, and none opens', async () => {
  const turns = await select('SELECT id, hex(envelope) AS e, project, subject, sealer, batch, index FROM turns ORDER BY time');
  const places = await select('SELECT id, subject, sealer, batch, index FROM interactions ORDER BY time');
  const keys = await select('SELECT hex(id) AS id, hex(wrapped) AS w FROM data_keys ORDER BY time');
  // ada and grace of one project; and of the two projects.
  const [a, b, c, d, e] = [turns[0], turns[1], turns[4], turns[6], turns[8]];
  assert.ok(a.subject !== b.subject && c.project !== d.project);
  const [p, q, r, s, t, u] = places;
  assert.notEqual(p.subject, q.subject);
  const flipped = keys[0].w.slice(0, 20) + (parseInt(keys[0].w[20], 16) ^ 4).toString(16) + keys[0].w.slice(21);
  const swap = (table, column, x, y, vx, vy) => `ALTER TABLE ${table} UPDATE ${column} = if(id = '${x.id}', ${vy}, ${vx}) ` +
    `WHERE id IN ('${x.id}', '${y.id}')`;
  const one = (table, x) => `SELECT * FROM ${table} WHERE id = '${x.id}'`;
  await sql('Null',
    swap('turns', 'envelope', a, b, `unhex('${a.e}')`, `unhex('${b.e}')`),
    swap('turns', 'project', c, d, `'${c.project}'`, `'${d.project}'`),
    swap('interactions', 'subject', p, q, `toUUID('${p.subject}')`, `toUUID('${q.subject}')`),
    `ALTER TABLE turns UPDATE parent = toUUID('${a.id}') WHERE id = '${e.id}'`,
    `ALTER TABLE interactions UPDATE model = provider, provider = model WHERE id = '${r.id}'`,
    `ALTER TABLE data_keys UPDATE wrapped = toFixedString(unhex('${flipped}'), 80) WHERE id = unhex('${keys[0].id}')`,
    `INSERT INTO interactions SELECT * FROM interactions WHERE id = '${s.id}'`,
    `INSERT INTO interactions SELECT * REPLACE(index + 5000 AS index) FROM (${one('interactions', t)})`,
    `INSERT INTO interactions SELECT * REPLACE(generateUUIDv4() AS id, batch + 1000 AS batch) FROM (${one('interactions', t)})`,
    `ALTER TABLE interactions DELETE WHERE id = '${u.id}'`);
  const { findings } = await bothSay(['row-added', 'row-changed', 'row-missing', 'row-replayed', 'row-swapped']);
  const named = (finding, table, row, column) => findings.some((f) => f.finding === finding && f.table === table &&
    f.sealer === row.sealer && f.batch === row.batch && f.index === Number(row.index) && f.column === column);
  assert.ok(named('row-swapped', 'turns', a, 'envelope') && named('row-swapped', 'turns', b, 'envelope'));
  assert.ok(named('row-swapped', 'turns', c, 'project') && named('row-swapped', 'turns', d, 'project'));
  assert.ok(named('row-swapped', 'interactions', p, 'subject') && named('row-swapped', 'interactions', q, 'subject'));
  assert.ok(named('row-changed', 'turns', e, 'parent'));
  assert.ok(named('row-changed', 'interactions', r, undefined), 'two cells of one row');
  assert.ok(findings.some((f) => f.table === 'data_keys' && f.column === 'wrapped' && /bit/.test(f.text)));
  assert.ok(named('row-replayed', 'interactions', s, undefined));
  assert.ok(named('row-replayed', 'interactions', { ...t, index: Number(t.index) + 5000 }, undefined));
  assert.ok(named('row-missing', 'interactions', u, undefined));
  assert.ok(findings.some((f) => f.finding === 'row-added' && /no such batch/.test(f.text)));

  await house.up();
  const opened = await house.cliResult('query', '--dir', house.dir, '--format', 'JSONEachRow', '--open', '--reason', 'test',
    `SELECT id, body FROM turns WHERE id IN ('${a.id}', '${b.id}', '${c.id}', '${d.id}', '${e.id}')`);
  await house.stop();
  assert.equal(opened.code, 3, opened.stderr);
  assert.doesNotMatch(opened.stdout, /secret-/);
  assert.equal(opened.stdout.match(/shx1\./g).length, 5);
});

test('a store that answers with another person\'s cell', async () => {
  await restore('store', 'vault', 'spool');
  const [a, b] = await select('SELECT id, body, subject FROM turns ORDER BY time LIMIT 2');
  assert.notEqual(a.subject, b.subject);
  const expression = (await sql('TabSeparatedRaw', "SELECT default_expression FROM system.columns " +
    "WHERE database = 'safehouse' AND table = 'turns' AND name = 'body'")).toString().trim();
  await sql('Null', `ALTER TABLE turns MODIFY COLUMN body String ALIAS if(id = toUUID('${a.id}'), '${b.body}', ${expression})`);
  await bothSay(['table-changed']).catch(async (e) => {
    // The second verifier sees rows only: the rows are what they were.
    const first = await verify();
    assert.deepEqual(first.findings.map((f) => f.finding), ['table-changed'], e.message);
  });
  await house.up();
  const shown = await house.cliResult('show', a.id, '--dir', house.dir, '--reason', 'test', '--json');
  await house.stop();
  assert.notEqual(shown.code, 0);
  assert.doesNotMatch(shown.stdout, /secret-grace/);
});

test('a TTL', async () => {
  await restore('store', 'vault', 'spool');
  await sql('Null', 'ALTER TABLE interactions MODIFY TTL toDateTime(time) + INTERVAL 10 YEAR');
  const { findings, code } = await verify();
  assert.deepEqual(findings.map((f) => f.finding), ['table-ttl']);
  assert.equal(code, 1);
});

test('a partition that is dropped: under a retention in the ledger it is clean, without one it is named', async () => {
  await restore('store', 'vault', 'spool');
  const [{ m, n }] = await select('SELECT toYYYYMM(min(time)) AS m, count() AS n FROM turns');
  await sql('Null', `ALTER TABLE turns DROP PARTITION ${m}`);
  const named = await verify();
  assert.deepEqual(named.findings.map((f) => f.finding), ['partition-dropped']);
  assert.match(named.findings[0].text, /turns/);
  assert.equal((await judgeBySecond()).result, 'found');
  await putLedger(append(original, signer, [8, retention('turns', m, n)]));
  const { end } = await bothSay([]);
  assert.equal(end.gone, Number(n));
  // One row more than the retention says, and a row of another table.
  await putLedger(append(original, signer, [8, retention('turns', m, Number(n) - 1)]));
  assert.equal((await verify()).code, 1);
  await putLedger(append(original, signer, [8, retention('turns', m, n)]));
  const [row] = await select('SELECT id, sealer, batch, index FROM interactions ORDER BY time LIMIT 1');
  await sql('Null', `ALTER TABLE interactions DELETE WHERE id = '${row.id}'`);
  const one = await bothSay(['row-missing']);
  assert.equal(one.findings[0].index, Number(row.index));
  assert.equal(one.findings[0].batch, row.batch);
});

test('yesterday\'s folder', async () => {
  await restore('store', 'vault', 'spool');
  // Everything from the third round on is not there yet.
  const [{ last }] = await select('SELECT max(time) AS last FROM interactions');
  const [first] = await select(`SELECT sealer, batch FROM interactions WHERE time = '${last}'`);
  await sql('Null', ...[...TABLES.filter(Boolean), 'leaves'].map((t) =>
    `ALTER TABLE ${t} DELETE WHERE sealer = ${first.sealer} AND batch = ${first.batch}`));
  const { findings } = await bothSay(['batch-missing']);
  assert.equal(findings[0].batch, first.batch);
  await restore('store');
});

test('exchanges that never became rows', async () => {
  await restore('vault');
  const [{ epoch, n }] = await select('SELECT worker_epoch AS epoch, max(worker_sequence) AS n FROM interactions GROUP BY 1 ORDER BY n DESC LIMIT 1');
  const with_ = (highest, open) => putLedger(append(original, signer, [15, mark(BigInt(epoch), BigInt(highest), open)]));
  await with_(n, 0);
  assert.equal((await bothSay([])).end.exchanges >= Number(n), true);
  await with_(Number(n) + 2, 2);
  assert.equal((await verify()).code, 3);
  await with_(Number(n) + 2, 1);
  const { findings } = await verify();
  assert.equal((await judgeBySecond()).result, 'found');
  const missing = findings.find((f) => f.finding === 'exchange-missing');
  assert.match(missing.text, new RegExp(`^1 exchanges of worker epoch ${epoch} .*number ${Number(n) + 1}`));
  await putLedger(original);
});

test('the ledger shortened, rewritten, forked, signed anew: against a checkpoint kept elsewhere', async () => {
  const { head, frames } = split(original);
  const all = notes(original), newest = all.at(-1);
  const LEDGER = { args: ['--ledger'] };
  await bothSay([LEDGER], newest);
  await bothSay([LEDGER], all[1]);

  const checkpoints = frames.filter((f) => f.type === 2);
  await putLedger(original.subarray(0, checkpoints.at(-2).end));
  const short = await verify('--ledger', '--checkpoint', await kept(newest));
  assert.ok(short.findings.some((f) => f.finding === 'ledger-shortened'));
  assert.ok((await judgeBySecond(newest)).findings.some((f) => f.finding === 'ledger-shortened'));

  // What is kept anew continues what was kept there, whether or not it was named.
  const keeps = await kept(newest);
  const again = await house.cliResult('verify', '--ledger', '--dir', house.dir, '--keep', keeps);
  assert.equal(again.code, 1, again.stdout);
  assert.match(again.stdout, /^ledger-shortened: /);
  assert.equal(await readFile(keeps, 'utf8'), newest);

  // Another word in the newest entry, and the vault's own key.
  const rewritten = frames.map((f) => ({ ...f, body: Buffer.from(f.body) }));
  const lastEntry = rewritten.findLast((f) => f.type === 1);
  leafOf(lastEntry.body)[12] ^= 1; // its time
  await putLedger(build(head, rewritten, signer));
  await names(['ledger-forked'], newest);

  // As long, another end; and longer.
  await putLedger(append(build(head, frames.slice(0, frames.indexOf(checkpoints.at(-2)) + 1), signer), signer,
    [13, randomBytes(32)], [13, randomBytes(32)]));
  await names(['ledger-forked'], newest);

  // The same entries under another key.
  await putLedger(build(head, frames, new Signer(randomBytes(32))));
  await bothSay(['ledger-key', LEDGER], newest);

  // Without a checkpoint from elsewhere a bit is seen all the same; so is a signature by nobody.
  const flipped = Buffer.from(original);
  flipped[checkpoints.at(-2).end + 60] ^= 1;
  await putLedger(flipped);
  await names(['ledger-root']);
  flipped[checkpoints.at(-2).end + 1] ^= 1;
  await putLedger(flipped);
  await names(['ledger-damaged']);
  const unsigned = frames.map((f) => ({ ...f, body: Buffer.from(f.body) }));
  unsigned.at(-1).body[100] ^= 1;
  await putLedger(build(head, unsigned, signer, { keepSignatures: true }));
  await bothSay(['ledger-signature', LEDGER]);
  const back = frames.map((f) => ({ ...f, body: Buffer.from(f.body) }));
  leafOf(back.findLast((f) => f.type === 1).body).writeBigUInt64LE(1n, 12);
  await putLedger(build(head, back, signer));
  await names(['ledger-time']);
  await rm(join(vault, 'ledger.log'));
  const none = await verify('--ledger');
  assert.deepEqual(none.findings.map((f) => f.finding), ['ledger-missing']);
  await restore('vault');
});

async function kept(text) {
  const path = join(house.home, 'elsewhere');
  await writeFile(path, text);
  return path;
}
// Both name at least these.
async function names(expected, checkpoint) {
  const first = await verify('--ledger', ...(checkpoint ? ['--checkpoint', await kept(checkpoint)] : []));
  const other = await judgeBySecond(...(checkpoint ? [checkpoint] : []));
  for (const name of expected) {
    assert.ok(first.findings.some((f) => f.finding === name), JSON.stringify(first));
    assert.ok(other.findings.some((f) => f.finding === name), JSON.stringify(other.findings.map((f) => f.finding)));
  }
  assert.equal(first.code, 1);
}

test('proofs of single events', async () => {
  const proof = prove(original, 1), file = join(house.home, 'proof');
  const newest = await kept(notes(original).at(-1));
  const check = async (text, ...args) => {
    await writeFile(file, text);
    return house.cliResult('verify', '--proof', file, '--json', ...args);
  };
  parseProof(proof);
  const good = await check(proof, '--checkpoint', newest);
  assert.equal(good.code, 0, good.stdout + good.stderr);
  assert.equal(JSON.parse(good.stdout).index, 1);
  assert.equal((await check(proof)).code, 3, 'nobody says whose checkpoint it is');
  assert.equal((await check(proof, '--dir', house.dir)).code, 0);
  // Of a ledger that somebody else made.
  const forged = build(split(original).head, split(original).frames, new Signer(randomBytes(32)));
  assert.equal((await check(prove(forged, 1), '--checkpoint', await kept(notes(original).at(-1)))).code, 3);
  assert.equal((await check(prove(forged, 1), '--dir', house.dir)).code, 1);
  const known = parseNote(notes(original).at(-1));
  const secondAccepts = (bytes) => {
    try {
      const { note } = parseProof(bytes.toString('utf8'));
      return note.text === known.text && note.signatures.length === 1 && note.signatures[0].name === known.origin &&
        note.signatures[0].bytes.equals(known.signatures[0].bytes) && note.signatures[0].id.equals(known.signatures[0].id);
    } catch {
      return false;
    }
  };
  assert.ok(secondAccepts(Buffer.from(proof)));
  for (let i = 0; i < 40; i++) {
    const bytes = Buffer.from(proof), at = Math.floor(Math.random() * bytes.length);
    bytes[at] ^= 1 << Math.floor(Math.random() * 7);
    assert.notEqual((await check(bytes, '--checkpoint', newest)).code, 0, `byte ${at}`);
    assert.ok(!secondAccepts(bytes), `byte ${at}`);
  }
});

test('while it runs: what waits in the spool is pending, never clean, and nothing is found that is not so', async () => {
  await restore('store', 'vault', 'spool');
  await house.up();
  const client = new OpenAI({ apiKey: house.key, baseURL: `${house.gateway}/v1`, maxRetries: 0 });
  const ask = () => client.chat.completions.create({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'more' }] });
  const vaultPid = await house.pid('vault');
  process.kill(vaultPid, 'SIGSTOP'); // it notes nothing: rows are in the store, and no batch has them yet
  try {
    await ask();
    await house.stored(13);
    const { code, end, findings } = await verify();
    assert.equal(code, 3);
    assert.equal(end.result, 'pending');
    assert.ok(findings.every((f) => f.level === 'pending'), JSON.stringify(findings));
  } finally {
    process.kill(vaultPid, 'SIGCONT');
  }
  let asking = true;
  const load = (async () => {
    while (asking) await Promise.all(Array.from({ length: 8 }, ask));
  })();
  for (let i = 0; i < 4; i++) {
    const { code, findings, stderr } = await verify();
    assert.ok(code === 0 || code === 3, JSON.stringify(findings) + stderr);
    assert.ok(findings.every((f) => f.level === 'pending'), JSON.stringify(findings));
  }
  asking = false;
  await load;
  await settled();

  // What the ledger's own commands give is what verify takes.
  const file = async (name, ...args) => {
    await writeFile(join(house.home, name), await house.cli('ledger', ...args, '--dir', house.dir));
    return join(house.home, name);
  };
  const checkpoint = await file('own-checkpoint', 'checkpoint'), key = await file('own-key', 'checkpoint', '--key');
  const proof = await file('own-proof', 'prove', '1');
  assert.equal((await verify('--ledger', '--checkpoint', checkpoint, '--key', key)).code, 0);
  const one = await house.cliResult('verify', '--proof', proof, '--key', key, '--json');
  assert.equal(one.code, 0, one.stdout + one.stderr);
  assert.equal(Number(parseProof(await readFile(proof, 'utf8')).index), JSON.parse(one.stdout).index);
});
