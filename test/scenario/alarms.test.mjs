// Planted conversations: looking like all others, and whoever opens one is told of within a second, by every way
// there is, after the ledger has it; a webhook that is slow or down holds up nobody and hears of it later.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createServer } from 'node:http';
import https from 'node:https';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BIN, Installation, until } from './lib/installation.mjs';
import { Upstream, completion } from './lib/upstream.mjs';

const CANARY = 'uma.delacroix';
const heard = []; // of the webhook: {at, body}
let answer = 204, held = [], hook, url, upstream, house, planted, other;

test.before(async () => {
  upstream = await Upstream.start();
  upstream.answer = (x) => x.json(completion('it is what it is'));
  hook = createServer(async (req, res) => {
    let body = '';
    for await (const piece of req) body += piece;
    heard.push({ at: performance.now(), body: JSON.parse(body), path: req.url, type: req.headers['content-type'] });
    if (answer === 'never') held.push(res);
    else res.writeHead(answer).end();
  });
  await new Promise((go) => hook.listen(0, '127.0.0.1', go));
  url = `http://127.0.0.1:${hook.address().port}/a-secret-in-the-path`;
  house = await Installation.start({ upstream: upstream.url, env: { XDG_RUNTIME_DIR: '' } });
  const file = join(house.home, 'webhook');
  await writeFile(file, url + '\n', { mode: 0o600 });
  await house.stop();
  house.options.config = `alarms: {webhook_file: ${file}}\n`;
  await house.up();
});
test.after(async () => {
  for (const res of held) res.destroy();
  await house?.destroy();
  await upstream?.stop();
  hook?.closeAllConnections();
  hook?.close();
});

async function say(user, content) {
  const r = await fetch(`${house.gateway}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o-mini', user, messages: [{ role: 'user', content }] }),
  });
  const id = r.headers.get('x-safehouse-id');
  await r.text();
  await house.stored(id);
  return id;
}
const canary = (...words) => house.cliResult('canary', ...words, '--dir', house.dir);
const show = (id) => house.cliResult('show', id, '--dir', house.dir, '--reason', 'curious');
const breach = async () => JSON.parse(await house.cli('report', 'breach', '--since', '1h', '--quick', '--json', '--dir', house.dir));
const opened = async () => (await breach()).alarms_of_canaries;
const entries = async () => (await house.status()).vault.entries;

test('a canary is planted, and looks like everybody', async () => {
  let r = await canary('plant', CANARY, '--project', 'default');
  assert.equal(r.code, 0, r.stderr);
  assert.equal((await canary('plant', CANARY, '--project', 'default')).code, 2, 'once');
  assert.match((await canary('list')).stdout, /uma\.delacroix, project default.*has not spoken yet/);
  planted = await say(CANARY, 'the numbers of the third quarter');
  other = await say('eva.delacroix', 'the numbers of the third quarter');
  assert.deepEqual(JSON.parse((await canary('list', '--json')).stdout).spoke, true);
  const ids = { planted, other };
  const rows = {};
  for (const [name, id] of Object.entries(ids)) {
    [rows[name]] = await house.rows(`SELECT * FROM interactions WHERE id = '${id}'`);
    [rows[name].turn] = await house.rows(`SELECT length(envelope) AS bytes, dialect, kept FROM turns WHERE id = '${id}'`);
  }
  for (const one of ['id', 'time', 'subject', 'conversation', 'ttft_us', 'duration_us', 'overhead_us', 'worker_sequence',
    'worker_epoch', 'batch', 'index'])
    delete rows.planted[one], delete rows.other[one];
  assert.deepEqual(rows.planted, rows.other, 'nothing else tells them apart');
  const vault = (await house.status()).vault;
  assert.ok(!JSON.stringify(vault).match(/canar|delacroix/));
  const db = await readFile(join(house.dir, 'vault', 'vault.db'));
  assert.ok(!db.includes(CANARY));
});

test('opening it: the ledger first, then log, metric, status and webhook, within a second', async () => {
  assert.equal((await show(other)).code, 0);
  assert.equal(heard.length, 0, 'no alarm for anybody else');
  const before = await entries();
  const r = await show(planted);
  assert.equal(r.code, 0, 'whoever asks sees nothing of it');
  const shown = performance.now();
  assert.match(r.stdout, /third quarter/);
  assert.doesNotMatch(r.stderr, /canary|alarm/);
  await until(() => heard.length, 'the webhook', 5000);
  assert.ok(heard[0].at - shown < 1000, `${heard[0].at - shown} ms after it was shown`);
  const { body, path, type } = heard[0];
  assert.equal(path, '/a-secret-in-the-path');
  assert.equal(type, 'application/json');
  assert.deepEqual([body.type, body.cells, body.alarms, body.uid], ['canary-alarm', 1, 1, process.getuid()]);
  assert.ok(!JSON.stringify(body).includes('delacroix'), 'not whose it was');
  assert.ok(body.entry >= before);
  const [alarm] = await opened();
  assert.equal(alarm.entry, body.entry, 'the ledger has it');
  assert.equal(alarm.reason, 'curious');
  const { alarms } = await house.status();
  assert.deepEqual([alarms.canaries_opened, alarms.waiting, alarms.webhook], [1, 0, 'ok']);
  assert.match(await (await fetch(`${house.gateway}/metrics`)).text(), /^safehouse_alarms_total 1$/m);
  assert.match(house.stderr, /canary-opened/);
  assert.match((await house.cliResult('status', '--dir', house.dir)).stdout, /planted conversations were opened, 1 times/);
  for (const text of [house.stderr, house.stdout]) assert.ok(!text.includes('a-secret-in-the-path'));
});

test('a webhook that never answers, or refuses, holds up no opening and hears of it later', async () => {
  answer = 'never';
  heard.length = 0;
  for (let i = 0; i < 3; i++) {
    const at = performance.now();
    assert.equal((await show(planted)).code, 0);
    assert.ok(performance.now() - at < 5000);
  }
  await until(() => heard.length, 'the webhook');
  answer = 500;
  for (const res of held.splice(0)) res.destroy();
  await until(async () => (await house.status()).alarms.webhook === 'failing', 'it fails');
  assert.match((await house.cliResult('status', '--dir', house.dir)).stdout, /webhook does not take the alarms/);
  answer = 204;
  await until(async () => (await house.status()).alarms.waiting === 0, 'it takes them');
  assert.equal((await house.status()).alarms.canaries_opened, 4);
  assert.ok(heard.at(-1).body.alarms >= 1);
  assert.equal((await opened()).length, 4);
});

test('a lock and a death of the vault forget no canary; removed it is one no more', async () => {
  await house.cli('lock', '--dir', house.dir);
  const later = await say(CANARY, 'said while it was locked');
  await house.cli('unlock', '--dir', house.dir, '--passphrase-file', house.passphraseFile);
  await until(async () => (await show(later)).code === 0, 'persons are joined');
  assert.equal((await house.status()).alarms.canaries_opened, 5, 'also what it said meanwhile');
  const pid = await house.pid('vault');
  process.kill(pid, 'SIGKILL');
  await until(async () => {
    const s = await house.status();
    return s.vault && s.vault.locked === false && (await house.pid('vault')) !== pid;
  }, 'the vault again', 30000);
  await until(async () => (await show(planted)).code === 0, 'it opens');
  assert.equal((await house.status()).alarms.canaries_opened, 6);
  assert.equal((await canary('remove', CANARY, '--project', 'default')).code, 0);
  assert.equal((await canary('remove', CANARY, '--project', 'default')).code, 2);
  assert.equal((await canary('list')).stdout, '');
  assert.equal((await show(planted)).code, 0);
  assert.equal((await house.status()).alarms.canaries_opened, 6);
  assert.equal((await opened()).length, 6, 'as many as the ledger has');
});

test('which configuration is in force is in the ledger: at the start, and when it changes', async () => {
  const noted = async () => (await breach()).configuration_and_keys.filter((e) => e.kind === 'configuration');
  const before = await noted();
  assert.equal(before.length, 2, 'without and with the webhook; the vault\'s second start adds none');
  assert.notEqual(before[0].sha256, before[1].sha256);
  assert.equal((await house.cliResult('reload', '--dir', house.dir)).code, 0);
  assert.equal((await noted()).length, 2, 'nothing changed');
  await writeFile(join(house.home, 'safehouse.yaml'), `${house.options.config}retention: {content_days: 90}\n`);
  assert.equal((await house.cliResult('reload', '--dir', house.dir)).code, 0);
  await until(async () => (await noted()).length === 3, 'noted');
  assert.equal((await noted())[2].who, `unix user ${process.getuid()}`);
});

test('whoever posts an alarm is confined first, whatever becomes of the post', async () => {
  const program = join(BIN, 'safehouse'), trace = join(house.home, 'trace');
  const post = (url, ...before) => {
    const [file, ...args] = [...before, program, 'post-alarm'];
    const p = spawn(file, args, { stdio: ['pipe', 'ignore', 'ignore'], env: { PATH: process.env.PATH } });
    p.stdin.end(`${url}\n{"event":"test"}`);
    return new Promise((go) => p.on('exit', (code, signal) => go([code, signal])));
  };
  answer = 204;
  assert.deepEqual(await post(url, 'strace', '-f', '-qq', '-o', trace, '-e', 'trace=landlock_add_rule,landlock_restrict_self,seccomp,socket,connect'), [0, null]);
  assert.equal(heard.at(-1).body.event, 'test');
  const calls = (await readFile(trace, 'utf8')).split('\n');
  const first = (call) => calls.findIndex((line) => line.includes(call));
  assert.match(calls[first('landlock_restrict_self(')], /= 0$/);
  assert.match(calls[first('seccomp(')], /SECCOMP_SET_MODE_FILTER.* = 0$/);
  assert.ok(first('landlock_restrict_self(') < first('seccomp(') && first('seccomp(') < first('socket('), 'before it speaks to anybody');
  assert.ok(!calls.some((line) => /landlock_add_rule.*WRITE_FILE/.test(line)), 'it may write nowhere');
  // A name that has to be asked for, one that is not there, and a certificate that nobody vouches for.
  assert.deepEqual(await post(url.replace('127.0.0.1', 'localhost')), [0, null]);
  assert.deepEqual(await post('http://no-such-host.invalid/'), [3, null]);
  const [key, cert] = ['key', 'cert'].map((name) => join(house.home, `${name}.pem`));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost'], { stdio: 'ignore' });
  const server = https.createServer({ key: await readFile(key), cert: await readFile(cert) }, (req, res) => res.end());
  let refused = 0;
  server.on('tlsClientError', () => refused++);
  await new Promise((go) => server.listen(0, '127.0.0.1', go));
  assert.deepEqual(await post(`https://localhost:${server.address().port}/`), [3, null]);
  assert.equal(refused, 1, 'after a look at its certificate');
  server.close();
});
