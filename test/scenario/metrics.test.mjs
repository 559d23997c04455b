// What the gateway tells of itself: /metrics as Prometheus reads it, over all workers and through
// nginx's death; /healthz and /readyz.
import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { networkInterfaces } from 'node:os';
import { Installation, until } from './lib/installation.mjs';
import { Upstream } from './lib/upstream.mjs';

let upstream, house;
test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ upstream: upstream.url });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const DURATION = 'gen_ai_client_operation_duration_seconds';

async function scrape() {
  const r = await fetch(`${house.gateway}/metrics`);
  assert.equal(r.status, 200);
  assert.match(r.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  return r.text();
}

// The sum of a metric's samples whose labels match; null when there are none.
function value(text, name, labels = /(?:)/) {
  let sum = null;
  for (const line of text.split('\n')) {
    const m = /^([a-z0-9_]+)(\{.*\})? (\S+)$/i.exec(line);
    if (m && m[1] === name && labels.test(m[2] ?? '')) sum = (sum ?? 0) + Number(m[3]);
  }
  return sum;
}

function ask(body, { path = '/v1/chat/completions', key = house.key } = {}) {
  return fetch(house.gateway + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], ...body }),
  });
}

// An exchange is counted when it is over, which may be after the client has read its last byte.
const counted = (name, labels, wanted) => until(async () => {
  const text = await scrape();
  return (value(text, name, labels) ?? 0) === wanted && text;
}, `${name} ${labels} is ${wanted}`);

const answer = (usage) => ({
  id: 'x', object: 'chat.completion', created: 1, model: 'gpt-4o-mini',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'ok' } }],
  usage,
});

test('an exchange is in the histograms, with its tokens', async () => {
  upstream.answer = (x) => x.json(answer({
    prompt_tokens: 100, completion_tokens: 11, total_tokens: 111,
    prompt_tokens_details: { cached_tokens: 60 },
  }));
  for (let i = 0; i < 4; i++) await (await ask({ model: 'gpt-4o-mini' })).arrayBuffer();
  const chat = /operation_name="chat".*request_model="gpt-4o-mini"/;
  const text = await counted(`${DURATION}_count`, chat, 4);
  assert.equal(value(text, `${DURATION}_bucket`, /gpt-4o-mini.*le="\+Inf"/), 4);
  assert.equal(value(text, 'gen_ai_client_token_usage_sum', /"input"/), 400);
  assert.equal(value(text, 'gen_ai_client_token_usage_sum', /"output"/), 44);
  assert.equal(value(text, 'gen_ai_client_token_usage_bucket', /"input".*le="64"/), 0);
  assert.equal(value(text, 'gen_ai_client_token_usage_bucket', /"input".*le="256"/), 4);
  assert.equal(value(text, 'safehouse_tokens_total', /"cached"/), 240);
  assert.ok(value(text, 'safehouse_requests_total', /status="2xx"/) >= 4);
  assert.ok(value(text, 'safehouse_ring_admitted_total') >= 4);
  assert.ok(value(text, 'safehouse_ring_slots') > 0);
  assert.ok(value(text, 'safehouse_snapshot_version') > 0);
  assert.equal(value(text, 'safehouse_build_info'), 1);
  await counted('safehouse_requests_in_flight', /(?:)/, 0);
});

test('a stream has a time to its first token', async () => {
  const piece = (delta, rest = {}) => `data: ${JSON.stringify({
    id: 'x', object: 'chat.completion.chunk', model: 'gpt-4o-mini',
    choices: [{ index: 0, delta, finish_reason: null }], ...rest,
  })}\n\n`;
  upstream.answer = (x) => x.stream([
    piece({ role: 'assistant', content: 'a' }), piece({ content: 'b' }),
    piece({}, { choices: [], usage: { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 } }),
    'data: [DONE]\n\n',
  ], { gap: 30 });
  await (await ask({ model: 'gpt-4o-mini', stream: true })).arrayBuffer();
  const first = 'gen_ai_server_time_to_first_token_seconds';
  const text = await counted(`${first}_count`, /gpt-4o-mini/, 1);
  assert.ok(value(text, `${first}_sum`) > 0);
  const each = value(text, 'gen_ai_server_time_per_output_token_seconds_sum');
  assert.ok(each > 0.005 && each < 1, `${each} s a token`); // 60 ms or more, 4 tokens after the first
});

test('errors of the provider and refusals of our own have their names', async () => {
  upstream.answer = (x) => x.json({ error: { message: 'slow down' } }, 429);
  await (await ask({ model: 'gpt-4o-mini' })).arrayBuffer();
  await counted(`${DURATION}_count`, /error_type="429"/, 1);
  const before = await scrape();
  const r = await ask({ model: 'gpt-4o-mini' }, { key: 'shk_nobody_nothing' });
  assert.equal(r.status, 401);
  const code = JSON.parse(await r.text()).error.code;
  const label = new RegExp(`code="${code}"`);
  const text = await counted('safehouse_refusals_total', label,
    (value(before, 'safehouse_refusals_total', label) ?? 0) + 1);
  assert.ok(value(text, 'safehouse_requests_total', new RegExp(`"4xx",refusal="${code}"`)) >= 1);
  assert.equal(value(text, `${DURATION}_count`), value(before, `${DURATION}_count`),
    'no provider, no operation');
});

test('nothing from outside is a label', async () => {
  upstream.answer = (x) => x.json({ ...answer(), model: 'canary-of-the-provider' });
  await (await ask({ model: 'canary-of-a-client', user: 'canary-person' })).arrayBuffer();
  const text = await counted(`${DURATION}_count`, /request_model="other"/, 1);
  assert.doesNotMatch(text, /canary/);
  assert.ok(!text.includes(house.keyId));
  assert.ok(!text.includes(house.key));
});

test('the death of nginx takes no count with it', async () => {
  const before = value(await scrape(), `${DURATION}_count`);
  assert.ok(before > 0);
  process.kill(await house.pid('gateway'), 'SIGKILL');
  await until(() => fetch(`${house.gateway}/healthz`).then((r) => r.ok, () => false), 'healthy again');
  // The dead master's workers answer until they are told to leave: a scrape may meet their end.
  const text = await until(() => scrape().catch(() => null), 'a scrape');
  assert.equal(value(text, `${DURATION}_count`), before);
});

test('healthz and readyz', async () => {
  const health = await until(() => fetch(`${house.gateway}/healthz`).catch(() => null), 'an answer');
  assert.equal(health.status, 200);
  assert.equal((await health.text()).trim(), 'ok');
  const ready = await fetch(`${house.gateway}/readyz`);
  assert.equal(ready.status, 200);
  await ready.arrayBuffer();
  const before = value(await scrape(), 'safehouse_requests_total');
  await fetch(`${house.gateway}/healthz`);
  assert.equal(value(await scrape(), 'safehouse_requests_total'), before, 'probes are no requests');
});

test('not ready when the sealer lags', async () => {
  upstream.answer = (x) => x.json(answer());
  const sealer = await house.pid('sealer');
  process.kill(sealer, 'SIGSTOP');
  try {
    await (await ask({ model: 'gpt-4o-mini' })).arrayBuffer();
    const r = await until(async () => {
      const answered = await fetch(`${house.gateway}/readyz`);
      if (answered.status === 503) return answered;
      await answered.arrayBuffer();
    }, 'not ready', 15000);
    const said = JSON.stringify(await r.json());
    assert.match(said, /seal|lag/i);
    assert.ok(value(await scrape(), 'safehouse_ring_oldest_ready_seconds') > 5);
    assert.equal((await fetch(`${house.gateway}/healthz`)).status, 200);
  } finally {
    process.kill(sealer, 'SIGCONT');
  }
  await until(async () => (await fetch(`${house.gateway}/readyz`)).ok, 'ready again');
});

// The same machine, by an address that is not loopback.
test('strangers are not told', async (t) => {
  const own = Object.values(networkInterfaces()).flat()
    .find((a) => a.family === 'IPv4' && !a.internal)?.address;
  if (!own) return t.skip('this machine has loopback only');
  // A loopback listener takes a connection from such an address of its own machine.
  const { port } = new URL(house.gateway);
  const status = await new Promise((done, failed) => {
    http.get({ host: '127.0.0.1', port, path: '/metrics', localAddress: own }, (r) => {
      r.resume();
      done(r.statusCode);
    }).on('error', failed);
  });
  assert.equal(status, 403);
});
