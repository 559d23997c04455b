// What people at the command line read the log with: query's exit codes and formats, show, tail.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import OpenAI from 'openai';
import { Installation, BIN, until } from './lib/installation.mjs';
import { Upstream, completion } from './lib/upstream.mjs';

let upstream, house, client;
const sent = []; // {id, request}
const MANY = 300; // more cells than are opened at once

const u = (content) => ({ role: 'user', content });
async function ask(messages, more = {}) {
  const request = { model: 'gpt-4o-mini', ...more, messages };
  const { response } = await client.chat.completions.create(request).withResponse();
  const it = { id: response.headers.get('x-safehouse-id'), request };
  sent.push(it);
  return it;
}

test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ upstream: upstream.url });
  client = new OpenAI({ apiKey: house.key, baseURL: `${house.gateway}/v1`, maxRetries: 0 });
  upstream.answer = (x) => x.json(completion(`answer to ${x.body.messages.at(-1).content}`));
  const a = (content) => ({ role: 'assistant', content });
  await ask([u('first question')]);
  await ask([u('first question'), a('answer to first question'), u('second question \u001b[31m')]);
  await ask([u('first question'), a('answer to first question'), u('another branch')]);
  await Promise.all(Array.from({ length: 8 }, async (_, k) => {
    for (let i = k; i < MANY; i += 8) await ask([u(`number ${i}`)]);
  }));
  await house.stored(sent.length);
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const cli = (command, ...args) => house.cliResult(command, '--dir', house.dir, ...args);
const open = ['--open', '--reason', 'a test'];

test('more cells than are opened at once', async () => {
  const rows = await house.rows('SELECT id, body FROM turns', ...open);
  assert.equal(rows.length, sent.length);
  const asked = new Map(rows.map((r) => [r.id, JSON.parse(r.body).messages.at(-1)]));
  for (const { id, request } of sent) assert.deepEqual(asked.get(id), request.messages.at(-1));
});

test('the format: --format, a clause, both, none, unknown', async () => {
  const sql = 'SELECT count() AS n FROM interactions';
  const n = sent.length;
  assert.equal((await cli('query', sql)).stdout, `${n}\n`);
  assert.deepEqual(JSON.parse((await cli('query', `${sql} FORMAT JSONEachRow`)).stdout), { n });
  assert.equal((await cli('query', '--format', 'jsoneachrow', `${sql} format JSONEachRow;`)).code, 0);
  const both = await cli('query', '--format', 'CSV', `${sql} FORMAT JSONEachRow`);
  assert.equal(both.code, 2);
  assert.match(both.stderr, /FORMAT JSONEachRow.*--format says CSV/);
  const unknown = await cli('query', '--format', 'Prety', sql);
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /did you mean Pretty/);
  assert.equal((await cli('query', ...open, '--format', 'RowBinary', 'SELECT body FROM turns')).code, 2);
});

test('a statement from standard input', async () => {
  const child = spawn(join(BIN, 'safehouse'), ['query', '--dir', house.dir, '-']);
  let out = '';
  child.stdout.on('data', (d) => (out += d));
  child.stdin.end('SELECT count()\nFROM interactions -- FORMAT JSON\n');
  assert.equal(await new Promise((done) => child.on('close', done)), 0);
  assert.equal(out, `${sent.length}\n`);
});

test('a cell that is none is counted, and stays', async () => {
  const r = await cli('query', ...open, "SELECT replaceOne(body, 'shx1.AQ', 'shx1.AA') FROM turns LIMIT 2");
  assert.equal(r.code, 3);
  assert.match(r.stdout, /shx1\.AA/);
  assert.match(r.stderr, /^safehouse: 2 of 2 cells stay sealed: /);
});

test('a cell in another row does not open as that row', async () => {
  const [one, two] = sent;
  const sql = `SELECT concat(substring(a.body, 1, 60), substring(b.body, 61)) FROM turns AS a, turns AS b
    WHERE a.id = '${one.id}' AND b.id = '${two.id}'`;
  const r = await cli('query', ...open, sql);
  assert.equal(r.code, 3);
  assert.doesNotMatch(r.stdout, /question/);
});

test('show: by id, by its beginning, for people and for programs', async () => {
  const { id, request } = sent[1];
  const text = (await cli('show', id, '--reason', 'a test')).stdout;
  assert.match(text, new RegExp(`^interaction ${id}\nconversation ${sent[0].id}\n.*gpt-4o-mini.*200 complete`));
  assert.match(text, /user:\n {2}first question\n\nassistant:\n {2}answer to first question\n/);
  assert.match(text, /second question \\x1b\[31m/, 'no control character goes out');
  const it = await house.show(id);
  assert.deepEqual(it.request, request);
  assert.equal(it.id, id);
  assert.equal(it.conversation, sent[0].id);
  assert.equal(it.parent, sent[0].id);
  assert.equal(it.kept, 2);
  assert.deepEqual([it.status, it.streamed, it.outcome], [200, false, 'complete']);
  assert.equal((await house.show(sent[0].id)).parent, null);
  const other = sent.at(-1);
  assert.equal((await house.show(other.id.slice(0, 35).toUpperCase())).id, other.id);
});

test('show --all: every exchange of the conversation, each message once', async () => {
  const text = (await cli('show', sent[1].id, '--all', '--reason', 'a test')).stdout;
  for (const s of sent.slice(0, 3)) assert.ok(text.includes(`interaction ${s.id}\n`));
  assert.equal(text.match(/ {2}first question\n/g).length, 1);
  assert.equal(text.match(/another branch/g).length, 2, 'asked and answered');
  const lines = (await cli('show', sent[1].id, '--all', '--json', '--reason', 'a test')).stdout.trim().split('\n');
  const all = new Map(lines.map((l) => JSON.parse(l)).map((x) => [x.id, x]));
  assert.equal(all.size, 3);
  for (const s of sent.slice(0, 3)) assert.deepEqual(all.get(s.id).request, s.request);
});

test('show: an interaction without content', async () => {
  upstream.answer = (x) => x.json({ object: 'list', data: [] });
  const { response } = await client.models.list().withResponse();
  const id = response.headers.get('x-safehouse-id');
  sent.push({ id });
  await house.stored(id);
  assert.match((await cli('show', id, '--reason', 'a test')).stdout, /\[no content: none\]/);
  const it = await house.show(id);
  assert.deepEqual([it.request, it.response, it.stored, it.status, it.streamed], [null, null, 'none', 200, false]);
});

test('show: what it cannot', async () => {
  const none = await cli('show', '00000000-0000-7000-8000-000000000000', '--reason', 'x');
  assert.equal(none.code, 2);
  assert.match(none.stderr, /there is no interaction and no conversation/);
  const several = await cli('show', sent[0].id.slice(0, 6), '--reason', 'x');
  assert.equal(several.code, 2);
  assert.match(several.stderr, /several interactions begin with/);
  assert.equal((await cli('show', 'x\' OR 1', '--reason', 'x')).code, 2);
  assert.equal((await cli('show', sent[0].id)).code, 2, 'a reason is needed');
  await house.cli('lock', '--dir', house.dir);
  for (const args of [['show', sent[0].id, '--reason', 'x'], ['query', ...open, 'SELECT body FROM turns LIMIT 1']]) {
    const locked = await cli(...args);
    assert.equal(locked.code, 3);
    assert.match(locked.stderr, /locked.*safehouse unlock --dir/);
    assert.doesNotMatch(locked.stdout, /question/);
  }
  await house.cli('unlock', '--dir', house.dir, '--passphrase-file', house.passphraseFile);
  assert.equal((await cli('show', sent[0].id, '--reason', 'x')).code, 0);
});

test('tail: the last ones, then new ones, each once, however long they took', async () => {
  const last = (await cli('tail', '-n', '3', '--no-follow', '--json')).stdout.trim().split('\n').map((l) => JSON.parse(l));
  const ids = new Set(sent.map((s) => s.id));
  assert.equal(last.length, 3);
  for (const x of last) assert.ok(ids.has(x.id) && x.status === 200 && x.outcome === 'complete');

  const child = spawn(join(BIN, 'safehouse'), ['tail', '--dir', house.dir, '-n', '0', '--json']);
  let out = '';
  child.stdout.on('data', (d) => (out += d));
  const seen = () => out.split('\n').slice(0, -1).map((l) => JSON.parse(l).id);
  await new Promise((go) => setTimeout(go, 500));
  let slow;
  upstream.answer = (x) => {
    if (x.body.messages.at(-1).content === 'slow') slow = () => x.json(completion('at last'));
    else x.json(completion('ok'));
  };
  const before = sent.length;
  const late = ask([u('slow')]); // begins first, ends last
  await until(() => slow, 'the slow request');
  for (let i = 0; i < 5; i++) await ask([u(`quick ${i}`)]);
  await until(() => seen().length >= 5, 'five lines');
  slow();
  await late;
  await until(() => seen().length >= 6, 'the slow one too');
  await new Promise((go) => setTimeout(go, 2200)); // two more rounds: nothing comes again
  child.kill();
  assert.deepEqual(seen().sort(), sent.slice(before).map((s) => s.id).sort());
});
