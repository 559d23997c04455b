// After an erasure and the next generation of keys nothing of the person's name, keys or link to the pseudonym is
// in the memory of any program that runs, whatever it had to do with the person before.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BIN, Installation, until } from './lib/installation.mjs';
import { hits, inMemory, keysOf, programs, secretOf } from './lib/gone.mjs';
import { Upstream, completion, event } from './lib/upstream.mjs';

const run = promisify(execFile);
const ALICE = 'alice-Zm31vbQx8LtK@wq5hzr7t.example';
const CAROL = 'carol-Wd84kqPn2XsJ@mf6yvb3g.example';

let upstream, house, url, person, gone;
const secret = randomBytes(18).toString('base64url');

test.before(async () => {
  upstream = await Upstream.start();
  upstream.answer = (x) => x.body.stream
    ? x.stream([event({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { role: 'assistant', content: `${x.body.user} again` } }] }),
      event({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }), event('[DONE]')])
    : x.json(completion(`you said: ${x.body.messages.at(-1).content}`));
  house = await Installation.start({ upstream: upstream.url, args: ['--console', '127.0.0.1:0'] });
  const replica = join(house.home, 'replica');
  await mkdir(replica, { mode: 0o700 });
  const owner = await stat(join(house.dir, 'vault'));
  await chown(replica, owner.uid, owner.gid);
  await house.stop();
  house.options.config = `vault: {replica: [${replica}]}\n`;
  await house.up();
  url = JSON.parse(await readFile(join(house.dir, 'run', 'ready'), 'utf8')).console;
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

function chat(user, body) {
  return fetch(`${house.gateway}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o-mini', user, ...body }),
  });
}
const ok = (r) => { assert.equal(r.code, 0, r.stderr); return r; };
const owner = async (command, ...more) => ok(await house.cliResult(...command.split(' '), '--dir', house.dir, ...more));

// One who may read and erase, by the owner and a second admin.
async function grow() {
  const lines = join(house.home, 'lines'), token = (name) => join(house.home, `session-${name}`);
  await writeFile(lines, `${secret}\n`, { mode: 0o600 });
  const signin = (name) => owner(`signin ${name}`, '--password-file', lines, '--token-file', token(name));
  for (const name of ['adm', 'rea']) await owner(`person add ${name}`, '--password-file', lines);
  await owner('person grant adm --role admin');
  await signin('adm');
  for (const role of ['reader', 'eraser']) {
    const r = await house.cliResult('person', 'grant', 'rea', '--role', role, '--dir', house.dir);
    await owner(`approve ${/needed: ([0-9a-f]{64})/.exec(r.stderr)[1]}`, '--token-file', token('adm'));
  }
  await signin('rea');
  person = ['--token-file', token('rea')];
}

test('the search finds a name that programs hold', async () => {
  const usual = upstream.answer;
  let answer;
  const asked = new Promise((go) => {
    upstream.answer = async (x) => {
      go();
      await new Promise((done) => (answer = done));
      return usual(x);
    };
  });
  const r = chat(CAROL, { messages: [{ role: 'user', content: 'wait' }] });
  await asked;
  const held = (await programs(house)).map(async ({ pid, name }) => (await inMemory(house, [Buffer.from(CAROL)], [pid]) ? name : ''));
  const names = (await Promise.all(held)).filter(Boolean);
  upstream.answer = usual;
  answer();
  await (await r).text();
  assert.ok(names.some((n) => n.startsWith('nginx: worker')), `the worker that forwards it: ${names}`);
});

test('all that a program can have to do with a person is done', async () => {
  for (const body of [{ messages: [{ role: 'user', content: `I am ${ALICE}` }] },
    { stream: true, messages: [{ role: 'user', content: `I am ${ALICE}` }] },
    { messages: [{ role: 'user', content: `I am ${ALICE}` }, { role: 'assistant', content: 'hello' }, { role: 'user', content: 'well' }] }]) {
    const r = await chat(ALICE, body);
    assert.equal(r.status, 200);
    assert.match(await r.text(), body.stream ? /again/ : /you said/);
  }
  await house.stored(4);
  await grow();
  const query = 'SELECT body FROM turns', authorization = `Basic ${Buffer.from(`rea:${secret}`).toString('base64')}`;
  const opened = await fetch(`${url}/?${new URLSearchParams({ open: 1, reason: 'a test' })}`,
    { method: 'POST', body: query, headers: { authorization } });
  assert.ok((await opened.text()).includes(ALICE));
  const r = await house.cliResult('query', '--dir', house.dir, '--open', '--reason', 'test', query, ...person);
  assert.ok(r.stdout.includes(ALICE), r.stderr);
  await house.cliResult('subject', 'hold', ALICE, '--reason', 'wait', '--dir', house.dir, ...person).then(ok);
  await house.cliResult('subject', 'export', ALICE, '--reason', 'asked', '--output', join(house.home, 'export'), '--dir', house.dir, ...person).then(ok);
  await house.cliResult('subject', 'release', ALICE, '--reason', 'wait no more', '--dir', house.dir, ...person).then(ok);
});

// A command's core at its end.
async function coreOf(file, ...args) {
  const path = join(house.home, 'core-command');
  const { stdout } = await run('gdb', ['-batch', '-ex', 'catch syscall exit_group', '-ex', 'run', '-ex', `generate-core-file ${path}`,
    '--args', join(BIN, file), ...args], { maxBuffer: 1 << 28 });
  assert.match(stdout, /Saved corefile/);
  return path;
}

test('afterwards it is in the memory of no program that runs', { timeout: 120000 }, async () => {
  const { stdout } = ok(await house.cliResult('subject', 'find', ALICE, '--json', '--dir', house.dir, ...person));
  const { id } = JSON.parse(stdout).ids[0], copy = join(house.home, 'copy');
  await run('cp', ['-a', join(house.dir, 'vault'), copy]);
  gone = [Buffer.from(ALICE), keysOf(await readFile(join(copy, 'vault.db')), id), await secretOf(house, copy, id)];
  const r = ok(await house.cliResult('subject', 'erase', ALICE, '--reason', 'asked', '--now', '--json', '--dir', house.dir, ...person));
  assert.equal(JSON.parse(r.stdout).pending, false);
  const end = Date.now() + 1100; // a request's memory is overwritten when it ends, or a moment later
  await until(() => Date.now() > end, 'a second');
  const all = await programs(house), names = all.map((p) => p.name).join('\n');
  for (const each of ['safehouse ', 'safehouse-vault ', 'safehouse-store ', 'safehouse-sealer ', 'safehouse-console ', 'nginx: worker'])
    assert.ok(names.includes(each), `${each} of ${names}`);
  assert.ok(all.length >= 10, 'the masters of both nginx, and the hashing helper');
  for (const { pid, name } of all) assert.equal(await inMemory(house, gone, [pid]), '', name);
  assert.equal(await hits(house, gone, [await coreOf('safehouse', 'verify', '--dir', house.dir)]), '', 'verify');
});
