// The official client through the gateway against the same client direct, byte for byte, and what
// `safehouse show` gives back of each exchange.
import test from 'node:test';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import OpenAI from 'openai';
import { Installation } from './lib/installation.mjs';
import { assertShown } from './lib/placeholders.mjs';
import { Upstream, completion, chunk, event, streamed } from './lib/upstream.mjs';

const TOOLS = [{
  type: 'function',
  function: {
    name: 'get_weather', description: 'Weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}];
const ASK = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: '今天北京天气怎么样？ 🌤' }] };

let upstream, house, direct, through;

test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ upstream: upstream.url });
  direct = new OpenAI({ apiKey: 'provider-key', baseURL: `${upstream.url}/v1`, maxRetries: 0 });
  through = new OpenAI({ apiKey: house.key, baseURL: `${house.gateway}/v1`, maxRetries: 0 });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

// The bytes of an answer's body as a plain HTTP client sees them, the headers and how it ended.
function raw(base, key, body) {
  return new Promise((done) => {
    const req = http.request(`${base}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    }, (res) => {
      const parts = [];
      res.on('data', (d) => parts.push(d));
      const finish = (how) => done({
        status: res.statusCode, headers: res.headers, body: Buffer.concat(parts).toString(), how,
      });
      res.on('end', () => finish('end'));
      res.on('error', () => finish('cut'));
    });
    req.on('error', () => done({ how: 'no answer' }));
    req.end(JSON.stringify(body));
  });
}

async function sameBytes(request, answer) {
  upstream.answer = answer;
  const d = await raw(upstream.url, 'provider-key', request);
  const t = await raw(house.gateway, house.key, request);
  assert.equal(t.body, d.body);
  assert.equal(t.status, d.status);
  assert.equal(t.how, d.how);
  return t;
}

async function shown(id, request) {
  await house.stored(id);
  const it = await house.show(id);
  const [{ findings }] = await house.rows(`SELECT findings FROM interactions WHERE id = '${id}'`);
  assertShown(it.request, request, findings);
  return it;
}

test('plain answer', async () => {
  upstream.answer = (x) => x.json(completion('晴，25°C'));
  const d = await direct.chat.completions.create(ASK);
  const { data, response } = await through.chat.completions.create(ASK).withResponse();
  assert.deepEqual(data, d);
  const it = await shown(response.headers.get('x-safehouse-id'), ASK);
  assert.deepEqual(it.response, completion('晴，25°C'));
  const sent = upstream.requests.at(-1);
  assert.equal(sent.headers['x-api-key'], undefined);
  assert.ok(!String(sent.headers.authorization).includes(house.key));
});

test('streamed answer, unicode split across events and writes', async () => {
  const whole = Buffer.from(streamed(['北京', '今天', '晴 🌤', '，25°C']).join(''));
  const pieces = [];
  for (let i = 0; i < whole.length; i += 7) pieces.push(whole.subarray(i, i + 7));
  const request = { ...ASK, stream: true };
  const answer = (x) => x.stream(pieces);
  const t = await sameBytes(request, answer);
  assert.ok(t.body.endsWith('data: [DONE]\n\n'));
  const collect = async (client) => {
    const chunks = [];
    for await (const c of await client.chat.completions.create(request)) chunks.push(c);
    return chunks;
  };
  assert.deepEqual(await collect(through), await collect(direct));
  const it = await shown(t.headers['x-safehouse-id'], request);
  assert.equal(it.response.choices[0].message.content, '北京今天晴 🌤，25°C');
  assert.equal(it.response.choices[0].finish_reason, 'stop');
  assert.equal(it.streamed, true);
});

test('.stream() helper, tool calls in fragments, usage chunk', async () => {
  const request = { ...ASK, tools: TOOLS, stream: true, stream_options: { include_usage: true } };
  upstream.answer = (x) => x.stream([
    event(chunk({ role: 'assistant', content: null, tool_calls: [
      { index: 0, id: 'call_1', type: 'function', function: { name: 'get_weather', arguments: '' } }] })),
    event(chunk({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] })),
    event(chunk({ tool_calls: [
      { index: 1, id: 'call_2', type: 'function', function: { name: 'get_weather', arguments: '{}' } }] })),
    event(chunk({ tool_calls: [{ index: 0, function: { arguments: '"北京"}' } }] })),
    event(chunk({}, { finish: 'tool_calls' })),
    event({ ...chunk({}), choices: [], usage: { prompt_tokens: 50, completion_tokens: 20, total_tokens: 70 } }),
    event('[DONE]'),
  ]);
  const viaHelper = async (client) => {
    const s = client.chat.completions.stream({ ...request });
    return s.finalChatCompletion();
  };
  assert.deepEqual(await viaHelper(through), await viaHelper(direct));
  const t = await raw(house.gateway, house.key, request);
  const it = await shown(t.headers['x-safehouse-id'], request);
  assert.deepEqual(it.response.choices[0].message.tool_calls, [
    { id: 'call_1', type: 'function', function: { name: 'get_weather', arguments: '{"city":"北京"}' } },
    { id: 'call_2', type: 'function', function: { name: 'get_weather', arguments: '{}' } },
  ]);
  const [row] = await house.rows(
    `SELECT tokens_input, tokens_output, finish FROM interactions WHERE id = '${t.headers['x-safehouse-id']}'`);
  assert.deepEqual([Number(row.tokens_input), Number(row.tokens_output), row.finish], [50, 20, 'tool_calls']);
});

test('three choices, interleaved', async () => {
  const request = { ...ASK, n: 3, stream: true };
  upstream.answer = (x) => x.stream([
    ...[0, 1, 2].map((index) => event(chunk({ role: 'assistant', content: '' }, { index }))),
    ...[2, 0, 1, 1, 0, 2].map((index) => event(chunk({ content: `第${index}个 ` }, { index }))),
    ...[1, 2, 0].map((index) => event(chunk({}, { index, finish: 'stop' }))),
    event('[DONE]'),
  ]);
  const collect = async (client) => {
    const chunks = [];
    for await (const c of await client.chat.completions.create(request)) chunks.push(c);
    return chunks;
  };
  assert.deepEqual(await collect(through), await collect(direct));
  const t = await raw(house.gateway, house.key, request);
  const it = await shown(t.headers['x-safehouse-id'], request);
  assert.deepEqual(it.response.choices.map((c) => [c.index, c.message.content]),
    [[0, '第0个 第0个 '], [1, '第1个 第1个 '], [2, '第2个 第2个 ']]);
});

test('an error status passes as it is, with its headers', async () => {
  const body = { error: { message: 'slow down', type: 'rate_limit', param: null, code: 'rate_limit_exceeded' } };
  upstream.answer = (x) => x.json(body, 429, { 'retry-after': '7', 'x-ratelimit-remaining-requests': '0' });
  const fails = (client) => client.chat.completions.create(ASK).then(() => null, (e) => e);
  const d = await fails(direct), t = await fails(through);
  assert.equal(t.constructor, d.constructor);
  assert.deepEqual(t.error, d.error);
  assert.equal(t.headers.get('retry-after'), '7');
  assert.equal(t.headers.get('x-ratelimit-remaining-requests'), '0');
  const it = await shown(t.headers.get('x-safehouse-id'), ASK);
  assert.deepEqual(it.response, body);
  assert.equal(it.status, 429);
});

test('an answer cut in the middle is cut for the client too', async () => {
  const request = { ...ASK, stream: true };
  upstream.answer = async (x) => {
    await x.stream(streamed(['halb', 'wegs']).slice(0, 3), { end: false });
    setImmediate(() => x.socket.destroy());
  };
  const t = await raw(house.gateway, house.key, request);
  assert.equal(t.how, 'cut');
  assert.ok(t.body.includes('halb'));
  const it = await shown(t.headers['x-safehouse-id'], request);
  assert.equal(it.outcome, 'cut');
  assert.ok(it.response.choices[0].message.content.startsWith('halb'));
});

test('a stream that ends cleanly without [DONE] is no success', async () => {
  const request = { ...ASK, stream: true };
  upstream.answer = (x) => x.stream(streamed(['almost']).slice(0, 2));
  const t = await raw(house.gateway, house.key, request);
  assert.equal(t.how, 'cut');
  assert.ok(t.body.includes('"error"'));
});

test('a client that leaves cancels the upstream, and its part is stored', async () => {
  const request = { ...ASK, stream: true };
  let gone;
  upstream.answer = async (x) => {
    gone = x.gone;
    await x.stream(streamed(['eins', 'zwei', 'drei']).slice(0, 3), { end: false });
  };
  const s = await through.chat.completions.create(request).withResponse();
  const id = s.response.headers.get('x-safehouse-id');
  for await (const c of s.data) if (c.choices[0].delta.content === 'eins') break;
  await gone;
  const it = await shown(id, request);
  assert.equal(it.outcome, 'cancelled');
  assert.ok(it.response.choices[0].message.content.startsWith('eins'));
});

test('models pass through', async () => {
  upstream.answer = (x) => x.json({ object: 'list', data: [{ id: 'gpt-4o-mini', object: 'model' }] });
  const list = async (client) => (await client.models.list()).data;
  assert.deepEqual(await list(through), await list(direct));
});

test('a body of 8 MB passes, chunked and with Content-Length', async () => {
  const request = { ...ASK, messages: [{ role: 'user', content: 'x'.repeat(8 << 20) }] };
  upstream.answer = (x) => x.json(completion(`${x.raw.length}`));
  const t = await raw(house.gateway, house.key, request);
  assert.equal(JSON.parse(t.body).choices[0].message.content, `${JSON.stringify(request).length}`);
  await shown(t.headers['x-safehouse-id'], request);
});

test('a body just below the ceiling that does not compress is kept and opened', async () => {
  const content = randomBytes(23 << 20).toString('base64'); // 30.7 MB
  const request = { ...ASK, messages: [{ role: 'user', content }] };
  upstream.answer = (x) => x.json(completion(content.slice(0, 1 << 20)));
  const t = await raw(house.gateway, house.key, request);
  assert.equal(t.status, 200);
  const it = await shown(t.headers['x-safehouse-id'], request);
  // Random letters have a few secrets' forms in them.
  assertShown({ text: it.response.choices[0].message.content }, { text: content.slice(0, 1 << 20) }, 1);
});
