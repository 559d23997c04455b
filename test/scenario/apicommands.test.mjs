// What the command line does, by the JSON interface: keys, projects, subjects, reports. It is the commands that do it,
// in the session of whoever asks; so each role may here what it may there, and the ledger has it.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Installation, until } from './lib/installation.mjs';
import { files, hits } from './lib/gone.mjs';
import { check } from './lib/openapi.mjs';
import { Upstream, completion } from './lib/upstream.mjs';

const ALICE = 'alice-vq7hzn2w.example';
const password = `pw-${randomBytes(12).toString('base64url')}`;
let upstream, house, url;
const tokens = {};

test.before(async () => {
  upstream = await Upstream.start();
  upstream.answer = (x) => x.json(completion(`you said: ${x.body.messages.at(-1).content}`));
  house = await Installation.start({ upstream: upstream.url, args: ['--console', '127.0.0.1:0'], env: { XDG_RUNTIME_DIR: '' } });
  url = JSON.parse(await readFile(join(house.dir, 'run', 'ready'), 'utf8')).console;
  const file = join(house.home, 'pw');
  await writeFile(file, password + '\n', { mode: 0o600 });
  for (const [name, role] of [['adm', 'admin'], ['ana', 'analyst'], ['aud', 'auditor'], ['rea', 'reader'], ['era', 'eraser']]) {
    const r = await house.cliResult('person', 'add', name, '--role', role, '--password-file', file, '--dir', house.dir);
    assert.ok(r.code === 0 || /approve/.test(r.stderr), r.stderr);
  }
  await signIn('adm');
  for (const o of (await call('adm', 'GET', '/api/v1/approvals')).json.approvals)
    assert.equal((await call('adm', 'POST', `/api/v1/approvals/${o.digest}`, { approve: true })).status, 204);
  for (const name of ['ana', 'aud', 'rea', 'era']) await signIn(name);
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

async function signIn(name) {
  const s = await call(null, 'POST', '/api/v1/sessions', { name, password });
  assert.equal(s.status, 201, s.text);
  tokens[name] = s.json.session;
}
async function call(who, method, path, body, more = {}) {
  const headers = { ...(body ? { 'content-type': 'application/json' } : {}), ...(who ? { authorization: `Bearer ${tokens[who]}` } : {}), ...more };
  const r = await fetch(url + path, { method, headers, body: body && (typeof body === 'string' ? body : JSON.stringify(body)) });
  const text = await r.text();
  check(method, path.split('?')[0], r.status, r.headers.get('content-type'), text);
  return { status: r.status, text, json: text.startsWith('{') && !text.includes('\n') ? JSON.parse(text) : null, cache: r.headers.get('cache-control') };
}
async function ask(key, user, content) {
  const r = await fetch(`${house.gateway}/v1/chat/completions`, { method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o-mini', user, messages: [{ role: 'user', content }] }) });
  await r.text();
  return { status: r.status, id: r.headers.get('x-safehouse-id') };
}

test('an admin makes a key, changes and revokes it; each is in force when the answer comes', async () => {
  const made = await call('adm', 'POST', '/api/v1/keys', { project: 'sales', expires: '30d', models: ['gpt-4o*'],
    limits: { requests_per_minute: 100, budget_day: '12.50', tokens_day: null } });
  assert.equal(made.status, 201, made.text);
  assert.equal(made.cache, 'no-store');
  const { id, secret, project, limits } = made.json;
  assert.equal(project, 'sales');
  assert.deepEqual(limits, { requests_per_minute: 100, budget_day: '12.5', tokens_day: null });
  const sent = await ask(secret, ALICE, 'hello');
  assert.equal(sent.status, 200);
  await house.stored(sent.id);
  const list = await call('adm', 'GET', '/api/v1/keys');
  const key = list.json.keys.find((k) => k.id === id);
  assert.equal(key.state, 'active');
  assert.deepEqual(key.models, ['gpt-4o*']);
  assert.ok(!list.text.includes(secret.slice(-20)));
  assert.ok((await call('adm', 'GET', '/api/v1/projects')).json.projects.some((p) => p.project === 'sales'));
  assert.equal((await call('adm', 'POST', `/api/v1/keys/${id}`, { models: ['other'] })).status, 200);
  assert.equal((await ask(secret, ALICE, 'hello')).status, 403, 'that model is not allowed any more');
  assert.equal((await call('adm', 'POST', '/api/v1/projects', { project: 'empty', limits: { concurrency: 3 } })).status, 200);
  const { projects } = (await call('adm', 'GET', '/api/v1/projects')).json;
  assert.deepEqual(projects.find((p) => p.project === 'empty').limits, { concurrency: 3 });
  assert.equal((await call('adm', 'DELETE', `/api/v1/keys/${id}`)).json.revoked, true);
  assert.equal((await ask(secret, ALICE, 'hello')).status, 401);
  assert.equal((await call('adm', 'DELETE', `/api/v1/keys/${id.slice(0, -1)}${id.endsWith('a') ? 'b' : 'a'}`)).status, 404);
  assert.equal((await call('adm', 'POST', `/api/v1/keys/${id}`, { models: ['a'] })).status, 409, 'it is revoked');
  // Who did it is in the ledger.
  const breach = await call('aud', 'POST', '/api/v1/reports/breach', { since: '1h', quick: true });
  assert.equal(breach.status, 200, breach.text);
  const changes = breach.json.configuration_and_keys.filter((e) => e.change);
  assert.deepEqual(changes.map((e) => [e.who, e.change, e.project]),
    [['adm', 'key made', 'sales'], ['adm', 'key changed', 'sales'], ['adm', 'project changed', 'empty'], ['adm', 'key revoked', 'sales']]);
});

test('a secret is in no file and no log', async () => {
  const { secret } = (await call('adm', 'POST', '/api/v1/keys', {})).json;
  const all = await files(house.dir);
  assert.ok(all.length > 10);
  assert.equal(await hits(house, [Buffer.from(secret.slice(-20))], all), '');
});

test('one person: found, held, exported, erased; each by who may', async () => {
  const find = await call('era', 'POST', '/api/v1/subjects/find', { name: ALICE });
  assert.equal(find.status, 200, find.text);
  assert.equal(find.json.persons.length, 1);
  assert.ok(find.json.persons[0].interactions >= 1);
  const why = { name: ALICE, reason: 'a request' };
  for (const [who, verb] of [['ana', 'find'], ['ana', 'export'], ['adm', 'export'], ['era', 'export'], ['rea', 'erase'], ['aud', 'hold'], ['adm', 'release']])
    assert.equal((await call(who, 'POST', `/api/v1/subjects/${verb}`, verb === 'find' ? { name: ALICE } : why)).status, 403, `${who} ${verb}`);
  assert.equal((await call('era', 'POST', '/api/v1/subjects/find', { name: 'nobody at all' })).status, 404);
  assert.equal((await call('era', 'POST', '/api/v1/subjects/hold', { name: ALICE })).status, 400, 'a reason is needed');
  assert.equal((await call('era', 'POST', '/api/v1/subjects/hold', why)).json.hold.reason, 'a request');
  assert.equal((await call('era', 'POST', '/api/v1/subjects/erase', why)).status >= 400, true, 'she is held');
  const exported = await call('rea', 'POST', '/api/v1/subjects/export', why);
  assert.equal(exported.status, 200, exported.text);
  const lines = exported.text.trim().split('\n');
  assert.ok(exported.text.includes('you said: hello'));
  const receipt = JSON.parse(lines.pop());
  assert.equal(receipt.type, 'receipt');
  const digest = createHash('sha256').update(lines.join('\n') + '\n').digest('hex');
  assert.ok(receipt.note.includes(`\nsha256 ${digest}\n`), receipt.note);
  assert.equal((await call('era', 'POST', '/api/v1/subjects/release', why)).json.hold, null);
  const report = await call('aud', 'POST', '/api/v1/reports/subject', { name: ALICE });
  assert.equal(report.status, 200, report.text);
  assert.equal(report.json.person.who_read_it.filter((e) => e.who === 'rea').length > 0, true);
  const erased = await call('era', 'POST', '/api/v1/subjects/erase', why);
  assert.equal(erased.status, 200, erased.text);
  assert.match(erased.json.note, /receipt\/erasure/);
  assert.equal((await call('era', 'POST', '/api/v1/subjects/find', { name: ALICE })).status, 404);
});

test('reports are for auditors and admins', async () => {
  const r = await call('aud', 'POST', '/api/v1/reports/records');
  assert.equal(r.status, 200, r.text);
  assert.equal(r.json.measures.in_force.ledger_verified.result, 'clean');
  for (const who of ['ana', 'rea', 'era']) assert.equal((await call(who, 'POST', '/api/v1/reports/records')).status, 403, who);
  assert.equal((await call('aud', 'POST', '/api/v1/reports/breach', { since: 'yesterday' })).status, 400);
});

test('who is no admin does nothing to keys, and what is not understood is refused and says how it is right', async () => {
  for (const who of ['ana', 'aud', 'rea', 'era'])
    for (const [method, path, body] of [['GET', '/api/v1/keys'], ['GET', '/api/v1/projects'], ['POST', '/api/v1/keys', {}],
      ['POST', '/api/v1/projects', { project: 'x' }], ['DELETE', `/api/v1/keys/${house.key.split('-')[1] ?? 'x'}`]])
      assert.ok([403, 400, 404].includes((await call(who, method, path, body)).status), `${who} ${method} ${path}`);
  assert.ok(!(await house.cli('key', 'list', '--projects', '--json', '--dir', house.dir)).includes('"x"'));
  const refused = async (body, status, text, more) => {
    const r = await call('adm', 'POST', '/api/v1/keys', body, more);
    assert.equal(r.status, status, r.text);
    assert.match(r.json.error.message, text);
  };
  await refused({ projekt: 'x' }, 400, /no field projekt here, but: project expires models limits/);
  await refused({ project: '--dir=/tmp' }, 400, /no name for a project/);
  await refused({ project: 'a\u0000b' }, 400, /has to be a JSON object/);
  await refused({ limits: { rpm: 3 } }, 400, /may have requests_per_minute/);
  await refused({ limits: { requests_per_minute: 'many' } }, 400, /rpm must be a number/);
  await refused({ expires: 'some day' }, 400, /30d, 12h/);
  await refused('{"project":"x"}', 415, /application\/json/, { 'content-type': 'text/plain' });
  await refused('{"project":"x"}', 415, /application\/json/, { 'content-type': 'application/jsonp' });
  await refused(`{"project":"${'x'.repeat(2 ** 20)}"}`, 400, /at most 63/).catch(() => refused(`{"project":"${'x'.repeat(1e5)}"}`, 400, /at most 63/));
  assert.equal((await call('adm', 'GET', '/api/v1/keys?project=x')).status, 400);
  assert.equal((await call('adm', 'PUT', '/api/v1/keys', {})).status, 405);
  assert.equal((await call('era', 'POST', '/api/v1/subjects/find', { name: '--key' })).status, 404, 'a name, and no option');
});

test('another site has no say: no cookie counts, and what a page of it can send is refused', async () => {
  assert.equal((await call(null, 'GET', '/api/v1/whoami', undefined, { cookie: `session=${tokens.adm}; authorization=Bearer ${tokens.adm}` })).status, 401);
  for (const site of ['cross-site', 'same-site']) {
    assert.equal((await call('adm', 'POST', '/api/v1/keys', {}, { 'sec-fetch-site': site })).status, 403, site);
    const r = await fetch(`${url}/?query=SELECT+1`, { headers: { authorization: `Bearer ${tokens.ana}`, 'sec-fetch-site': site } });
    assert.equal(r.status, 403);
  }
  assert.equal((await call('adm', 'POST', '/api/v1/keys', {}, { origin: 'https://evil.example' })).status, 403);
  assert.equal((await call('adm', 'POST', '/api/v1/keys', {}, { origin: url, 'sec-fetch-site': 'same-origin' })).status, 201);
});

test('a locked vault knows nobody, and more commands than there are places are asked to wait', async () => {
  const all = await Promise.all(Array.from({ length: 30 }, () => call('adm', 'GET', '/api/v1/keys')));
  for (const r of all) assert.ok(r.status === 200 || r.status === 429, r.text);
  assert.ok(all.some((r) => r.status === 200));
  await until(async () => (await call('adm', 'GET', '/api/v1/keys')).status === 200, 'places');
  await house.cli('lock', '--dir', house.dir);
  assert.ok([401, 503].includes((await call('adm', 'GET', '/api/v1/keys')).status));
});
