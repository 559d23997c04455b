// What cannot be judged is not kept: a scan that takes too long, or too many steps, leaves an interaction that says
// `withheld` and nothing of what was said. And a question after a secret is in the ledger, and keeps nothing.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Installation, BIN, until } from './lib/installation.mjs';
import { ask } from './lib/client.mjs';
import { Upstream, completion } from './lib/upstream.mjs';
import { readLeaf } from './lib/tlog.mjs';

const run = promisify(execFile);
const ASKED = 3; // the kind of such an entry of the ledger
const user = (content) => [{ role: 'user', content }];
// A rule whose expression takes the more steps the more letters stand there: twice as many for each.
const STEPS = (n) => `slow-${'a'.repeat(n)} b `;
let upstream, house, rules;
test.before(async () => {
  rules = join(tmpdir(), `withheld-${randomBytes(6).toString('hex')}.yaml`);
  await writeFile(rules, "- id: slow\n  pattern: 'slow-(?:a+)+b'\n  find: 'slow-'\n  match: ['slow-aaab']\n  clean: ['slow']\n");
  upstream = await Upstream.start();
  house = await Installation.start({ config: `
providers:
  all: {dialect: openai, url: '${upstream.url}', eject_after: 0}
log: {session_id: {header: x-session}}
detect: {enabled: true, rules: '${rules}'}
` });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
  await rm(rules, { force: true });
});

// An exchange, and what the log has of it; its canary stands in what was asked and answered.
async function exchange(text) {
  const canary = randomBytes(12).toString('hex');
  upstream.answer = (x) => x.json(completion(`it is ${canary}`));
  const r = await ask(house.gateway, house.key, '/v1/chat/completions',
    { model: 'gpt-4o-mini', messages: user(`${canary} ${text}`) }, { headers: { 'x-session': 'session-1' } });
  assert.equal(r.status, 200, 'the client gets its answer');
  // A scan's time is processor time, which a busy machine gives slowly.
  const row = await until(async () => (await house.rows(`SELECT * FROM interactions WHERE id = '${r.id}'`))[0], 'a row', 120000);
  const [{ n }] = await house.rows(`SELECT count() AS n FROM turns WHERE id = '${r.id}'`);
  return { canary, row, turns: Number(n) };
}

async function keptAnywhere(text) {
  const { stdout } = await run('grep', ['-rlaF', text, house.dir]).catch((e) => e);
  return stdout;
}

const withheld = [];
test('too many steps', async () => {
  const sealer = await house.pid('sealer');
  const it = await exchange(STEPS(40));
  assert.deepEqual([it.row.stored, it.turns, it.row.findings, it.row.session_id], ['withheld', 0, 0, 'session-1']);
  assert.equal(await house.pid('sealer'), sealer, 'which is no reason to die');
  withheld.push(it);
});

test('too much time', async () => {
  const sealer = await house.pid('sealer');
  const it = await exchange(STEPS(13).repeat(60000));
  assert.deepEqual([it.row.stored, it.turns, it.row.findings, it.row.session_id], ['withheld', 0, 0, 'session-1']);
  assert.equal(await house.pid('sealer'), sealer);
  withheld.push(it);
});

test('little enough of the same is judged, and others go on', async () => {
  assert.equal((await exchange(STEPS(13).repeat(20))).row.stored, 'turn');
  assert.equal((await exchange('hello')).row.stored, 'turn');
});

test('they are counted, and nothing of them is kept', async () => {
  const [{ n }] = await house.rows("SELECT count() AS n FROM interactions WHERE stored = 'withheld'");
  assert.equal(Number(n), withheld.length);
  const opened = await house.cli('query', '--dir', house.dir, '--format', 'JSONEachRow', '--open', '--reason', 'test', 'SELECT body FROM turns');
  for (const it of withheld) {
    assert.ok(!opened.includes(it.canary));
    assert.equal(await keptAnywhere(it.canary), '');
  }
});

// ---- secret find ----

async function asked() {
  const out = join(house.home, `tiles-${randomBytes(6).toString('hex')}`);
  await house.cli('ledger', 'export', out, '--dir', house.dir);
  let n = 0;
  for (const name of (await readdir(join(out, 'tile', 'entries'), { recursive: true })).sort()) {
    const b = await readFile(join(out, 'tile', 'entries', name)).catch(() => Buffer.alloc(0)); // a folder
    for (let at = 0; at < b.length; at += 2 + b.readUInt16BE(at))
      n += readLeaf(b.subarray(at + 2, at + 2 + b.readUInt16BE(at))).kind === ASKED;
  }
  return n;
}

test('a question after a secret is in the ledger, with nothing of the value, which is kept nowhere', async () => {
  const before = await asked();
  const value = `ghp_${randomBytes(18).toString('hex')}`;
  for (let i = 1; i <= 2; i++) {
    const p = run(join(BIN, 'safehouse'), ['secret', 'find', '--dir', house.dir, '--json']);
    p.child.stdin.end(`${value}\n`);
    const { stdout, stderr } = await p;
    assert.deepEqual([stdout, stderr], ['', ''], 'never seen');
    assert.equal(await asked(), before + i);
  }
  assert.equal(await keptAnywhere(value.slice(4, 20)), '');
  await house.stop();
  assert.equal(await keptAnywhere(value.slice(4, 20)), '');
  assert.ok(!(house.stdout + house.stderr).includes(value.slice(4, 20)));
});
