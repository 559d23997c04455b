// Months that are over, through the real programs: written by a gateway whose clock was behind, let go
// of under the ledger's entry, but for what a hold keeps; and what the ledger did not allow is named.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn, execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BIN, Installation, until } from './lib/installation.mjs';
import { NGINX, nginxConf, writeNginxConf } from './lib/nginx.mjs';
import { freePort } from './lib/servers.mjs';
import { Upstream, completion } from './lib/upstream.mjs';

const run = promisify(execFile);
const TOOLS = join(BIN, '..', 'test', 'tools');
const DAY = 86400;
const OLD = 150, MIDDLE = 45; // days ago: over for both, and for content alone
const CONFIG = 'gateway: {nginx: own, workers: 1}\nretention: {content_days: 10, metadata_days: 60}\n';
const month = (days) => {
  const t = new Date(Date.now() - days * DAY * 1000);
  return t.getUTCFullYear() * 100 + t.getUTCMonth() + 1;
};

let upstream, house, port;
const ids = {}; // person-days -> interaction

// One exchange of each person with a gateway that is so many days behind.
async function asked(days) {
  const nginx = spawn(join(BIN, 'safehouse'), ['attach', '--dir', house.dir, '--', NGINX, '-c', nginxConf(house), '-e', 'stderr'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, LD_PRELOAD: join(TOOLS, 'past.so'), PAST_SECONDS: String(days * DAY) },
  });
  let said = '';
  nginx.stderr.on('data', (d) => (said += d));
  const ended = new Promise((done) => nginx.on('exit', done));
  await until(async () => {
    if (nginx.exitCode !== null) throw new Error(`nginx ended: ${said}`);
    return (await house.status()).gateway.workers.length === 1;
  }, 'an attached worker');
  for (const user of ['ada', 'bob']) {
    const r = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-4o-mini', user, messages: [{ role: 'user', content: `${user} ${days} days ago` }] }) });
    assert.equal(r.status, 200, await r.clone().text());
    ids[`${user}-${days}`] = r.headers.get('x-safehouse-id');
    await r.text();
    await house.stored(ids[`${user}-${days}`]);
  }
  nginx.kill('SIGQUIT');
  await ended;
  await until(async () => (await house.status()).gateway.workers.length === 0, 'no workers');
}

async function verify() {
  const r = await house.cliResult('verify', '--dir', house.dir, '--json');
  const lines = r.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  return { code: r.code, findings: lines.filter((l) => l.finding), end: lines.at(-1) };
}
const retention = async (...more) => (await house.cli('retention', 'run', '--dir', house.dir, '--json', ...more))
  .split('\n').filter(Boolean).map((line) => JSON.parse(line));
const subject = (verb, name, ...more) => house.cli('subject', verb, name, '--dir', house.dir, ...more);
async function exported(name) {
  const path = join(house.home, `${name}-${Math.random()}.jsonl`);
  await subject('export', name, '--reason', 'a request', '--output', path);
  return (await readFile(path, 'utf8')).trim().split('\n').map((l) => JSON.parse(l)).filter((l) => l.type === 'interaction');
}
const said = (line) => line.attributes['gen_ai.input.messages']?.[0].parts[0].content;

test.before(async () => {
  upstream = await Upstream.start();
  upstream.answer = (x) => x.json(completion('noted'));
  port = await freePort();
  house = await Installation.start({ config: `${CONFIG}providers:\n  one: {url: '${upstream.url}'}\n` });
  await writeNginxConf(house, port, 1);
  for (const days of [OLD, MIDDLE, 0]) await asked(days);
  await subject('hold', 'ada', '--reason', 'a lawsuit');
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

test('what would go is said, and nothing goes', async () => {
  await until(async () => (await verify()).code === 0, 'clean', 20000);
  const would = await retention('--dry-run');
  assert.deepEqual(would.map(({ table, month: m, rows, held, days }) => [table, m, rows, held, days]), [
    ['turns', month(OLD), 2, 1, 10], ['turns', month(MIDDLE), 2, 1, 10], ['interactions', month(OLD), 2, 1, 60]]);
  assert.ok(would.every((o) => o.dropped === false));
  assert.deepEqual(await house.rows('SELECT count() AS n FROM turns'), [{ n: 6 }]);
});

test('months go, content before metadata, held persons stay, and the log is clean', async () => {
  const before = (await verify()).end.entries;
  const gone = await retention();
  assert.ok(gone.length === 3 && gone.every((o) => o.dropped));
  assert.deepEqual(await house.rows('SELECT count() AS n FROM turns'), [{ n: 2 }]);
  assert.deepEqual(await house.rows('SELECT count() AS n FROM interactions'), [{ n: 4 }]);
  assert.deepEqual(await house.rows('SELECT count() AS n FROM held_turns'), [{ n: 2 }]);
  assert.deepEqual(await house.rows('SELECT count() AS n FROM held_interactions'), [{ n: 1 }]);
  const after = await verify();
  assert.equal(after.code, 0, JSON.stringify(after.findings));
  assert.ok(after.end.entries >= before + 3);
  assert.deepEqual(await retention(), [], 'a second run finds nothing');
});

test('an export has what the hold kept', async () => {
  assert.equal(JSON.parse(await subject('find', 'ada', '--json')).interactions, 3);
  const ada = await exported('ada');
  assert.deepEqual(ada.map(said).sort(), ['ada 0 days ago', `ada ${MIDDLE} days ago`, `ada ${OLD} days ago`].sort());
  const bob = await exported('bob');
  assert.deepEqual(bob.map((l) => l.id).sort(), [ids['bob-0'], ids[`bob-${MIDDLE}`]].sort());
  assert.equal(bob.find((l) => l.id === ids[`bob-${MIDDLE}`]).attributes['safehouse.content'], 'gone');
});

test('what goes without an entry is named, of the copies too', async () => {
  await house.stop();
  const store = join(house.dir, 'store'), kept = join(house.home, 'kept');
  await run('cp', ['-a', store, kept]);
  const cases = [
    [`ALTER TABLE interactions DROP PARTITION ${month(MIDDLE)}`, /partition-dropped/, 'interactions'],
    [`ALTER TABLE held_turns DROP PARTITION ${month(OLD)}`, /partition-dropped|row-missing/, 'turns'],
    [`ALTER TABLE held_interactions UPDATE status = 500 WHERE 1`, /row-changed/, 'interactions'],
    ['INSERT INTO held_turns SELECT * FROM turns LIMIT 1', /row-added/, 'turns'], // of a month that nobody let go
    ['INSERT INTO held_turns SELECT * FROM held_turns LIMIT 1', /row-replayed/, 'turns'],
    ['INSERT INTO held_turns SELECT * REPLACE(generateUUIDv4() AS id) FROM held_turns LIMIT 1', /row-added/, 'turns'],
  ];
  for (const [sql, finding, table] of cases) {
    await run(join(TOOLS, 'tamper'), [store, 'Null', sql]);
    const { code, findings } = await verify();
    assert.equal(code, 1, sql);
    assert.ok(findings.some((f) => finding.test(f.finding) && (f.table === table || f.text.includes(table))),
      `${sql}: ${JSON.stringify(findings)}`);
    await run('rm', ['-rf', store]);
    await run('cp', ['-a', kept, store]);
  }
  assert.equal((await verify()).code, 0);
});

test('what a hold kept goes when it has ended, under an entry, and the log is clean', async () => {
  await house.up();
  assert.deepEqual(await retention(), [], 'ada is held');
  await subject('release', 'ada', '--reason', 'settled');
  const rows = ({ table, month: m, rows: n, held, days }) => [table, m, n, held, days];
  const expected = [['held_turns', month(OLD), 1, 0, 10], ['held_turns', month(MIDDLE), 1, 0, 10],
    ['held_interactions', month(OLD), 1, 0, 60]];
  assert.deepEqual((await retention('--dry-run')).map(rows), expected);
  const before = (await verify()).end.entries;
  assert.deepEqual((await retention()).map(rows), expected);
  for (const table of ['held_turns', 'held_interactions'])
    assert.deepEqual(await house.rows(`SELECT count() AS n FROM ${table}`), [{ n: 0 }], table);
  const after = await verify();
  assert.equal(after.code, 0, JSON.stringify(after.findings));
  assert.ok(after.end.entries >= before + 3);
  assert.deepEqual(await retention(), []);
  const ada = await exported('ada');
  assert.deepEqual(ada.map((l) => l.id).sort(), [ids['ada-0'], ids[`ada-${MIDDLE}`]].sort());
  assert.equal(ada.find((l) => l.id === ids[`ada-${MIDDLE}`]).attributes['safehouse.content'], 'gone');
});
