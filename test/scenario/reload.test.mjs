// The configuration read again while everything runs: no stream is cut, new routes are in force within
// a second, a configuration that cannot be put into force changes nothing, and what keys used outlives
// workers and restarts.
import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { writeFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Installation, until } from './lib/installation.mjs';
import { Upstream, chunk, completion, event } from './lib/upstream.mjs';

const run = promisify(execFile);
const STREAMS = Number(process.env.RELOAD_STREAMS ?? 1000);
const LONGER_THAN_A_STOP_MS = 12500; // an orderly stop gives requests 10 s; a reload gives them all they need

let first, second, house;
let released; // the streams of `first` end
const hold = () => { released = false; };
const release = () => { released = true; };

function paced(x) {
  if (!x.body?.stream) return x.json(completion('first'));
  return (async () => {
    x.res.writeHead(200, { 'content-type': 'text/event-stream' });
    x.res.write(event(chunk({ role: 'assistant', content: '' })));
    while (!released && !x.res.destroyed) {
      x.res.write(event(chunk({ content: 'tick ' })));
      await new Promise((go) => setTimeout(go, 3000));
    }
    x.res.end(event(chunk({}, { finish: 'stop' })) + event('[DONE]'));
  })();
}

const provider = (name, url, more = '') => `  ${name}: {url: '${url}'${more}}\n`;
const withFirst = (more = '', rest = '') =>
  `gateway: {workers: 2}\nproviders:\n${provider('first', first.url, more)}${rest}`;
const write = (text) => writeFile(join(house.home, 'safehouse.yaml'), text);
const reload = () => house.cliResult('reload', '--dir', house.dir);

// One stream: resolves `open` at its first event, `end` when it is over, with what was seen.
function stream() {
  const it = { events: 0, done: false, error: null };
  it.open = new Promise((opened) => {
    it.end = new Promise((ended) => {
      const req = http.request(`${house.gateway}/v1/chat/completions`, {
        method: 'POST', headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
        agent: false,
      }, (res) => {
        it.status = res.statusCode;
        res.on('data', (d) => {
          it.events++;
          if (d.includes('data: [DONE]')) it.done = true;
          opened(it);
        });
        res.on('error', (e) => { it.error = e; });
        res.on('close', () => { opened(it); ended(it); });
      });
      req.on('error', (e) => { it.error = e; opened(it); ended(it); });
      req.end(JSON.stringify({ model: 'gpt-4o-mini', stream: true, messages: [{ role: 'user', content: 'hold' }] }));
    });
  });
  return it;
}

async function openStreams(count) {
  const all = [];
  for (let i = 0; i < count; i += 50) {
    const some = Array.from({ length: Math.min(50, count - i) }, stream);
    await Promise.all(some.map((s) => s.open));
    all.push(...some);
  }
  return all;
}

// A connection of its own: one that is kept may be closed by a worker that leaves, at any moment
// between two requests.
function ask(model, key = house.key) {
  return new Promise((done, failed) => {
    const req = http.request(`${house.gateway}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      agent: false,
    }, async (res) => {
      const parts = [];
      for await (const p of res) parts.push(p);
      const body = JSON.parse(Buffer.concat(parts));
      done({ status: res.statusCode, body, text: body.choices?.[0]?.message?.content });
    });
    req.on('error', failed);
    req.end(JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }] }));
  });
}

test.before(async () => {
  first = await Upstream.start();
  second = await Upstream.start();
  first.answer = paced;
  second.answer = (x) => x.json(completion('second'));
  house = await Installation.start({ config: withFirst() });
});
test.afterEach(() => release());
test.after(async () => {
  release();
  await house?.destroy();
  await first?.stop();
  await second?.stop();
});

test(`${STREAMS} streams go on through reloads, and new routes are in force within a second`, async (t) => {
  hold();
  const streams = await openStreams(STREAMS);
  assert.equal(streams.filter((s) => s.status === 200).length, STREAMS);

  // Only routes: nginx is left alone.
  const pid = await house.pid('gateway');
  await write(withFirst('', 'aliases: {quick: gpt-4o-mini}\n'));
  let began = Date.now();
  let r = await reload();
  assert.equal(r.code, 0, r.stderr);
  assert.match(r.stdout, /changed: .*aliases/);
  assert.equal((await ask('quick')).status, 200);
  assert.ok(Date.now() - began < 1000, `new routes took ${Date.now() - began} ms`);
  assert.equal(await house.pid('gateway'), pid);

  // Another provider: new workers.
  await write(withFirst('', provider('second', second.url, ', models: [m-two]')));
  began = Date.now();
  r = await reload();
  assert.equal(r.code, 0, r.stderr);
  assert.match(r.stdout, /new workers/);
  assert.equal((await ask('m-two')).text, 'second');
  const took = Date.now() - began;
  t.diagnostic(`a new provider in force, and answering, after ${took} ms`);
  assert.ok(took < 1000, `a new provider took ${took} ms`);
  assert.notEqual(await house.pid('gateway'), pid);
  assert.ok((await house.status()).gateway.leaving_workers > 0);

  await new Promise((go) => setTimeout(go, LONGER_THAN_A_STOP_MS));
  assert.equal(streams.filter((s) => s.error || s.done).length, 0, 'streams ended early');
  release();
  await Promise.all(streams.map((s) => s.end));
  assert.equal(streams.filter((s) => s.done && !s.error).length, STREAMS);
  await until(async () => (await house.status()).gateway.leaving_workers === 0, 'the old workers gone');
});

test('a configuration that cannot be put into force changes nothing', async () => {
  const before = await house.status();
  const wrong = [
    [withFirst('', 'routs: []\n'), /safehouse\.yaml:\d+:\d+: .*routes/, 2],
    [withFirst(", keys: [{env: SAFEHOUSE_NO_SUCH_KEY}]"), /SAFEHOUSE_NO_SUCH_KEY/, 2],
    [withFirst('', provider('gone', 'http://no-such-host.invalid:9')), /host not found in upstream "no-such-host.invalid:9"/, 2],
    [withFirst('', 'tls: {certificate: /no/such/file, key: /no/such/file}\n'), /no\/such\/file/, 2],
  ];
  for (const [text, sentence, code] of wrong) {
    await write(text);
    const r = await reload();
    assert.equal(r.code, code, r.stdout + r.stderr);
    assert.match(r.stderr, sentence);
    const now = await house.status();
    assert.equal(now.configuration.last_reload.ok, false);
    assert.match(now.configuration.last_reload.text, sentence);
    assert.deepEqual(now.providers.map((p) => p.name), before.providers.map((p) => p.name));
    assert.equal(now.configuration.read_us, before.configuration.read_us);
    assert.deepEqual(now.gateway.workers, before.gateway.workers);
    assert.equal((await ask('m-two')).text, 'second');
  }
});

test('SIGHUP reads it, too; what needs a restart is said', async () => {
  await write(withFirst('', provider('second', second.url, ', models: [m-two]') + 'sandbox: best-effort\n'));
  const before = (await house.status()).configuration.read_us;
  house.process.kill('SIGHUP');
  const after = await until(async () => {
    const { configuration } = await house.status();
    return configuration.read_us !== before && configuration;
  }, 'the configuration read again');
  assert.equal(after.last_reload.ok, true);
  assert.match(after.last_reload.text, /next start.*: sandbox/);
});

test('reloads end with a sentence when earlier streams hold all room, and the gateway goes on', async () => {
  hold();
  const streams = [];
  let refusal = null;
  for (let i = 1; i < 20 && !refusal; i++) {
    streams.push(...await openStreams(8)); // so that both workers have some
    await write(withFirst(`, timeouts: {connect: ${i}s}`));
    const r = await reload();
    if (r.code) refusal = r;
  }
  assert.equal(refusal?.code, 3);
  assert.match(refusal.stderr, /earlier workers still serve long streams/);
  assert.equal((await ask('gpt-4o-mini')).text, 'first');
  assert.equal(streams.filter((s) => s.error || s.done).length, 0);
  release();
  await Promise.all(streams.map((s) => s.end));
  assert.equal(streams.filter((s) => s.done && !s.error).length, streams.length);
  await until(async () => (await house.status()).gateway.leaving_workers === 0, 'the old workers gone');
  assert.equal((await reload()).code, 0);
});

test('a provider key that is out is a visible problem, and a reload tries it again', async () => {
  const file = join(house.home, 'provider.key');
  await writeFile(file, 'sk-provider-canary\n', { mode: 0o600 });
  await write(withFirst('', provider('second', second.url, `, models: [m-two], keys: [{file: '${file}'}]`)));
  assert.equal((await reload()).code, 0);
  second.answer = (x) => x.json({ error: { message: 'Insufficient Balance', type: 'unknown_error' } }, 402);
  assert.equal((await ask('m-two')).status, 402);
  const key = async () => (await house.status()).providers.find((p) => p.name === 'second').keys[0];
  const out = await until(async () => {
    const k = await key();
    return k.state === 'out' && k;
  }, 'the key out');
  assert.equal(out.status, 402);
  await until(() => house.stderr.includes('"provider-key-out"'), 'the event');
  await new Promise((go) => setTimeout(go, 2500));
  assert.equal(house.stderr.split('"provider-key-out"').length, 2, 'said once');
  const people = await house.cliResult('status', '--dir', house.dir);
  assert.match(people.stdout, /! the key of second from file .*402 \(no balance/);
  assert.ok(!(people.stdout + house.stderr).includes('sk-provider-canary'));

  second.answer = (x) => x.json(completion('second'));
  assert.equal((await reload()).code, 0);
  assert.equal((await key()).state, 'ok');
  assert.equal((await ask('m-two')).text, 'second');
});

test('new workers on request look host names up anew', async () => {
  const before = await house.pid('gateway');
  const r = await house.cliResult('reload', '--dir', house.dir, '--new-workers', '--json');
  assert.equal(r.code, 0);
  assert.equal(JSON.parse(r.stdout).ok, true);
  assert.notEqual(await house.pid('gateway'), before);
});

test('reloads at the same time all get an answer that is true', async () => {
  const all = await Promise.all(Array.from({ length: 5 }, reload));
  assert.deepEqual(all.map((r) => r.code), [0, 0, 0, 0, 0]);
});

test('an earlier generation whose master is killed serves on; a stop ends it, too', async () => {
  hold();
  const streams = await openStreams(20);
  const earlier = await house.pid('gateway');
  assert.equal((await house.cliResult('reload', '--dir', house.dir, '--new-workers')).code, 0);
  process.kill(earlier, 'SIGKILL');
  await new Promise((go) => setTimeout(go, 2500));
  assert.equal(streams.filter((s) => s.error || s.done).length, 0);
  assert.ok((await house.status()).gateway.leaving_workers > 0);
  assert.equal((await ask('gpt-4o-mini')).text, 'first');
  await house.stop();
  await Promise.all(streams.map((s) => s.end)); // cut, as a stop may after its time
  const { stdout } = await run('ps', ['-eo', 'args']);
  assert.ok(!stdout.includes(house.dir), stdout);
  release();
  await house.up();
});

test('a revoked key stops within a second', async () => {
  const key = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--json'));
  assert.equal((await ask('gpt-4o-mini', key.secret)).status, 200);
  const began = Date.now();
  await house.cli('key', 'revoke', '--dir', house.dir, key.id);
  assert.equal((await ask('gpt-4o-mini', key.secret)).status, 401);
  assert.ok(Date.now() - began < 1000);
});

test('what a key used outlives a killed worker and a restart of everything', async () => {
  release();
  const key = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--tokens-day', '100', '--json'));
  const used = async () => {
    const lines = (await house.cli('status', '--dir', house.dir, '--limits', '--json')).trim().split('\n');
    return lines.map((l) => JSON.parse(l)).find((o) => o.kind === 'key' && o.name === key.id);
  };
  const answers = [];
  for (let i = 0; i < 20; i++) {
    answers.push((await ask('gpt-4o-mini', key.secret)).status);
    if (answers.at(-1) !== 200) break;
  }
  assert.equal(answers.at(-1), 429, `answered ${answers}`);
  const before = await used();
  assert.equal(before.limits.tokens_day, 100);
  assert.ok(before.used.tokens_day > 0 && before.used.tokens_day <= 121, JSON.stringify(before));

  for (const { pid } of (await house.status()).gateway.workers) process.kill(pid, 'SIGKILL');
  await until(async () => (await house.status()).gateway.workers.length === 2, 'new workers');
  assert.deepEqual((await used()).used.tokens_day, before.used.tokens_day);
  assert.equal((await ask('gpt-4o-mini', key.secret)).status, 429);

  await house.stop();
  await house.up();
  assert.deepEqual((await used()).used.tokens_day, before.used.tokens_day);
  assert.equal((await ask('gpt-4o-mini', key.secret)).status, 429);
  assert.equal((await house.status()).limits_file.created, false);
});

test('a provider is replaced again and again, and no request is refused meanwhile', async () => {
  let going = true;
  const seen = [];
  const askers = Array.from({ length: 6 }, async () => {
    while (going) seen.push(await ask('gpt-4o-mini'));
  });
  try {
    for (let i = 0; i < 5; i++) {
      await write(`gateway: {workers: 2}\nproviders:\n${provider(`another${i}`, i % 2 ? first.url : second.url)}`);
      const r = await reload();
      assert.equal(r.code, 0, r.stderr);
      const n = seen.length;
      await until(() => seen.length > n + 6, 'requests go on');
    }
  } finally {
    going = false;
    await Promise.all(askers);
  }
  assert.deepEqual(seen.filter((a) => a.status !== 200).map((a) => a.body), [], `of ${seen.length}`);
  assert.equal((await ask('gpt-4o-mini')).text, 'second');
});
