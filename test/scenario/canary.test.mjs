// 1 000 canaries in prompts, answers, tool arguments, names, headers and keys; afterwards no 12 bytes
// of one, plain, JSON-escaped or in base64, are in any file, output or core where they must not be.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Installation, BIN, until } from './lib/installation.mjs';
import { Upstream, completion, chunk, event } from './lib/upstream.mjs';

const run = promisify(execFile);
const SCAN = process.env.SAFEHOUSE_SCAN ?? join(BIN, '..', 'test', 'tools', 'scan');
const WIDTH = 12;

const canaries = [];
// 27 letters of base64's middle: unique, and the same in JSON. Every fifth is Chinese.
function canary() {
  const c = canaries.length % 5 === 4
    ? Array.from(randomBytes(12), (b) => String.fromCodePoint(0x4e00 + b * 17)).join('')
    : 'C' + randomBytes(20).toString('base64url').replace(/[-_]/g, 'x').slice(0, 26);
  canaries.push(c);
  return c;
}
const escaped = (s) => [...s].map((c) => `\\u${c.codePointAt(0).toString(16).padStart(4, '0')}`).join('');

// All patterns of 12 bytes by which a canary could be recognised.
function patterns() {
  const all = new Set();
  const windows = (buffer) => {
    for (let i = 0; i + WIDTH <= buffer.length; i++) all.add(buffer.subarray(i, i + WIDTH).toString('hex'));
  };
  for (const c of canaries) {
    const plain = Buffer.from(c);
    windows(plain);
    if (!/^[\x20-\x7e]*$/.test(c)) windows(Buffer.from(escaped(c)));
    for (let shift = 0; shift < 3; shift++) {
      // Characters that depend on the canary alone at this alignment.
      const text = Buffer.concat([Buffer.alloc(shift), plain]).toString('base64').replace(/=+$/, '');
      const from = Math.ceil((shift * 8) / 6), to = Math.floor(((shift + plain.length) * 8) / 6);
      windows(Buffer.from(text.slice(from, to)));
      windows(Buffer.from(text.slice(from, to).replace(/\+/g, '-').replace(/\//g, '_')));
    }
  }
  return [...all];
}

let upstream, house, home;
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
test.before(async () => {
  upstream = await Upstream.start();
  upstream.server.keepAliveTimeout = 600000; // idle upstream connections stay open too
  house = await Installation.start({ upstream: upstream.url, env: { CANARY_PROVIDER_KEY: canary() },
    args: ['--upstream-key-env', 'CANARY_PROVIDER_KEY'] });
  canaries.push(house.key.slice(-43));
});
test.after(async () => {
  agent.destroy();
  await house?.destroy();
  await upstream?.stop();
});

function ask(body, headers = {}, key = house.key) {
  return new Promise((done, fail) => {
    const req = http.request(`${house.gateway}/v1/chat/completions`, {
      method: 'POST', agent, headers: { authorization: `Bearer ${key}`, ...headers },
    }, (res) => {
      res.resume();
      res.on('close', () => done(res.statusCode));
    });
    req.on('error', fail);
    req.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
}

async function traffic() {
  upstream.answer = (x) => {
    const answer = canary(), tool = canary(), header = canary();
    if (x.body?.stream) return x.stream([
      event(chunk({ role: 'assistant', content: answer })),
      event(chunk({ tool_calls: [{ index: 0, id: `call_${canary()}`, type: 'function', function: { name: tool, arguments: '' } }] })),
      ...[...`{"x":"${canary()}"}`].map((c) => event(chunk({ tool_calls: [{ index: 0, function: { arguments: c } }] }))),
      event(chunk({}, { finish: 'stop' })), event('[DONE]'),
    ]);
    return x.json(completion(answer, { message: { reasoning_content: tool } }), 200, {
      'x-provider-note': encodeURIComponent(header),
    });
  };
  while (canaries.length < 1000) {
    const text = canary();
    const body = {
      model: canaries.length % 3 ? 'gpt-4o-mini' : canary(),
      stream: canaries.length % 2 === 0,
      user: canary(),
      messages: [
        { role: 'system', content: canary() },
        { role: 'user', name: canary(), content: text },
        { role: 'user', content: Buffer.from(canary()).toString('base64') },
      ],
      tools: [{ type: 'function', function: { name: canary(), parameters: {} } }],
      metadata: { note: canary() },
    };
    const json = JSON.stringify(body).replace(text, escaped(text));
    assert.equal(await ask(json, { 'x-note': encodeURIComponent(canary()), 'openai-organization': `o${randomHeader()}` }), 200);
    assert.equal(await ask(body, {}, `sh-${randomBytes(8).toString('hex').slice(0, 12)}-${randomHeader()}`), 401);
    assert.equal(await ask(`{"broken":"${canary()}"`), 400);
  }
  // A whole answer that the client leaves, and one that the provider cuts.
  upstream.answer = async (x) => {
    await x.stream([event(chunk({ role: 'assistant', content: canary() }))], { end: false });
    x.socket.destroy();
  };
  await ask({ model: 'gpt-4o-mini', stream: true, messages: [{ role: 'user', content: canary() }] }).catch(() => {});
}
function randomHeader() {
  const c = 'H' + randomBytes(32).toString('hex').slice(0, 42);
  canaries.push(c);
  return c;
}

async function filesUnder(dir) {
  const out = [];
  for (const e of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, e.name);
    if (e.isDirectory()) out.push(...(await filesUnder(path)));
    else if (e.isFile()) out.push(path);
  }
  return out;
}

async function hits(files) {
  const list = join(home, 'patterns');
  await writeFile(list, patterns().join('\n') + '\n');
  const found = [];
  for (let i = 0; i < files.length; i += 200)
    await run(SCAN, [list, ...files.slice(i, i + 200)], { maxBuffer: 1 << 26, encoding: 'latin1' })
      .catch((e) => found.push(e.stdout || e.message));
  return found.join('');
}

async function core(pid, name) {
  const path = join(home, `core-${name}`);
  await run('gcore', ['-o', path, String(pid)]);
  return `${path}.${pid}`;
}

async function children(pid) {
  const kids = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return kids.trim().split(' ').filter(Boolean).map(Number);
}

test('the scanner finds what is there', async () => {
  home = house.home;
  const c = canary();
  const path = join(home, 'control');
  await writeFile(path, `xx${Buffer.from(`a${c}`).toString('base64')}yy`);
  assert.match(await hits([path]), /control/);
  await writeFile(path, `xx${c.slice(3, 16)}yy`);
  assert.match(await hits([path]), /control/);
  await writeFile(path, 'nothing here');
  assert.equal(await hits([path]), '');
});

test('no canary where it must not be', { timeout: 300000 }, async () => {
  await traffic();
  assert.ok(canaries.length >= 1000);
  await house.stored((await upstream.requests.length));
  // One second after the last exchange nothing of it may be in memory.
  const end = Date.now() + 1100;
  await until(() => Date.now() > end, 'a second');

  const gateway = await house.pid('gateway');
  const cores = [];
  for (const [name, pid] of [['store', await house.pid('store')], ['vault', await house.pid('vault')],
    ['sealer', await house.pid('sealer')], ...(await children(gateway)).map((p, i) => [`worker${i}`, p])])
    cores.push([name, await core(pid, name)]);
  await writeFile(join(home, 'stdout'), house.stdout);
  await writeFile(join(home, 'stderr'), house.stderr);

  assert.equal(await hits([join(home, 'stdout'), join(home, 'stderr')]), '', 'outputs');
  assert.equal(await hits(await filesUnder(house.dir)), '', 'files under the data folder');
  for (const [name, path] of cores) assert.equal(await hits([path]), '', `core of ${name}`);
});
