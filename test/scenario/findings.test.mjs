// Nothing secret is stored: planted secrets, however they came, are in nothing that is kept, not even
// in what is opened with the passphrase; what stands in their place is stable, counted and found again.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { open, readFile, readdir, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Installation, BIN, until } from './lib/installation.mjs';
import { ask } from './lib/client.mjs';
import { Upstream, completion, chunk, event } from './lib/upstream.mjs';

// Random, in the alphabet of each form; no two tests share one.
const pick = (alphabet, n) => Array.from(randomBytes(n), (b) => alphabet[b % alphabet.length]).join('');
const ALNUM = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const b64url = (v) => Buffer.from(JSON.stringify(v)).toString('base64url');
const make = {
  'aws-access-key': () => 'AKIA' + pick('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 16),
  'github-fine-grained-pat': () => 'github_pat_' + pick(ALNUM, 22) + '_' + pick(ALNUM, 59),
  'openai-project-key': () => 'sk-proj-' + pick(ALNUM, 74) + 'T3BlbkFJ' + pick(ALNUM, 74),
  'deepseek-key': () => 'sk-' + pick('0123456789abcdef', 32),
  jwt: () => `${b64url({ alg: 'HS256', typ: 'JWT' })}.${b64url({ sub: pick('0123456789', 9), iat: 1700000000 })}.${randomBytes(32).toString('base64url')}`,
  'private-key': () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    .export({ type: 'pkcs8', format: 'pem' }).trim(),
};
const CLASSES = Object.keys(make);

// Every text of 12 bytes of a value's random part that must not be found, also inside of JSON.
const planted = [];
function plant(name) {
  const value = make[name]();
  planted.push(value);
  return value;
}
function assertClean(text, what) {
  const bytes = Buffer.isBuffer(text) ? text.toString('latin1') : text;
  for (const value of planted)
    for (const part of value.replace(/-----[A-Z ]*-----/g, '').split(/\s+/).filter((p) => p.length >= 16))
      for (let i = part.startsWith('eyJ') ? part.lastIndexOf('.') + 1 : 8; i + 12 <= part.length; i += 4)
        assert.ok(!bytes.includes(part.slice(i, i + 12)), `${what}: part of a secret`);
}
const PLACEHOLDER = /\[\[secret:([a-z0-9-]+):k(\d+):([A-Z2-7]{26})\]\]/g;
const placeholders = (text) => [...text.matchAll(PLACEHOLDER)].map((m) => ({ text: m[0], class: m[1], key: Number(m[2]), tag: m[3] }));

let upstream, house;
test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ config: `
providers:
  all: {dialect: openai, url: '${upstream.url}', eject_after: 0}
log:
  session_id: {header: x-session}
  trace_id: {header: x-trace}
  tags: {team: {header: x-team}, ticket: {metadata: ticket}}
detect: {enabled: true}
` });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

async function rowOf(id) {
  await house.stored(id);
  return (await house.rows(`SELECT * FROM interactions WHERE id = '${id}'`))[0];
}
async function exchange(body, headers = {}) {
  const r = await ask(house.gateway, house.key, '/v1/chat/completions', { model: 'gpt-4o-mini', ...body }, { headers });
  assert.equal(r.status, 200);
  return { ...r, row: await rowOf(r.id) };
}
// They go into the store after the interaction that counts them.
const findings = (id) => until(async () => {
  const [{ n }] = await house.rows(`SELECT findings AS n FROM interactions WHERE id = '${id}'`);
  const rows = await house.rows(`SELECT * FROM findings WHERE interaction = '${id}' ORDER BY index`);
  return rows.reduce((sum, r) => sum + r.count, 0) === n && rows;
}, 'the findings');
const user = (content) => [{ role: 'user', content }];

function secretFind(value, ...more) {
  if (!more.length) more = ['--json'];
  return new Promise((done) => {
    const p = spawn(join(BIN, 'safehouse'), ['secret', 'find', '--dir', house.dir, ...more]);
    let stdout = '', stderr = '';
    p.stdout.on('data', (d) => { stdout += d; });
    p.stderr.on('data', (d) => { stderr += d; });
    p.on('close', (code) => done({ code, stdout, stderr,
      get rows() { return stdout.split('\n').filter(Boolean).map((l) => JSON.parse(l)); } }));
    p.stdin.end(`${value}\n`);
  });
}

const seen = {};
test('a secret of each class in a prompt and an answer', async () => {
  for (const name of CLASSES) {
    const asked = plant(name), answered = plant(name);
    upstream.answer = (x) => x.json(completion(`take ${answered} then`));
    const { row, text } = await exchange({ messages: user(`use ${asked} please`) });
    assert.ok(text.includes(JSON.stringify(answered).slice(1, -1)), 'the client gets what was answered');
    const shown = await house.show(row.id);
    const [before] = placeholders(JSON.stringify(shown.request));
    const [after] = placeholders(JSON.stringify(shown.response));
    assert.equal(before.class, name);
    assert.equal(after.class, name);
    assert.notEqual(before.tag, after.tag);
    assert.equal(shown.request.messages[0].content, `use ${before.text} please`);
    assert.equal(shown.response.choices[0].message.content, `take ${after.text} then`);
    assert.equal(row.stored, 'turn');
    assert.equal(row.findings, 2);
    const rows = await findings(row.id);
    assert.deepEqual(rows.map((r) => [r.class, r.place, r.count, r.fingerprint, r.fingerprint_key, r.key, r.subject, r.project]), [
      [name, 'prompt', 1, before.tag, before.key, house.keyId, row.subject, row.project],
      [name, 'answer', 1, after.tag, after.key, house.keyId, row.subject, row.project],
    ]);
    seen[name] = { value: asked, tag: before.tag, id: row.id };
  }
});

test('the same secret has the same placeholder, and a conversation goes on', async () => {
  const value = seen['github-fine-grained-pat'].value;
  upstream.answer = (x) => x.json(completion('noted'));
  const first = await exchange({ messages: user(`remember ${value}`) });
  const history = [...user(`remember ${value}`), { role: 'assistant', content: 'noted' }];
  const next = await exchange({ messages: [...history, ...user(`again ${value} and ${value}`)] });
  assert.equal(next.row.parent, first.row.id, 'matching is by what was sent');
  const shown = await house.show(next.row.id);
  const all = placeholders(JSON.stringify(shown.request));
  assert.equal(all.length, 3);
  for (const p of all) assert.equal(p.tag, seen['github-fine-grained-pat'].tag);
  const [row] = await findings(next.row.id);
  assert.equal(row.count, 2, 'the turn holds what is new');
});

test('streamed answers, split at every byte', async () => {
  for (const name of CLASSES) {
    const value = plant(name);
    const text = `it is ${value} now`;
    upstream.answer = (x) => x.stream([
      event(chunk({ role: 'assistant', content: '' })),
      ...[...text].map((c) => event(chunk({ content: c }))),
      event(chunk({}, { finish: 'stop' })), event('[DONE]'),
    ]);
    const { row } = await exchange({ stream: true, messages: user('stream it') });
    const shown = await house.show(row.id);
    const [p] = placeholders(JSON.stringify(shown.response));
    assert.equal(p.class, name);
    assert.equal(shown.response.choices[0].message.content, `it is ${p.text} now`);
    assert.deepEqual((await findings(row.id)).map((r) => [r.class, r.place]), [[name, 'answer']]);
  }
});

test('tool arguments, results, and JSON in JSON', async () => {
  for (const name of CLASSES) {
    const call = plant(name), result = plant(name), nested = plant(name);
    upstream.answer = (x) => x.stream([
      event(chunk({ role: 'assistant', tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'f', arguments: '' } }] })),
      ...[...JSON.stringify({ command: call })].map((c) => event(chunk({ tool_calls: [{ index: 0, function: { arguments: c } }] }))),
      event(chunk({}, { finish: 'tool_calls' })), event('[DONE]'),
    ]);
    const { row } = await exchange({ stream: true, messages: [
      { role: 'user', content: JSON.stringify({ body: JSON.stringify({ value: nested }) }) },
      { role: 'assistant', content: null, tool_calls: [{ id: 'call_0', type: 'function', function: { name: 'f', arguments: '{}' } }] },
      { role: 'tool', tool_call_id: 'call_0', content: `{"out":${JSON.stringify(result)}}` },
    ] });
    const shown = await house.show(row.id);
    const args = JSON.parse(shown.response.choices[0].message.tool_calls[0].function.arguments);
    assert.match(args.command, /^\[\[secret:[^\]]+\]\]$/);
    const inner = JSON.parse(JSON.parse(shown.request.messages[0].content).body);
    assert.match(inner.value, /^\[\[secret:[^\]]+\]\]$/);
    assert.match(JSON.parse(shown.request.messages[2].content).out, /^\[\[secret:[^\]]+\]\]$/);
    assert.deepEqual((await findings(row.id)).map((r) => [r.class, r.place]),
      [[name, 'prompt'], [name, 'tool'], [name, 'tool']]);
  }
});

test('labels with a secret do not reach a clear column', async () => {
  upstream.answer = (x) => x.json(completion('ok'));
  const session = plant('openai-project-key'), team = plant('github-fine-grained-pat'), ticket = plant('deepseek-key');
  const { row } = await exchange({ messages: user('hi'), metadata: { ticket } },
    { 'x-session': session, 'x-trace': 'trace-1 password=Hunter2!horse', 'x-team': team });
  assert.match(row.session_id, /^\[\[secret:openai-project-key:/);
  assert.ok(!row.trace_id.includes('Hunter2'));
  assert.match(row.tags.team, /^\[\[secret:github-fine-grained-pat:/);
  assert.match(row.tags.ticket, /^\[\[secret:deepseek-key:/);
  const places = (await findings(row.id)).filter((r) => r.place === 'header');
  assert.equal(places.length >= 3, true);
  const plain = await exchange({ messages: user('hi') }, { 'x-session': 's-1', 'x-trace': 'trace-2', 'x-team': 'blue' });
  assert.deepEqual([plain.row.session_id, plain.row.trace_id, plain.row.tags.team, plain.row.findings], ['s-1', 'trace-2', 'blue', 0]);
});

test('personal data stays readable and is recorded without a fingerprint', async () => {
  upstream.answer = (x) => x.json(completion('mailed'));
  const { row } = await exchange({ messages: user('write to ada.lovelace@example.org today') });
  const shown = await house.show(row.id);
  assert.equal(shown.request.messages[0].content, 'write to ada.lovelace@example.org today');
  assert.deepEqual((await findings(row.id)).map((r) => [r.class, r.place, r.fingerprint, r.fingerprint_key]),
    [['email', 'prompt', '', 0]]);
});

test('a guessable secret has a placeholder and no fingerprint in the clear', async () => {
  upstream.answer = (x) => x.json(completion('ok'));
  const { row } = await exchange({ messages: user('the login is password = "Hunter2!horse" on db-7') });
  const shown = await house.show(row.id);
  assert.ok(!JSON.stringify(shown).includes('Hunter2!horse'));
  const rows = await findings(row.id);
  assert.equal(rows.length, 1);
  assert.equal(rows[0].fingerprint, '');
});

test('which keys leaked, how often, through whom', async () => {
  const rows = await house.rows(`SELECT class, fingerprint, sum(count) AS times, uniqExact(interaction) AS interactions,
    groupUniqArray(key) AS keys FROM findings WHERE fingerprint != '' GROUP BY class, fingerprint ORDER BY times DESC, class LIMIT 1`);
  assert.equal(rows[0].fingerprint, seen['github-fine-grained-pat'].tag);
  assert.equal(Number(rows[0].times), 4);
  assert.deepEqual(rows[0].keys, [house.keyId]);
  const joined = await house.rows(`SELECT i.model AS model, f.class AS class FROM findings AS f
    JOIN interactions AS i ON i.id = f.interaction WHERE f.class = 'jwt' LIMIT 1`);
  assert.equal(joined[0].model, 'gpt-4o-mini');
});

test('secret find', async () => {
  for (const name of CLASSES) {
    const r = await secretFind(seen[name].value);
    assert.equal(r.code, 1, `${name}: ${r.stderr}`);
    assert.ok(r.rows.some((x) => x.interaction === seen[name].id && x.key === house.keyId && x.class === name && x.place === 'prompt'), name);
  }
  const text = await secretFind(seen.jwt.value, '--dir', house.dir);
  const lines = text.stdout.split('\n');
  assert.equal(lines[0], 'time\tinteraction\tproject\tkey\tsubject\tclass\tplace\tcount');
  assert.equal(lines[1].split('\t').length, 8);
  assert.ok(!text.stdout.includes(seen.jwt.value));
  const never = await secretFind(make['github-fine-grained-pat']());
  assert.deepEqual([never.code, never.rows], [0, []]);
  assert.equal((await secretFind('')).code, 2);
});

// The ring is a memory file that the supervisor holds: doc/ring.md says where a slot's tries are.
async function raiseTries(tries) {
  const supervisor = house.process.pid;
  for (const fd of await readdir(`/proc/${supervisor}/fd`)) {
    const path = `/proc/${supervisor}/fd/${fd}`;
    if (!(await readlink(path).catch(() => '')).includes('memfd')) continue;
    const file = await open(path, 'r+').catch(() => null);
    if (!file) continue;
    try {
      const head = Buffer.alloc(24);
      await file.read(head, 0, 24, 0);
      if (head.toString('latin1', 0, 8) !== 'shsring2') continue;
      const regions = head.readUInt32LE(16), bytes = Number(head.readBigUInt64LE(8));
      const region = Math.floor((bytes - 4096) / regions / 4096) * 4096;
      const slots = Math.floor(region / 8192), slotsAt = 64 + Math.ceil((4 * slots) / 64) * 64;
      let raised = 0;
      for (let r = 0; r < regions; r++) {
        const states = Buffer.alloc(4 * slots);
        await file.read(states, 0, states.length, 4096 + r * region + 64);
        for (let i = 0; i < slots; i++) {
          if (states.readUInt32LE(4 * i) !== 2) continue;
          const n = Buffer.alloc(4);
          n.writeUInt32LE(tries);
          await file.write(n, 0, 4, 4096 + r * region + slotsAt + 832 * i + 12);
          raised++;
        }
      }
      return raised;
    } finally {
      await file.close();
    }
  }
  return 0;
}

test('an exchange that killed sealers is withheld, and others go on', async () => {
  upstream.answer = (x) => x.json(completion('ok'));
  const one = async (tries) => {
    const sealer = await house.pid('sealer');
    process.kill(sealer, 'SIGSTOP');
    const value = plant('github-fine-grained-pat');
    const r = await ask(house.gateway, house.key, '/v1/chat/completions',
      { model: 'gpt-4o-mini', messages: user(value) }, { headers: { 'x-session': `s-${tries}` } });
    assert.equal(r.status, 200);
    assert.equal(await until(() => raiseTries(tries), 'a slot'), 1);
    process.kill(sealer, 'SIGCONT');
    return rowOf(r.id);
  };
  const again = await one(1);
  assert.deepEqual([again.stored, again.findings, again.session_id], ['turn', 1, 's-1']);
  const enough = await one(2);
  assert.deepEqual([enough.stored, enough.findings, enough.session_id], ['withheld', 0, '']);
  const turns = await house.rows(`SELECT count() AS n FROM turns WHERE id = '${enough.id}'`);
  assert.equal(Number(turns[0].n), 0);
  const after = await exchange({ messages: user('still here') });
  assert.equal(after.row.stored, 'turn');
});

test('a compressed answer cannot be judged, so it is withheld', async () => {
  upstream.answer = (x) => x.json(completion('ok'), 200, { 'content-encoding': 'x-unknown' });
  const { row } = await exchange({ messages: user('hi') });
  assert.equal(row.stored, 'withheld');
});

test('nothing of a secret in anything stored or opened', async () => {
  assert.ok(planted.length > 40);
  for (const table of ['interactions', 'findings', 'data_keys'])
    assertClean(await house.cli('query', '--dir', house.dir, '--format', 'JSONEachRow', `SELECT * FROM ${table}`), table);
  const opened = await house.cli('query', '--dir', house.dir, '--format', 'JSONEachRow', '--open', '--reason', 'test',
    'SELECT id, body FROM turns');
  assert.ok(placeholders(opened).length >= 40);
  assertClean(opened, 'opened turns');
  const files = await new Promise((done, fail) => execFile('find', [house.dir, '-type', 'f'], (e, out) => (e ? fail(e) : done(out))));
  for (const path of files.split('\n').filter(Boolean)) {
    const bytes = await readFile(path).catch((e) => { // the engine merges parts away
      if (e.code !== 'ENOENT') throw e;
    });
    if (bytes) assertClean(bytes, path);
  }
  assertClean(house.stdout + house.stderr, 'output');
});

test('a locked vault lends a key of its own, whose fingerprints are found after the unlock', async () => {
  await house.cli('lock', '--dir', house.dir);
  const sealer = await house.pid('sealer');
  process.kill(sealer, 'SIGKILL');
  await until(async () => (await house.pid('sealer')) !== sealer && (await house.pid('sealer')), 'a new sealer');
  upstream.answer = (x) => x.json(completion('ok'));
  const value = plant('github-fine-grained-pat');
  const { row } = await exchange({ messages: user(value) });
  const [found] = await findings(row.id);
  assert.notEqual(found.fingerprint_key, 1);
  assert.equal((await secretFind(value)).code, 3, 'nothing is said while locked');
  await house.cli('unlock', '--dir', house.dir, '--passphrase-file', house.passphraseFile);
  let times = 0;
  const other = await until(async () => { // the sealer hears of the lasting key a moment later
    const again = await exchange({ messages: user(`${times++}: ${value}`) });
    const [row] = await findings(again.row.id);
    return row.fingerprint_key === 1 && row;
  }, 'the lasting key');
  assert.notEqual(other.fingerprint, found.fingerprint);
  const asked = await secretFind(value);
  assert.equal(asked.code, 1, asked.stderr);
  assert.ok(asked.rows.some((r) => r.interaction === row.id), 'found under the temporary key');
  assert.ok(asked.rows.some((r) => r.interaction === other.interaction), 'and under the lasting one');
});

// The last one that asks: after it nobody is answered for a minute (test/unit/base/test_rate.c has the minute).
test('secret find is answered ten times a minute', async () => {
  let answered = 0, r;
  while ((r = await secretFind('x')).code === 0) answered++;
  assert.ok(answered <= 20, `${answered} answers`); // a minute may begin between two of them
  assert.equal(r.code, 3);
  assert.match(r.stderr, /too many questions/);
});

test('policy by class and project, rules of one\'s own, and a reload', async () => {
  const rules = join(house.home, 'rules.yaml');
  await writeFile(rules, `
- id: badge
  pattern: 'BADGE-[0-9A-F]{32}'
  bits: 128
  match: ['BADGE-0123456789ABCDEF0123456789ABCDEF']
  clean: ['BADGE-0123']
`);
  const config = join(house.home, 'safehouse.yaml');
  const before = (await readFile(config, 'utf8')).replace('detect: {enabled: true}\n', '');
  const check = (text) => writeFile(join(house.home, 'c.yaml'), before + text)
    .then(() => house.cliResult('config', 'check', '--credentials', join(house.home, 'c.yaml')));
  for (const [text, why] of [
    ['detect: {enabled: false, classes: {jwt: block}}', /"block" with "enabled: false" would let everything through/],
    ['detect: {classes: {jwt: hide}}', /must be fingerprint, seal, allow, block or mask/],
    ['detect: {classes: {jwtt: seal}}', /no rule is of the class or family jwtt/],
    ['detect: {mute: [nothing]}', /nothing/],
    ["detect: {rules: '/nowhere'}", /cannot be read/],
  ]) {
    const r = await check(text);
    assert.equal(r.code, 2, text);
    assert.match(r.stderr, why);
  }
  await writeFile(config, `${before}
detect:
  enabled: true
  classes: {email: fingerprint, deepseek-key: seal, jwt: allow}
  projects: {other: {classes: {email: seal}}}
  rules: '${rules}'
  mute: [github-fine-grained-pat]
`);
  const sealer = await house.pid('sealer');
  await house.cli('reload', '--dir', house.dir);
  await until(async () => ![sealer, 0, undefined].includes(await house.pid('sealer')), 'a new sealer');
  upstream.answer = (x) => x.json(completion('ok'));
  const badge = 'BADGE-' + randomBytes(16).toString('hex').toUpperCase();
  const kept = [make['deepseek-key'](), make.jwt(), make['github-fine-grained-pat']()];
  const { row } = await exchange({ messages: user(`ada@example.org | ${kept.join(' | ')} | ${badge}`) });
  const words = (await house.show(row.id)).request.messages[0].content.split(' | ');
  assert.match(words[0], /^\[\[secret:email:/);
  assert.deepEqual(words.slice(1, 4), kept);
  assert.match(words[4], /^\[\[secret:badge:/);
  const found = Object.fromEntries((await findings(row.id)).map((r) => [r.class, r.fingerprint]));
  assert.deepEqual(Object.keys(found).sort(), ['badge', 'deepseek-key', 'email']);
  assert.equal(found.email, '');
  assert.equal(found.badge, placeholders(words[4])[0].tag);
  const other = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--project', 'other', '--json'));
  const r = await ask(house.gateway, other.secret, '/v1/chat/completions', { model: 'gpt-4o-mini', messages: user('ada@example.org') });
  assert.equal(r.status, 200);
  await house.stored(r.id);
  assert.equal((await house.show(r.id)).request.messages[0].content, 'ada@example.org');
});
