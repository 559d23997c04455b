// What keys and projects may use: exactly so much, over all workers of the gateway and over restarts;
// and how each refusal is said, in both families of dialects.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { Installation, until } from './lib/installation.mjs';
import { ask, recording } from './lib/client.mjs';
import { Upstream, completion, message } from './lib/upstream.mjs';

const TRIES = Number(process.env.LIMITS_REQUESTS ?? 10000);
const USED = 21; // tokens of each answer
let upstream, house;

const answers = (x) => (x.url.includes('messages')
  ? x.json(message('ok', { usage: { input_tokens: 9, output_tokens: 12 } })) : x.json(completion('ok')));

test.before(async () => {
  upstream = await Upstream.start();
  upstream.answer = answers;
  house = await Installation.start({ config: `
gateway: {workers: 4}
providers:
  all: {dialect: [openai, anthropic], url: '${upstream.url}', eject_after: 0}
aliases: {quick: allowed-by-alias}
projects:
  crowd: {limits: {requests_per_minute: 2000}}
  narrow: {models: ["allowed-*", quick], limits: {concurrency: 3}}
prices:
  models: {"*": {input: 1000000, output: 1000000}, cheap: {input: 0.5, output: 2}}
` });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const BODY = { model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'hi' }] };
const PATHS = { openai: '/v1/chat/completions', anthropic: '/v1/messages' };
const request = (key, more = {}, path = PATHS.openai) => ask(house.gateway, key.secret, path, { ...BODY, ...more });
const make = async (...args) => JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--json', ...args));
const times = (n, call) => Promise.all(Array.from({ length: n }, (_, i) => call(i)));
async function used(key) {
  const lines = (await house.cli('status', '--dir', house.dir, '--limits', '--json')).trim().split('\n');
  return lines.map((l) => JSON.parse(l)).find((o) => o.kind === 'key' && o.name === key.id).used;
}
// Limits of a minute are of a UTC minute: what must happen within one begins when enough of it is left.
const withinMinute = (seconds) => until(() => Date.now() % 60000 < 60000 - seconds * 1000, 'the next minute', 60000);

// Holds requests at the provider until `release`; `arrived(n)` resolves when n are there.
function holding() {
  let open = 0, most = 0, wake = () => {}, release;
  const over = new Promise((go) => { release = go; });
  upstream.answer = async (x) => {
    most = Math.max(most, ++open);
    wake();
    await over;
    answers(x);
    open--;
  };
  const arrived = (n) => new Promise((go) => { (wake = () => { if (open >= n) go(); })(); });
  return { arrived, most: () => most, release: () => { release(); upstream.answer = answers; } };
}

// The processor time that a process has had, in ms.
const worked = async (pid) => Number((await readFile(`/proc/${pid}/schedstat`, 'utf8')).split(' ')[0]) / 1e6;

// A refusal has its status, its code and the right headers, in the client's shape.
function assertRefusal(t, path, { status, code, types, param = null }) {
  assert.equal(t.status, status, t.text);
  assert.equal(t.headers['content-type'], 'application/json');
  const it = JSON.parse(t.text);
  if (path === PATHS.anthropic) {
    assert.deepEqual([it.type, it.error.type], ['error', types[1]]);
    assert.match(it.error.message, new RegExp(code));
    assert.equal('request_id' in it, true);
  } else {
    assert.deepEqual(Object.keys(it.error).sort(), ['code', 'message', 'param', 'type']);
    assert.deepEqual([it.error.type, it.error.code, it.error.param], [types[0], code, param]);
  }
}

test(`${TRIES} requests at random, four workers: exactly as many pass as may`, async () => {
  await withinMinute(15);
  const keys = [await make('--project', 'crowd', '--rpm', '300'),
    ...await Promise.all([1, 2, 3].map(() => make('--project', 'crowd')))];
  const agent = new http.Agent({ keepAlive: true, maxSockets: 200 });
  const passed = keys.map(() => 0), refused = new Map();
  const one = () => new Promise((done, failed) => {
    const i = Math.floor(Math.random() * keys.length);
    const body = JSON.stringify({ ...BODY, messages: [{ role: 'user', content: 'x'.repeat(Math.random() * 3000) }] });
    http.request(house.gateway + PATHS.openai, { method: 'POST', agent,
      headers: { authorization: `Bearer ${keys[i].secret}`, 'content-length': body.length } }, (res) => {
      let text = '';
      res.on('data', (d) => { text += d; });
      res.on('end', () => {
        if (res.statusCode === 200) passed[i]++;
        const { error } = JSON.parse(text);
        if (error) refused.set(`${res.statusCode} ${error.code}`, (refused.get(`${res.statusCode} ${error.code}`) ?? 0) + 1);
        done();
      });
      res.on('error', failed);
    }).on('error', failed).end(body);
  });
  const pids = (await house.status()).gateway.workers.map((w) => w.pid);
  const minute = Math.floor(Date.now() / 60000), before = upstream.requests.length, idle = await Promise.all(pids.map(worked));
  await times(TRIES, one);
  agent.destroy();
  assert.equal(Math.floor(Date.now() / 60000), minute, 'all within one minute');
  const shares = (await Promise.all(pids.map(worked))).map((ms, i) => ms - idle[i]);
  assert.equal(shares.length, 4);
  assert.ok(shares.filter((ms) => ms > 3).length > 2, `they all worked: ${shares} ms`); // the kernel shares as it likes
  assert.equal(passed[0], 300, 'the key\'s own');
  assert.equal(passed.reduce((a, b) => a + b), 2000, 'the project\'s');
  assert.deepEqual([...refused], [['429 rate_limit_requests', TRIES - 2000]]);
  assert.equal(upstream.requests.length - before, 2000, 'what was refused went nowhere');
  assert.equal((await used(keys[0])).requests_per_minute, 300, 'and counts nowhere');
});

test('requests per minute: headers, both families, and official clients wait as told', async () => {
  await withinMinute(8);
  for (const [family, path] of Object.entries(PATHS)) {
    const key = await make('--rpm', '3', '--tpm', '100000');
    const names = family === 'openai' ? (w, k) => `x-ratelimit-${w}-${k}` : (w, k) => `anthropic-ratelimit-${k}-${w}`;
    upstream.answer = (x) => x.json(x.url.includes('messages') ? message('ok') : completion('ok'), 200,
      { [names('limit', 'requests')]: '77', [names('remaining', 'requests')]: '66' });
    for (const left of [2, 1, 0]) {
      const t = await request(key, {}, path);
      assert.equal(t.status, 200);
      assert.equal(t.headers[names('limit', 'requests')], '3', 'ours, not the provider\'s');
      assert.equal(t.headers[names('remaining', 'requests')], String(left));
      assert.equal(t.headers[names('limit', 'tokens')], '100000');
      assert.match(t.headers[names('reset', 'requests')], family === 'openai' ? /^(\d+ms|\d+s|\d+m\d+s)$/ : /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    }
    const t = await request(key, {}, path);
    assertRefusal(t, path, { status: 429, code: 'rate_limit_requests', types: ['requests', 'rate_limit_error'] });
    const wait = Number(t.headers['retry-after']), left = 60 - (Date.now() / 1000) % 60;
    assert.ok(wait >= left - 1 && wait <= left + 2, `${wait} s, ${left} s left`);
    assert.ok(Math.abs(Number(t.headers['retry-after-ms']) / 1000 - wait) <= 1);
    assert.notEqual(t.headers['x-should-retry'], 'false');
    assert.equal(t.headers[names('remaining', 'requests')], '0');
  }
  upstream.answer = answers;
});

test('concurrency, over all workers; every end gives the place back', async () => {
  const key = await make('--concurrency', '5');
  const hold = holding();
  const first = times(5, () => request(key));
  await hold.arrived(5);
  for (const path of Object.values(PATHS))
    for (const t of await times(10, () => request(key, {}, path))) {
      assertRefusal(t, path, { status: 429, code: 'concurrency_limit', types: ['requests', 'rate_limit_error'] });
      assert.ok(Number(t.headers['retry-after']) >= 1);
    }
  assert.equal((await used(key)).concurrency, 5);
  hold.release();
  for (const t of await first) assert.equal(t.status, 200);
  assert.equal(hold.most(), 5);

  const again = holding(); // clients that leave, providers that break off, workers that die
  const left = times(5, () => ask(house.gateway, key.secret, PATHS.openai, { ...BODY, stream: true }, { on: () => 'leave' }));
  await again.arrived(5);
  const { pid } = (await house.status()).gateway.workers[0];
  process.kill(pid, 'SIGKILL');
  again.release();
  await left;
  await until(async () => (await used(key)).concurrency === 0, 'all places free');
  upstream.answer = (x) => x.socket.resetAndDestroy();
  await times(5, () => request(key));
  upstream.answer = answers;
  for (const t of await times(5, () => request(key))) assert.equal(t.status, 200);
});

test('a project\'s concurrency holds over its keys', async () => {
  const keys = await times(3, () => make('--project', 'narrow'));
  const hold = holding();
  const first = times(3, (i) => request(keys[i], { model: 'allowed-x' }));
  await hold.arrived(3);
  for (const key of keys) assert.equal((await request(key, { model: 'allowed-x' })).status, 429);
  hold.release();
  for (const t of await first) assert.equal(t.status, 200);
});

test('tokens per minute are set aside by estimate, then corrected', async () => {
  await withinMinute(10);
  const key = await make('--tpm', '5000');
  const size = Math.floor(JSON.stringify({ ...BODY, max_tokens: 1000 }).length / 4) + 1000;
  const fit = Math.floor(5000 / size);
  for (let round = 0; round < 2; round++) {
    const hold = holding();
    const all = times(12, () => request(key, { max_tokens: 1000 }));
    await hold.arrived(fit);
    const { length } = (await Promise.race([all, until(async () => (await used(key)).tokens_per_minute >= fit * size && [], 'all set aside')]));
    assert.equal(length, 0);
    hold.release();
    const done = await all;
    assert.equal(done.filter((t) => t.status === 200).length, fit);
    for (const t of done.filter((r) => r.status !== 200)) {
      assertRefusal(t, PATHS.openai, { status: 429, code: 'rate_limit_tokens', types: ['tokens', 'rate_limit_error'] });
      assert.ok(Number(t.headers['retry-after']) >= 1);
    }
    await until(async () => (await used(key)).tokens_per_minute === (round + 1) * fit * USED, 'what was used, no more');
  }
  for (const path of Object.values(PATHS)) { // more than a minute has
    const t = await request(key, { max_tokens: 6000 }, path);
    assertRefusal(t, path, { status: 429, code: 'rate_limit_tokens', types: ['tokens', 'rate_limit_error'] });
    assert.equal(t.headers['retry-after'], undefined);
    assert.equal(t.headers['x-should-retry'], 'false');
  }
});

const NANO = 1e9;
for (const [option, unit, budget] of [['budget-day', NANO, 400], ['budget-month', NANO, 400], ['tokens-day', 1, 400], ['tokens-month', 1, 400]])
  test(`--${option}: reached, and overshot by the requests in flight at most`, async () => {
    const key = await make(`--${option}`, String(budget)), name = option.replace('-', '_');
    const AT_ONCE = 8;
    let passed = 0, refusal;
    const client = async () => {
      while (!refusal) {
        const t = await request(key);
        if (t.status === 200) passed++;
        else if (Number(t.headers['retry-after']) > 1) refusal = t; // else only what is in flight is in the way
      }
    };
    await times(AT_ONCE, client);
    const spent = passed * USED;
    await until(async () => (await used(key))[name] === spent * unit, `${spent} used`);
    assert.ok(spent >= budget, `${spent} of ${budget}`);
    assert.ok(spent < budget + AT_ONCE * USED, `${spent} of ${budget}`);
    for (const path of Object.values(PATHS)) {
      const t = await request(key, {}, path);
      assertRefusal(t, path, { status: 429, code: 'budget_exhausted', types: ['insufficient_quota', 'rate_limit_error'] });
      assert.equal(t.headers['x-should-retry'], 'false');
      const now = new Date(), end = option.includes('day')
        ? Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1) : Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
      assert.ok(Math.abs(Number(t.headers['retry-after']) - (end - now) / 1000) < 5, t.headers['retry-after']);
    }
  });

test('a budget that is used up is no reason to try again', async () => {
  const key = await make('--tokens-day', '1');
  await request(key);
  for (const [Client, base, call] of [[OpenAI, '/v1', (c) => c.chat.completions.create(BODY)], [Anthropic, '', (c) => c.messages.create(BODY)]]) {
    const { fetch, seen } = recording();
    const c = new Client({ apiKey: key.secret, baseURL: house.gateway + base, fetch, maxRetries: 2 });
    const e = await call(c).then(() => assert.fail('no error'), (error) => error);
    assert.equal(e.status, 429);
    assert.equal(e.constructor.name, 'RateLimitError');
    assert.equal(seen.length, 1);
  }
});

test('what failed costs nothing, what was cut is estimated, what was reported is exact', async () => {
  const key = await make('--budget-day', '1000000');
  upstream.answer = (x) => x.json({ error: { message: 'x', type: 'x', param: null, code: null } }, 500);
  await request(key);
  upstream.answer = (x) => x.socket.destroy();
  await request(key);
  assert.deepEqual([(await used(key)).budget_day, (await used(key)).tokens_day], [0, 0]);
  upstream.answer = (x) => x.json({ ...completion('x'), usage: { prompt_tokens: 1234567, completion_tokens: 7, total_tokens: 1234574 } });
  await request(key, { model: 'cheap' });
  const exact = (1234567 * 0.5e9 + 7 * 2e9) / 1e6;
  await until(async () => (await used(key)).budget_day === Math.round(exact), `${exact} nano`);
  assert.equal((await used(key)).tokens_day, 1234574);
  upstream.answer = (x) => x.wire(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n{"x":"${'y'.repeat(4000)}`, 'end');
  await request(key, { model: 'cheap' });
  await until(async () => (await used(key)).tokens_day > 1234574 + 500, 'an estimate');
  upstream.answer = answers;
});

test('kept when everything is killed, and started again', async () => {
  await withinMinute(20);
  const spent = await make('--tokens-day', '100'), minute = await make('--rpm', '2'), part = await make('--budget-month', '100000');
  while ((await request(spent)).status === 200) ;
  await times(2, () => request(minute));
  await times(7, () => request(part));
  const before = await Promise.all([spent, minute, part].map(used));
  const pids = (await house.status()).programs.map((p) => p.pid);
  house.process.kill('SIGKILL');
  for (const pid of pids) try { process.kill(pid, 'SIGKILL'); } catch { /* it went with its supervisor */ }
  await house.ended;
  await house.up();
  assert.deepEqual(await Promise.all([spent, minute, part].map(used)), before);
  assert.equal((await request(spent)).status, 429);
  assert.equal((await request(minute)).status, 429);
  assert.equal((await request(part)).status, 200);
});

test('a key that expires stops at that second', async () => {
  const end = Math.ceil(Date.now() / 1000) + 2;
  const key = await make('--expires', new Date(end * 1000).toISOString().replace('.000', ''));
  assert.equal((await request(key)).status, 200);
  const refused = await until(async () => {
    const t = await request(key);
    return t.status !== 200 && t;
  }, 'expired');
  assert.ok(Math.abs(Date.now() - end * 1000) < 500, `${Date.now() - end * 1000} ms off`);
  assertRefusal(refused, PATHS.openai, { status: 401, code: 'expired_api_key', types: ['invalid_request_error'] });
  assertRefusal(await request(key, {}, PATHS.anthropic), PATHS.anthropic, { status: 401, code: 'expired_api_key', types: [null, 'authentication_error'] });
});

test('models that a key or its project may not use', async () => {
  const own = await make('--models', 'allowed-one,gpt-*'), both = await make('--project', 'narrow', '--models', 'allowed-one,other');
  for (const [key, model, may] of [[own, 'allowed-one', true], [own, 'gpt-x', true], [own, 'allowed-two', false], [own, 'gpt', false],
    [both, 'allowed-one', true], [both, 'allowed-two', false], [both, 'other', false], [both, 'quick', false]])
    for (const path of Object.values(PATHS)) {
      const before = upstream.requests.length, t = await request(key, { model }, path);
      assert.equal(t.status === 200, may, `${model}: ${t.text}`);
      if (!may) assertRefusal(t, path, { status: 403, code: 'model_not_allowed', types: ['invalid_request_error', 'permission_error'], param: 'model' });
      assert.equal(upstream.requests.length - before, may ? 1 : 0);
    }
  assert.equal((await request(await make('--project', 'narrow'), { model: 'quick' })).status, 200, 'an alias that is allowed');
  assert.equal(upstream.requests.at(-1).body.model, 'allowed-by-alias');
  const t = await ask(house.gateway, own.secret, '/v1/audio/transcriptions', 'x', { headers: { 'content-type': 'multipart/form-data; boundary=x' } });
  assert.equal(JSON.parse(t.text).error.code, 'endpoint_not_allowed');
});

test('no way of writing a request gets around the models that are allowed', async () => {
  const key = await make('--models', 'allowed-one'), before = upstream.requests.length;
  const send = (text, path = PATHS.openai) => ask(house.gateway, key.secret, path, text);
  for (const text of [
    '{"model":"other","messages":[]}', '{"model":"\\u006fther","messages":[]}', '{"model":"allowed-one\\u0000","messages":[]}',
    '{"model":"allowed-one","model":"other","messages":[]}', '{"model":"allowed-one","mod\\u0065l":"other","messages":[]}',
    '{"mod\\u0065l":"other","messages":[],"model":"allowed-one"}', '{"mod\\u0065l":"other","messages":[]}', '{"model":["other"],"messages":[]}',
    '{"model":null,"messages":[]}', '{"model":5,"messages":[]}', '{"model":"","messages":[]}', `{"model":"allowed-one${'x'.repeat(5000)}","messages":[]}`,
    '{"a":{"model":"allowed-one"},"messages":[]}', '{"a":"\\"model\\":\\"allowed-one\\"","messages":[]}', '\ufeff{"model":"allowed-one","messages":[]}',
    '{"model":"allowed-one","messages":[]}{"model":"other"}', '{"model":"Allowed-one","messages":[]}', '{"model":" allowed-one","messages":[]}'])
    for (const path of Object.values(PATHS)) {
      const t = await send(text, path);
      assert.ok([400, 403, 404].includes(t.status), `${t.status}: ${text.slice(0, 80)}`);
    }
  assert.equal(upstream.requests.length, before);
  assert.equal((await send('{"m\\u006fdel":"allowed\\u002done","messages":[]}')).status, 200, 'the name, however it is written');
});

test('a limit that changes is in force before the command ends', async () => {
  const key = await make('--tokens-day', '1');
  await request(key);
  assert.equal((await request(key)).status, 429);
  await house.cli('key', 'update', key.id, '--dir', house.dir, '--tokens-day', 'none');
  assert.equal((await request(key)).status, 200);
});
