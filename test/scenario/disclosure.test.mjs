// Reports from outside: security.txt, the form, what becomes of a report whichever program dies, who may
// read it, and a start that refuses a security.txt that nobody may rely on.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Installation, until } from './lib/installation.mjs';
import { readLeaf } from './lib/tlog.mjs';
import { readFile } from 'node:fs/promises';

const run = promisify(execFile);
const OPENED = 2, REPORT = 14, ANSWERED = 17;
const FORM = 'application/x-www-form-urlencoded';
let house;

const inbox = (...args) => house.cliResult('inbox', ...args, '--dir', house.dir);
const waiting = async (...more) => (await inbox('list', '--json', ...more)).stdout.split('\n').filter(Boolean).map((l) => JSON.parse(l));
const post = (body, type = FORM, more = {}) =>
  fetch(`${house.gateway}/report`, { method: 'POST', body, headers: { 'content-type': type, ...more } });
const kept = (number) => until(async () => (await waiting('--all')).some((r) => r.number === number), `report ${number}`);
// The address's budget of reports comes back one in ten seconds, so each test has a gateway of its own.
async function restart(change = {}) {
  await house.stop();
  Object.assign(house.options, change);
  await house.up();
}

test.before(async () => { house = await Installation.start({ config: 'gateway: {workers: 2}\n' }); });
test.after(async () => { await house?.destroy(); });

// Leaves of the ledger, by the tiles that it exports.
async function leaves() {
  const out = join(house.home, `tiles${Date.now()}`);
  assert.equal((await house.cliResult('ledger', 'export', out, '--dir', house.dir)).code, 0);
  const { stdout } = await run('sh', ['-c', `find ${out}/tile/entries -type f | sort`]);
  const list = [];
  for (const file of stdout.trim().split('\n')) {
    const b = await readFile(file);
    for (let at = 0; at < b.length; at += 2 + b.readUInt16BE(at)) list.push(readLeaf(b.subarray(at + 2, at + 2 + b.readUInt16BE(at))));
  }
  return list;
}

test('security.txt says whom to write to, and never expires while it is served', async () => {
  const r = await fetch(`${house.gateway}/.well-known/security.txt`);
  assert.equal(r.status, 200);
  assert.match(r.headers.get('content-type'), /^text\/plain; charset=utf-8/);
  const text = await r.text();
  assert.match(text, new RegExp(`^Contact: ${house.gateway}/report$`, 'm'));
  const [, expires] = text.match(/^Expires: (.*)$/m);
  const days = (new Date(expires) - Date.now()) / 86400e3;
  assert.ok(days > 30 && days < 365, expires);
  // a name that is none is not repeated
  const odd = await run('curl', ['-s', '-H', 'Host: a"b<c>', `${house.gateway}/.well-known/security.txt`]);
  assert.doesNotMatch(odd.stdout, /[<"]/);
  assert.equal((await fetch(`${house.gateway}/.well-known/security.txt`, { method: 'POST' })).status, 405);
});

test('the form needs no script, and loads, runs and frames nothing', async () => {
  const r = await fetch(`${house.gateway}/report`);
  assert.match(r.headers.get('content-security-policy'), /default-src 'none'.*frame-ancestors 'none'/);
  const page = await r.text();
  assert.match(page, /<form method="post" action="\/report"/);
  assert.doesNotMatch(page, /<script|https?:\/\//);
});

test('a report: acknowledged at once, sealed, in the ledger, read for a reason, answered', async () => {
  const text = 'port 9000 of report-canary\u001b[2J stands open\r\n\u009b31m';
  const r = await post(new URLSearchParams({ report: text, contact: 'finder@example.org' }).toString());
  assert.equal(r.status, 201);
  const [, number] = (await r.text()).match(/<strong>([0-9a-f]{16})<\/strong>/);
  const json = await post('{"what": "report-canary, too"}', 'application/json');
  assert.match((await json.json()).number, /^[0-9a-f]{16}$/);
  await kept(number);
  assert.equal((await waiting()).length, 2);

  assert.equal((await inbox('show', number)).code, 2);
  const shown = await inbox('show', number, '--reason', 'it came');
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, /port 9000 of report-canary\.\[2J stands open/);
  assert.match(shown.stdout, /finder@example\.org/);
  assert.doesNotMatch(shown.stdout, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
  const raw = JSON.parse((await inbox('show', number, '--reason', 'it came', '--json')).stdout);
  const body = Buffer.from(raw.base64, 'base64');
  assert.equal(new URLSearchParams(body.toString()).get('report'), text);
  assert.equal(raw.content_type, FORM);

  const answer = await inbox('answer', number, '--reason', 'the port is closed');
  assert.equal(answer.code, 0, answer.stderr);
  assert.equal((await inbox('answer', number, '--reason', 'again')).code === 0, false);
  assert.deepEqual((await waiting()).length, 1);
  assert.ok((await waiting('--all')).find((x) => x.number === number).answered_us > 0);

  const all = await leaves();
  const hash = createHash('sha256').update(body).digest('hex');
  const of = (kind) => all.filter((l) => l.kind === kind);
  assert.equal(of(REPORT).length, 2);
  assert.ok(of(REPORT).some((l) => l.fields.toString('hex') === hash));
  assert.equal(of(OPENED).length, 2);
  assert.deepEqual(of(ANSWERED).map((l) => l.fields.toString('hex')), [hash]);
  assert.equal((await house.cliResult('verify', '--dir', house.dir)).code, 0);
  await assert.rejects(run('grep', ['-rqa', '-e', 'report-canary', '-e', 'the port is closed', house.dir]), { code: 1 });
});

test('what waits shows: status, metrics', async () => {
  const status = await house.status();
  assert.equal(status.reports.waiting, 1);
  assert.match((await house.cliResult('status', '--dir', house.dir)).stdout, /! 1 reports from outside wait/);
  assert.match(await (await fetch(`${house.gateway}/metrics`)).text(), /^safehouse_reports_waiting 1$/m);
});

test('limits: what is empty, large, another method, too often', async () => {
  await restart();
  assert.equal((await post('')).status, 400);
  assert.equal((await post('x'.repeat(40000))).status, 413);
  assert.equal((await fetch(`${house.gateway}/report`, { method: 'PUT', body: 'x' })).status, 405);
  const before = (await waiting('--all')).length;
  const given = [];
  for (let i = 0; i < 12; i++) given.push((await post('report=x')).status);
  assert.ok(given.includes(429), given.join());
  const taken = given.filter((s) => s === 201).length;
  assert.ok(taken >= 2 && taken <= 6, given.join());
  await until(async () => (await waiting('--all')).length === before + taken, 'those that were taken, and no other');
  assert.equal((await fetch(`${house.gateway}/report`)).status, 200);
});

test('no report is lost: sealer and vault die, the vault is locked, an orderly stop', async () => {
  await restart();
  const numberOf = async (r) => { assert.equal(r.status, 201); return (await r.json()).number; };
  const send = async (text) => numberOf(await post(JSON.stringify({ text }), 'application/json'));
  const sealer = await house.pid('sealer'), vault = await house.pid('vault');
  process.kill(sealer, 'SIGSTOP');
  const one = await send('while the sealer hangs');
  process.kill(sealer, 'SIGKILL');
  await kept(one);
  process.kill(vault, 'SIGSTOP');
  const two = await send('while the vault hangs');
  process.kill(vault, 'SIGKILL');
  await until(async () => (await house.status()).vault?.locked === false, 'the vault again');
  await kept(two);
  const three = await send('right before the stop');
  await restart({ locked: true });
  const four = await send('while it is locked');
  await restart({ locked: false });
  await kept(three);
  await kept(four);
  const all = (await waiting('--all')).map((r) => r.number);
  assert.equal(new Set(all).size, all.length);
  const shown = JSON.parse((await inbox('show', four, '--reason', 'a test', '--json')).stdout);
  assert.deepEqual(JSON.parse(Buffer.from(shown.base64, 'base64')), { text: 'while it is locked' });
});

test('who may: a reader of one project does not, an auditor lists', async () => {
  const file = (n) => join(house.home, n);
  await writeFile(file('pw'), 'a long enough password\n', { mode: 0o600 });
  const as = (name, ...args) => house.cliResult(...args, '--dir', house.dir, ...(name ? ['--token-file', file(name)] : []));
  const ok = (r) => assert.equal(r.code, 0, r.stderr);
  for (const [name, ...role] of [['aud', 'auditor'], ['red', 'reader', '--project', 'red'], ['all', 'reader']]) {
    ok(await as(null, 'person', 'add', name, '--password-file', file('pw')));
    const r = await as(null, 'person', 'grant', name, '--role', role[0], ...role.slice(1));
    if (r.code === 3) assert.match(r.stderr, /approve/);
    else ok(r);
    ok(await as(name, 'signin', name, '--password-file', file('pw')));
  }
  const [{ number }] = await waiting();
  const list = await as('aud', 'inbox', 'list', '--json');
  ok(list);
  assert.ok(list.stdout.includes(number));
  assert.notEqual((await as('aud', 'inbox', 'show', number, '--reason', 'x')).code, 0);
  const red = await as('red', 'inbox', 'show', number, '--reason', 'x');
  assert.notEqual(red.code, 0);
  assert.doesNotMatch(red.stdout, /report /);
});

test('a security.txt that nobody may rely on is not served: the start says what to mend', async () => {
  const check = async (yaml) => {
    await writeFile(join(house.home, 'c.yaml'), yaml);
    return house.cliResult('config', 'check', join(house.home, 'c.yaml'));
  };
  const cases = [
    ['reports: {expires: 2020-01-01T00:00:00Z}', /expired.*renew "expires"/],
    ['reports: {expires: tomorrow}', /must be a time/],
    ['reports: {contact: [security@example.org]}', /mailto:/],
    ['reports: {contact: ["http://example.org"]}', /no contact/],
    ['reports: {policy: "https://a b"}', /"policy" must be a URL/],
    ['reports: {languages: "en\\nContact: x"}', /languages/],
  ];
  for (const [yaml, why] of cases) {
    const r = await check(yaml + '\n');
    assert.equal(r.code, 2, yaml);
    assert.match(r.stderr, why);
  }
  await house.stop();
  const txt = join(house.home, 'security.txt');
  const signed = (body) => `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n${body}-----BEGIN PGP SIGNATURE-----\n\niQ\\"$x+/=\n-----END PGP SIGNATURE-----\n`;
  for (const [text, why] of [
    ['Expires: 2099-01-01T00:00:00Z\n', /no Contact/], ['Contact: mailto:a@b.c\n', /no Expires/],
    [signed('Contact: mailto:a@b.c\nExpires: 2020-01-01T00:00:00Z\n'), /has expired.*sign it anew/s],
  ]) {
    await writeFile(txt, text);
    house.options.config = `reports: {file: ${txt}}\n`;
    await assert.rejects(house.up(), why);
  }
  const text = signed('Contact: mailto:security@example.org\nExpires: 2099-01-01T00:00:00Z\n');
  await writeFile(txt, text.replaceAll('\n', '\r\n'));
  await house.up();
  assert.equal(await (await fetch(`${house.gateway}/.well-known/security.txt`)).text(), text);
  await restart({ config: 'reports: {contact: ["mailto:security@example.org"], languages: "en, zh", policy: "https://example.org/p"}\n' });
  const own = await (await fetch(`${house.gateway}/.well-known/security.txt`)).text();
  assert.match(own, /^Contact: mailto:security@example\.org\nContact: http/);
  assert.match(own, /^Preferred-Languages: en, zh\nPolicy: https:\/\/example\.org\/p$/m);
  await restart({ config: 'reports: {enabled: false}\n' });
  assert.notEqual((await fetch(`${house.gateway}/.well-known/security.txt`)).status, 200);
  assert.notEqual((await fetch(`${house.gateway}/report`)).status, 200);
});
