// The console's JSON interface: its routes are those of doc/openapi.yaml, each asks who one is, and what one
// may is the vault's word.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Installation, until } from './lib/installation.mjs';
import { check, routes } from './lib/openapi.mjs';

const run = promisify(execFile);

let house, url, token;
const password = `pw-${randomBytes(12).toString('base64url')}`;
const read = (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

test.before(async () => {
  house = await Installation.start({ args: ['--console', '127.0.0.1:0'], env: { XDG_RUNTIME_DIR: '' } });
  url = JSON.parse(await readFile(join(house.dir, 'run', 'ready'), 'utf8')).console;
  const file = join(house.home, 'pw');
  await writeFile(file, password + '\n', { mode: 0o600 });
  const r = await house.cliResult('person', 'add', 'adm', '--role', 'admin', '--password-file', file, '--dir', house.dir);
  assert.equal(r.code, 0, r.stderr);
});
test.after(() => house?.destroy());

async function call(method, path, body, headers = token ? { authorization: `Bearer ${token}` } : {}) {
  const r = await fetch(url + path, { method, headers: { 'content-type': 'application/json', ...headers }, body: body && JSON.stringify(body) });
  const text = await r.text();
  check(method, path, r.status, r.headers.get('content-type'), text);
  return { status: r.status, text, json: text.startsWith('{') ? JSON.parse(text) : null };
}

// "GET /api/v1/people" of each, from the source.
const routed = (source) => [...source.matchAll(/\{"([A-Z]+)", "(\/api\/[^"]+)",/g)].map((m) => `${m[1]} ${m[2]}`).sort();

test('the description has every route, and no other', async () => {
  const want = routes;
  assert.ok(want.length > 25);
  assert.deepEqual(routed(await read('src/proc/console/api.c')), want);
  for (const route of want) {
    const [method, path] = route.split(' ');
    const r = await call(method, path.replace(/\{\w+\}/g, '1'), undefined, {});
    const open = route === 'POST /api/v1/sessions';
    assert.equal(r.status, open ? 400 : 401, `${route}: ${r.text}`);
    assert.match(r.json.error.code, open ? /syntax/ : /unauthenticated/);
  }
  assert.equal((await call('GET', '/api/v1/nothing')).status, 404);
  assert.equal((await call('POST', '/api/v1/whoami')).status, 405);
});

test('one signs in, manages people, and signs out', async () => {
  assert.equal((await call('POST', '/api/v1/sessions', { name: 'adm', password: 'not it, not it' })).status, 401);
  const s = await call('POST', '/api/v1/sessions', { name: 'adm', password });
  assert.equal(s.status, 201, s.text);
  assert.match(s.json.checkpoint, /\n/);
  assert.equal(s.json.name, 'adm');
  token = s.json.session;
  assert.deepEqual((await call('GET', '/api/v1/whoami')).json.roles, ['admin']);
  assert.equal((await call('POST', '/api/v1/people', { name: 'ana', password: 'short' })).status, 400);
  assert.equal((await call('POST', '/api/v1/people', { name: 'ana' })).status, 201);
  assert.equal((await call('POST', '/api/v1/people', { name: 'ana' })).status, 409);
  assert.equal((await call('POST', '/api/v1/people/ana/grants', { role: 'emperor' })).status, 400);
  const analyst = await call('POST', '/api/v1/people/ana/grants', { role: 'analyst', projects: ['sales', 'default'] });
  assert.equal(analyst.status, 201, analyst.text);
  const reader = await call('POST', '/api/v1/people/ana/grants', { role: 'reader', cells_per_hour: 5 });
  assert.equal(reader.status, 202, 'a second admin confirms readers');
  const digest = /needed: ([0-9a-f]{64})/.exec(reader.json.message)[1];
  assert.equal((await call('GET', '/api/v1/approvals')).json.approvals.length, 1);
  assert.equal((await call('POST', `/api/v1/approvals/${digest}`, { approve: true })).status, 403, 'not by who asked');
  assert.equal((await call('POST', `/api/v1/approvals/${digest}`, { approve: false })).status, 204);
  const machine = await call('POST', '/api/v1/people/ana/tokens', { label: 'grafana' });
  assert.match(machine.json.token, /^shm-/);
  const ana = { authorization: `Bearer ${machine.json.token}` };
  assert.equal((await call('GET', '/api/v1/whoami', undefined, ana)).json.name, 'ana');
  assert.equal((await call('GET', '/api/v1/people', undefined, ana)).status, 403);
  assert.equal((await call('GET', '/api/v1/ledger/checkpoint', undefined, ana)).status, 403);
  const { people } = (await call('GET', '/api/v1/people')).json;
  const grant = people.find((p) => p.name === 'ana').grants.find((g) => g.role === 'analyst');
  assert.deepEqual(grant.projects, ['sales', 'default']);
  assert.equal((await call('DELETE', `/api/v1/people/ana/grants/${grant.number}`)).status, 204);
  assert.equal((await call('DELETE', '/api/v1/people/ana/tokens/grafana')).status, 204);
  assert.equal((await call('GET', '/api/v1/whoami', undefined, ana)).status, 401);
  assert.equal((await call('GET', '/api/v1/vault')).json.locked, false);
  const note = await call('GET', '/api/v1/ledger/checkpoint');
  assert.match(note.text, /\n\n\u2014 /);
  assert.equal((await call('DELETE', '/api/v1/people/ana')).status, 204);
  assert.equal((await call('DELETE', '/api/v1/sessions')).status, 204);
  assert.equal((await call('GET', '/api/v1/whoami')).status, 401);
});

test('what is no request is refused', async () => {
  token = undefined;
  const s = await call('POST', '/api/v1/sessions', { name: 'adm', password });
  token = s.json.session;
  for (const [path, body] of [['/api/v1/people', '[]'], ['/api/v1/people', '{"name":"a","name":"b"}'], ['/api/v1/people', '{"name":7}'],
    ['/api/v1/people', '{"name":"a\\u0000b"}'], ['/api/v1/people', `{"name":"${'x'.repeat(100)}"}`], ['/api/v1/people', '{'],
    ['/api/v1/people', '{"name":"No Such Name"}'], [`/api/v1/people/${'x'.repeat(200)}/tokens`, '{"label":"x"}']]) {
    const r = await fetch(url + path, { method: 'POST', body, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } });
    assert.ok(r.status === 400 || r.status === 404, `${body}: ${r.status} ${await r.text()}`);
  }
  assert.equal((await call('GET', '/api/v1/whoami')).status, 200, 'and the session goes on');
});

test('with a certificate the console speaks TLS alone, also after another one was read', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'safehouse-tls-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const make = (name) => run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
    '-keyout', key, '-out', cert, '-days', '2', '-subj', `/CN=${name}`]);
  await make('first');
  const secure = await Installation.start({ args: ['--console', '127.0.0.1:0'], config: `tls: {certificate: ${cert}, key: ${key}}\n` });
  t.after(() => secure.destroy());
  const at = JSON.parse(await readFile(join(secure.dir, 'run', 'ready'), 'utf8')).console;
  assert.match(at, /^https:/);
  const ping = () => new Promise((done) => {
    https.get(`${at}/ping`, { rejectUnauthorized: false, agent: false }, (r) => {
      done({ status: r.statusCode, name: r.socket.getPeerCertificate().subject.CN });
      r.resume();
    }).on('error', () => done({}));
  });
  assert.deepEqual(await ping(), { status: 200, name: 'first' });
  assert.equal((await fetch(at.replace('https', 'http') + '/ping')).status, 400, 'plain HTTP on that port');
  await make('second');
  await secure.cli('reload', '--dir', secure.dir);
  await until(async () => (await ping()).name === 'second', 'the new certificate');
  // Its nginx is kept from files: Landlock needs this flag.
  const front = (await secure.status()).programs.find((p) => p.name === 'front');
  assert.match(await readFile(`/proc/${front.pid}/status`, 'utf8'), /NoNewPrivs:\s+1/);
});
