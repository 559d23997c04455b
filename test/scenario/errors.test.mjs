// What a provider says is wrong, to official clients: the same error as direct, thrown as often, tried
// again as often. And what it says before it knows: blank lines and comments.
import test from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import Anthropic from '@anthropic-ai/sdk';
import { createDeepSeek } from '@ai-sdk/deepseek';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';
import OpenAI from 'openai';
import { Installation } from './lib/installation.mjs';
import { ask, recording } from './lib/client.mjs';
import { Upstream, completion, event, messageEvents, named, responseEvents, streamed } from './lib/upstream.mjs';

let upstream, house;
test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ config: `
gateway: {workers: 1}
providers:
  all: {dialect: [openai, deepseek, anthropic], url: '${upstream.url}', eject_after: 0}
` });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const MESSAGES = [{ role: 'user', content: 'hi' }];
const CHAT = { model: 'gpt-4o-mini', messages: MESSAGES, max_tokens: 9 };
const drain = async (stream) => { for await (const _ of await stream) ; };

// Each client: how it is made, how it asks for an answer, and for a streamed one.
const CLIENTS = {
  openai: [(b, apiKey, fetch) => new OpenAI({ baseURL: `${b}/v1`, apiKey, fetch }),
    (c) => c.chat.completions.create(CHAT), (c) => drain(c.chat.completions.create({ ...CHAT, stream: true }))],
  'openai, at deepseek\'s paths': [(b, apiKey, fetch) => new OpenAI({ baseURL: b, apiKey, fetch }),
    (c) => c.chat.completions.create(CHAT), (c) => drain(c.chat.completions.create({ ...CHAT, stream: true }))],
  'openai, responses': [(b, apiKey, fetch) => new OpenAI({ baseURL: `${b}/v1`, apiKey, fetch }),
    (c) => c.responses.create({ model: 'gpt-4o-mini', input: 'x' }), (c) => drain(c.responses.create({ model: 'gpt-4o-mini', input: 'x', stream: true }))],
  anthropic: [(b, apiKey, fetch) => new Anthropic({ baseURL: b, apiKey, fetch }),
    (c) => c.messages.create(CHAT), (c) => drain(c.messages.create({ ...CHAT, stream: true }))],
  'ai, openai-compatible': [(b, apiKey, fetch) => createOpenAICompatible({ name: 'x', baseURL: `${b}/v1`, apiKey, fetch }),
    ...viaAi('gpt-4o-mini')],
  'ai, deepseek': [(b, apiKey, fetch) => createDeepSeek({ baseURL: b, apiKey, fetch }), ...viaAi('deepseek-chat')],
};
function viaAi(model) {
  return [
    (c) => generateText({ model: c(model), messages: MESSAGES, maxRetries: 0 }),
    async (c) => {
      const { fullStream } = streamText({ model: c(model), messages: MESSAGES, maxRetries: 0, onError: () => {} });
      for await (const part of fullStream) if (part.type === 'error') throw part.error;
    },
  ];
}

// What there is to an error, whichever client throws it.
const parts = (e) => (e && {
  name: e.name, constructor: e.constructor?.name, message: e.message, status: e.status, code: e.code, param: e.param, type: e.type, error: e.error,
  statusCode: e.statusCode, responseBody: e.responseBody, isRetryable: e.isRetryable, data: e.data, plain: e instanceof Error ? undefined : e,
});
async function both(make, call, answer) {
  const seen = [];
  upstream.answer = answer;
  for (const [base, key] of [[upstream.url, 'k'], [house.gateway, house.key]]) {
    const { fetch, last } = recording(), before = upstream.requests.length;
    const e = await call(make(base, key, fetch)).then(() => null, (error) => error);
    seen.push({ e: parts(e), tries: upstream.requests.length - before, wire: last() });
  }
  const [d, t] = seen;
  assert.deepEqual(t.e, d.e);
  assert.equal(t.tries, d.tries, 'tried as often as direct');
  return t;
}

const STATUSES = [
  [400, {}], [402, {}], [403, {}], [404, {}], [413, {}], [422, {}],
  [429, { 'x-should-retry': 'false' }], [429, { 'retry-after-ms': '5' }], [429, { 'retry-after': '0.01' }],
  [429, { 'retry-after-ms': '1', 'retry-after': '1', 'x-should-retry': 'true' }],
  [500, { 'retry-after-ms': '1' }], [503, { 'retry-after-ms': '1' }], [529, { 'x-should-retry': 'false' }],
];
for (const [name, [make, call, stream]] of Object.entries(CLIENTS))
  test(`${name}: every status that a provider may answer`, async () => {
    const body = name === 'anthropic'
      ? { type: 'error', error: { type: 'some_error', message: '不行' }, request_id: 'req_1' }
      : { error: { message: '不行', type: 'some_error', param: null, code: 'some' } };
    for (const [status, headers] of STATUSES)
      for (const ask of [call, stream]) {
        const t = await both(make, ask, (x) => x.json(body, status, { ...headers, 'x-request-id': 'req_1' }));
        assert.ok(t.e, `${status} is an error`);
        assert.equal(t.wire.status, status);
        for (const header of Object.keys(headers)) assert.equal(t.wire.headers.get(header), headers[header]);
      }
    // Without advice clients wait for a second or two: not here.
    await both((...a) => Object.assign(make(...a), { maxRetries: 0 }), call, (x) => x.json(body, 429));
  });

const SAID = { message: 'overloaded', type: 'server_error', param: null, code: 'x' };
const BROKEN = {
  anthropic: [[...messageEvents('ok').slice(0, 4), named({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } })]],
  'openai, responses': [
    [...responseEvents(['ok']).slice(0, 4), named({ type: 'error', sequence_number: 4, ...SAID, type: 'error' })],
    [...responseEvents(['ok']).slice(0, 4), named({ type: 'response.failed', response: { id: 'resp_1', status: 'failed', error: SAID, output: [] } })]],
  others: [[], [event('[DONE]')]].map((end) => [...streamed(['ok']).slice(0, 2), event({ error: SAID }), ...end]),
};
for (const [name, [make, , stream]] of Object.entries(CLIENTS))
  test(`${name}: an error in the middle of a stream`, async () => {
    for (const events of BROKEN[name] ?? BROKEN.others) await both(make, stream, (x) => x.stream(events));
  });

for (const [name, [make, call, stream]] of Object.entries(CLIENTS))
  test(`${name}: blank lines before a body, comments in a stream, and then an error after all`, async () => {
    if (name.includes('responses') || name === 'anthropic') return; // DeepSeek's habit, in its dialect
    const slowly = (type, pieces) => async (x) => {
      x.res.writeHead(200, { 'content-type': type });
      for (const piece of pieces) {
        x.res.write(piece);
        await new Promise((go) => setImmediate(go));
      }
      x.res.end();
    };
    for (const outcome of [completion('ok'), { error: SAID }]) {
      await both(make, call, slowly('application/json', ['\n', '\n\n', JSON.stringify(outcome)]));
      const rest = outcome.error ? [event(outcome), event('[DONE]')] : streamed(['ok']);
      await both(make, stream, slowly('text/event-stream', [': keep-alive\n\n', ':\n\n', rest[0], ': keep-alive\n\n', ...rest.slice(1)]));
    }
  });

test('blank lines and comments go on at once', async () => {
  const path = '/v1/chat/completions';
  for (const [body, type, beat, rest] of [
    [CHAT, 'application/json', '\n\n', [JSON.stringify(completion('ok'))]],
    [{ ...CHAT, stream: true }, 'text/event-stream', ': keep-alive\n\n', streamed(['ok'])]]) {
    let passed;
    const seen = new Promise((go) => { passed = go; });
    upstream.answer = async (x) => {
      x.res.writeHead(200, { 'content-type': type });
      x.res.write(beat);
      await seen; // the client has it
      for (const piece of rest) x.res.write(piece);
      x.res.end();
    };
    const t = await ask(house.gateway, house.key, path, body, { on: () => passed() });
    assert.equal(t.text, beat + rest.join(''));
    assert.equal(t.how, 'end');
  }
});

test('an HTML page for an error becomes one of ours, in the dialect\'s shape', async () => {
  const page = '<html><head><title>502 Bad Gateway</title></head><body>canary-of-the-page</body></html>';
  for (const status of [500, 502, 503, 504])
    for (const path of ['/v1/chat/completions', '/v1/messages', '/v1/responses', '/chat/completions', '/anthropic/v1/messages']) {
      upstream.answer = (x) => { x.res.writeHead(status, { 'content-type': 'text/html', etag: '"x"', 'content-encoding': 'identity' }); x.res.end(page); };
      const t = await ask(house.gateway, house.key, path, { ...CHAT, input: 'x' });
      assert.equal(t.status, status === 500 ? 500 : status, 'the status stays');
      assert.equal(t.headers['content-type'], 'application/json');
      assert.ok(!t.text.includes('canary'));
      const it = JSON.parse(t.text);
      if (path.includes('messages')) assert.deepEqual([it.type, Object.keys(it.error).sort()], ['error', ['message', 'type']]);
      else assert.deepEqual(Object.keys(it.error).sort(), ['code', 'message', 'param', 'type']);
    }
});

test('bodies together have a ceiling, too: 503, and room again when some are gone', async () => {
  const { hostname, port } = new URL(house.gateway);
  const open = [];
  const announce = () => new Promise((done) => {
    const s = net.connect(Number(port), hostname, () => s.write('POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n' +
      `Authorization: Bearer ${house.key}\r\nContent-Length: ${32 << 20}\r\n\r\n`));
    s.on('error', () => {});
    s.once('data', (d) => done({ s, text: d.toString() }));
    open.push(s);
  });
  let last;
  for (let i = 0; i < 40 && !last?.text.startsWith('HTTP/1.1 503'); i++) last = await announce();
  assert.match(last.text, /^HTTP\/1.1 503 /);
  assert.match(last.text, /\r\nretry-after: \d/i);
  assert.match(last.text, /"code":"overloaded"/);
  upstream.answer = (x) => x.json(completion('ok'));
  assert.equal((await ask(house.gateway, house.key, '/v1/models', undefined, { method: 'GET' })).status, 200, 'what has no body goes on');
  for (const s of open) s.destroy();
  let t;
  for (let i = 0; i < 100 && t?.status !== 200; i++) t = await ask(house.gateway, house.key, '/v1/chat/completions', CHAT);
  assert.equal(t.status, 200);
});
