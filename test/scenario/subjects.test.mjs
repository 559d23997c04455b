// One person of the log through the real programs: found, held, exported, erased; and afterwards
// nothing opens, nothing names, whatever is put back.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chown, mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Installation, until } from './lib/installation.mjs';
import { files, hits, inCore, keysOf } from './lib/gone.mjs';
import { callsOf, killedAt, sample, traced } from './lib/faults.mjs';
import { Upstream, completion } from './lib/upstream.mjs';
import { leafOf, split } from '../verify/forge.mjs';

const run = promisify(execFile);
// No 12 bytes of them stand in the programs themselves, as "@example.org" does in the detector's rules.
const ALICE = 'alice-Kx93mQpl7ZtW@vq7hzn2w.example';
const BOB = 'bob-Rt55vBnn2LsY@kd84xmu1.example';

let upstream, house, replica, second;
test.before(async () => {
  upstream = await Upstream.start();
  upstream.answer = (x) => x.json(completion(`you said: ${x.body.messages.at(-1).content}`));
  house = await Installation.start({ upstream: upstream.url });
  const owner = await stat(join(house.dir, 'vault'));
  [replica, second] = ['replica', 'second'].map((name) => join(house.home, name));
  for (const dir of [replica, second]) {
    await mkdir(dir, { mode: 0o700 });
    await chown(dir, owner.uid, owner.gid);
  }
  await house.stop();
  house.options.config = `vault: {replica: [${replica}, ${second}]}\nretention: {content_days: 30, metadata_days: 400}\n`;
  await house.up();
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

async function ask(user, ...contents) {
  const r = await fetch(`${house.gateway}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o-mini', user,
      messages: contents.map((content, i) => ({ role: i % 2 ? 'assistant' : 'user', content })) }),
  });
  assert.equal(r.status, 200, await r.clone().text());
  const id = r.headers.get('x-safehouse-id');
  await r.text();
  await house.stored(id);
  return id;
}
const subject = (verb, name, ...more) =>
  house.cliResult('subject', verb, name, '--dir', house.dir, ...(verb === 'find' ? [] : ['--reason', 'a request']), ...more);
async function found(name) {
  const r = await subject('find', name, '--json');
  assert.equal(r.code, 0, r.stderr);
  return JSON.parse(r.stdout);
}

let first, gone, before;

test('a person is found by name, and nobody else', async () => {
  first = await ask(ALICE, 'my first question');
  await ask(ALICE, 'my first question', 'you said: my first question', 'and a second one');
  await ask(BOB, 'something else');
  const alice = await found(ALICE);
  assert.equal(alice.project, 'default');
  assert.equal(alice.kind, 'person');
  assert.equal(alice.interactions, 2);
  assert.equal(alice.ids.length, 1);
  assert.equal(alice.hold, null);
  assert.ok(Date.now() - Date.parse(alice.ids[0].created) < 60000);
  const rows = await house.rows(`SELECT subject FROM interactions WHERE id = '${first}'`);
  assert.equal(rows[0].subject, alice.ids[0].id);
  const nobody = await subject('find', 'carol');
  assert.equal(nobody.code, 3);
  assert.match(nobody.stderr, /nobody has this name/);
});

test('an export is what was sent, with who read it, signed', async () => {
  await house.show(first);
  const path = join(house.home, 'alice.jsonl');
  const r = await subject('export', ALICE, '--output', path);
  assert.equal(r.code, 0, r.stderr);
  const text = await readFile(path);
  const lines = text.toString().trim().split('\n').map((l) => JSON.parse(l));
  assert.equal(lines[0].type, 'export');
  assert.equal(lines[0].name, ALICE);
  const said = lines.filter((l) => l.type === 'interaction');
  assert.equal(said.length, 2);
  const second = said.find((l) => l.id !== first).attributes;
  assert.deepEqual(second['gen_ai.input.messages'], [
    { role: 'user', parts: [{ type: 'text', content: 'my first question' }] },
    { role: 'assistant', parts: [{ type: 'text', content: 'you said: my first question' }] },
    { role: 'user', parts: [{ type: 'text', content: 'and a second one' }] },
  ]);
  assert.deepEqual(second['gen_ai.output.messages'], [
    { role: 'assistant', parts: [{ type: 'text', content: 'you said: and a second one' }], finish_reason: 'stop' },
  ]);
  assert.equal(second['gen_ai.request.model'], 'gpt-4o-mini');
  const readings = lines.filter((l) => l.type === 'reading');
  assert.ok(readings.some((l) => l.what === 'opened' && l.reason === 'test'), 'the show before');
  assert.ok(readings.some((l) => l.what === 'exported' && l.reason === 'a request'));
  assert.ok(!text.includes('something else'));
  const { note: receipt } = JSON.parse(await readFile(`${path}.receipt`, 'utf8'));
  assert.match(receipt, new RegExp(`^sha256 ${createHash('sha256').update(text).digest('hex')}$`, 'm'));
  assert.equal((await subject('export', ALICE, '--output', path)).code, 2, 'never over another file');
});

test('reports: of the person, of a breach, of processing; each signed, each with the newest checkpoint', async () => {
  const report = (...words) => house.cliResult('report', ...words, '--dir', house.dir);
  const of = async (...words) => {
    const r = await report(...words, '--json');
    assert.equal(r.code, 0, r.stderr);
    const o = JSON.parse(r.stdout);
    assert.match(o.checkpoint, /^safehouse\.invalid\/[0-9a-f]{32}\n\d+\n/);
    assert.match(o.one_person_mode, /^yes/);
    return o;
  };
  const person = (await of('subject', ALICE)).person;
  assert.equal(person.pseudonyms.length, 1);
  assert.deepEqual(person.kept.exchanges.map((e) => [e.project, e.exchanges, e.with_content]), [['default', 2, 2]]);
  assert.deepEqual(person.kept.recipients.map((e) => e.exchanges), [2]);
  assert.ok(person.who_read_it.some((e) => e.kind === 'opened' && e.reason === 'test'));
  assert.ok(person.who_read_it.some((e) => e.kind === 'exported' && e.reason === 'a request'));
  assert.equal((await report('subject', 'carol')).code, 3);

  const breach = await of('breach', '--since', '1h');
  assert.equal(breach.summary.pseudonyms_whose_content_was_opened, 1, 'Bob was not read');
  assert.ok(breach.summary.cells_opened >= 2);
  assert.equal(breach.summary.log_and_ledger, 'clean');
  assert.deepEqual(breach.opened.by_whom_and_why.map((e) => e.reason).sort(), ['a request', 'test']);
  assert.equal(breach.readable_without_a_key.in_the_database_at_the_end.pseudonyms, 2);
  assert.equal((await of('breach', '--since', '2020-01-01', '--until', '2020-02-01', '--quick')).summary.openings, 0);
  assert.equal((await report('breach')).code, 2, 'since when?');

  const records = await of('records');
  assert.equal(records.time_limits.content_days, 30);
  assert.equal(records.controller.name, null);
  assert.equal(records.persons.pseudonyms, 2);
  assert.deepEqual(records.recipients.providers.map((p) => [p.url, p.requests]), [[upstream.url, 3]]);
  assert.equal(records.measures.in_force.programs_sandboxed, true);
  assert.equal(records.measures.in_force.ledger_verified.result, 'clean');
  assert.equal(records.measures.in_force.replicas_of_the_keys, '2, of which 2 are current');

  const path = join(house.home, 'report.md');
  const r = await report('records', '--output', path);
  assert.equal(r.code, 0, r.stderr);
  const text = await readFile(path);
  assert.match(text.toString(), /^# Records of processing[^]*\n## Controller\n\n- name: not stated\n[^]*\nsafehouse\.invalid\//);
  assert.ok(!text.includes('alice'));
  assert.match(JSON.parse(await readFile(`${path}.receipt`, 'utf8')).note,
    new RegExp(`^report records\nsha256 ${createHash('sha256').update(text).digest('hex')}$`, 'm'));
});

test('a hold keeps a person from being erased, and says so', async () => {
  assert.equal((await subject('hold', ALICE)).code, 0);
  assert.equal((await found(ALICE)).hold.reason, 'a request');
  assert.notEqual((await subject('hold', ALICE)).code, 0);
  const r = await subject('erase', ALICE);
  assert.equal(r.code, 2);
  assert.match(r.stderr, /held since .*a request/);
  await house.show(first);
  assert.equal((await subject('release', ALICE)).code, 0);
  assert.equal((await found(ALICE)).hold, null);
});

test('an erased person is gone: keys, name, what programs knew of it', { timeout: 120000 }, async () => {
  await house.stop(); // its files lie still
  before = join(house.home, 'before');
  await run('cp', ['-a', join(house.dir, 'store'), before]);
  await run('cp', ['-a', join(house.dir, 'vault'), `${before}.vault`]);
  await run('cp', ['-a', replica, `${before}.replica`]);
  await house.up();
  const id = (await found(ALICE)).ids[0].id;
  gone = [Buffer.from(ALICE), keysOf(await readFile(join(house.dir, 'vault', 'vault.db')), id)];
  assert.notEqual(await hits(house, [gone[1]], await files(join(house.dir, 'vault'))), '', 'the search finds it');
  assert.notEqual(await hits(house, [gone[1]], await files(replica)), '');
  assert.notEqual(await hits(house, [gone[1]], await files(second)), '');
  await rename(second, `${second}.away`); // its disk is not there now
  const r = await subject('erase', ALICE, '--now', '--json');
  assert.equal(r.code, 0, r.stderr);
  const receipt = JSON.parse(r.stdout);
  assert.equal(receipt.pending, true);
  assert.match(receipt.note, new RegExp(`^replica pending ${second}$`, 'm'));
  await rename(`${second}.away`, second);
  assert.match(receipt.note, /^subjects 1$/m);
  assert.match(receipt.note, /^sealer forgotten$/m);
  assert.match(receipt.note, new RegExp(`^replica erased ${replica}$`, 'm'));
  assert.ok(!receipt.note.includes('alice'));
  assert.match(receipt.proof, new RegExp(`^index ${/^leaf (\d+)$/m.exec(receipt.note)[1]}$`, 'm'));
  assert.equal((await subject('find', ALICE)).code, 3);
  const shown = await house.cliResult('show', first, '--dir', house.dir, '--reason', 'test');
  assert.equal(shown.code, 3);
  assert.match(shown.stderr, /the key was destroyed/);
  const status = await house.status();
  assert.equal(status.vault.generation, 2);
  assert.equal(await hits(house, gone, await files(join(house.dir, 'vault'))), '', 'the vault');
  await until(async () => await hits(house, gone, await files(replica)) === '', 'the replica renewed');
  await until(async () => await hits(house, gone, await files(second)) === '', 'the one that came back later, too', 40000);
  for (const name of ['vault', 'sealer']) {
    assert.equal(await inCore(house, gone, await house.pid(name)), '', `core of ${name}`);
  }
});

test('whoever comes back is somebody new', async () => {
  const [{ subject: old }] = await house.rows(`SELECT subject FROM interactions WHERE id = '${first}'`);
  const id = await ask(ALICE, 'my first question', 'you said: my first question', 'a new one');
  const [row] = await house.rows(`SELECT subject, conversation FROM interactions WHERE id = '${id}'`);
  assert.notEqual(row.subject, old);
  assert.equal(row.conversation, id, 'no history is known');
  const alice = await found(ALICE);
  assert.equal(alice.interactions, 1);
  assert.equal((await house.show(id)).request.messages.length, 3);
});

// Entries of this kind in the ledger's file.
async function entries(kind) {
  const { frames } = split(await readFile(join(house.dir, 'vault', 'ledger.log')));
  return frames.filter((f) => f.type === 1 && leafOf(f.body)[1] === kind).length;
}

// The system calls of one erasure, from the intention's write to the receipt, and the intention's end.
async function erasing(name) {
  const { result, lines } = await traced(house, 'vault', [], () => subject('erase', name, '--json'));
  assert.equal(result.code, 0, result.stderr);
  const calls = callsOf(lines), from = calls.findIndex((c) => c.name === 'pwrite64');
  const receipt = calls.findIndex((c) => c.name === 'sendmsg' && /receip/.test(c.line));
  const syncs = calls.slice(from, receipt).filter((c) => c.name === 'fdatasync').length;
  assert.ok(from >= 0 && syncs >= 3, 'intention, ledger and keys are durable before the receipt');
  const end = calls.findIndex((c, i) => i > receipt && c.name === 'fdatasync');
  return calls.slice(from, end < 0 ? calls.length : end + 1); // the intention's end comes after the answer
}

test('kill -9 at system calls of an erasure: all of it or nothing, and no receipt for nothing', { timeout: 1800000 }, async (t) => {
  let victims = 0;
  const victim = async () => {
    const name = `victim-${victims++}`;
    return { name, id: await ask(name, `a question of ${name}`) };
  };
  // At the first ones nothing is decided yet: whoever dies there has erased nobody.
  const all = await erasing((await victim()).name), calls = sample(all, 4, (c) => all.indexOf(c) < 2);
  const told = { receipts: 0, erased: 0, kept: 0, died: 0 };
  for (const call of calls) {
    const { name, id } = await victim(), before = await entries(5), what = `${call.name} ${call.when}`;
    const { result, died } = await killedAt(house, 'vault', call, () => subject('erase', name, '--json'));
    const shown = await house.cliResult('show', id, '--dir', house.dir, '--reason', 'test');
    const still = await subject('find', name);
    told.died += died;
    told.receipts += result.code === 0;
    told[still.code === 0 ? 'kept' : 'erased']++;
    if (result.code === 0) assert.equal(still.code, 3, `${what}: a receipt was given`);
    assert.equal(still.code === 0, shown.code === 0, `${what}: all of it or nothing`);
    if (shown.code !== 0) assert.match(shown.stderr, /the key was destroyed/, what);
    assert.equal(await entries(5) - before, still.code === 0 ? 0 : 1, `${what}: an entry for each erasure, and for nothing else`);
    assert.equal((await house.status()).vault.ledger, 'ok', what);
    assert.ok((await readFile(join(house.dir, 'vault', 'erasing'))).every((b) => b === 0), `${what}: no intention is left`);
  }
  t.diagnostic(`${told.died} kills at ${calls.length} calls: ${told.erased} erased (${told.receipts} with a receipt), ${told.kept} kept`);
  assert.ok(told.died > calls.length / 2 && told.erased > 0 && told.kept > 0);
});

test('yesterday\'s database brings nobody back, yesterday\'s keys stay shut', { timeout: 120000 }, async () => {
  await house.stop();
  await rm(join(house.dir, 'store'), { recursive: true });
  await run('cp', ['-a', before, join(house.dir, 'store')]);
  await house.up();
  const shown = await house.cliResult('show', first, '--dir', house.dir, '--reason', 'test');
  assert.match(shown.stderr, /the key was destroyed/);
});

const vault = () => join(house.dir, 'vault');
async function putBack(from, to) {
  await rm(to, { recursive: true });
  await run('cp', ['-a', from, to]);
}
// Starts as it is: locked, for this reason, whatever passphrase is given; nothing opens, logging goes on.
async function staysShut(why, what) {
  await house.up();
  assert.equal((await house.status()).vault.locked, true, what);
  const opened = await house.cliResult('unlock', '--dir', house.dir, '--passphrase-file', house.passphraseFile);
  assert.notEqual(opened.code, 0, what);
  assert.match(opened.stderr, why, what);
  assert.match((await house.cliResult('show', first, '--dir', house.dir, '--reason', 'test')).stderr, /locked/, what);
  assert.match((await subject('find', ALICE)).stderr, /locked/, what);
  await ask(BOB, `logged with ${what}`);
  await house.stop();
}

test('what is put back of the vault stays shut until it is the newest again, and brings nobody back', { timeout: 180000 }, async () => {
  await house.stop();
  const now = join(house.home, 'now');
  await run('cp', ['-a', vault(), `${now}.vault`]);
  await run('cp', ['-a', replica, `${now}.replica`]);
  await putBack(`${before}.vault`, vault());
  await staysShut(/a replica knows more than vault\.db.*was put back/, 'the whole folder of before');
  for (const dir of [replica, second]) await putBack(`${before}.replica`, dir);
  await run('cp', ['-a', join(`${now}.vault`, 'ledger.log'), join(vault(), 'ledger.log')]);
  await staysShut(/the ledger has an erasure that vault\.db does not know/, 'the keys of before, in all replicas as well');
  await putBack(`${now}.vault`, vault());
  await putBack(`${now}.replica`, replica);
  await run('cp', ['-a', join(`${before}.vault`, 'ledger.log'), join(vault(), 'ledger.log')]);
  await staysShut(/the ledger is older than what is known of it outside/, 'the ledger of before');
  // Everything newest, but for one replica, which is brought up to date.
  await putBack(`${now}.vault`, vault());
  await house.up();
  assert.equal((await house.status()).vault.locked, false);
  const keys = [gone[1].subarray(0, 112)]; // not the tag: whoever came back has the same name
  await until(async () => await hits(house, keys, await files(second)) === '', 'the replica of before forgot', 40000);
  assert.match((await house.cliResult('show', first, '--dir', house.dir, '--reason', 'test')).stderr, /the key was destroyed/);
});
