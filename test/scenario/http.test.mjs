// HTTP on both sides of the gateway: bodies in every framing, what no two parsers agree on, headers
// that go on and headers that do not, and that no event waits for another.
import test from 'node:test';
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { Installation } from './lib/installation.mjs';
import { answered, ask, wire } from './lib/client.mjs';
import { Upstream, chunk, completion, event, message, streamed } from './lib/upstream.mjs';

const MAX = 65536;
let upstream, house;

test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ env: { ALL_KEY: 'sk-all' }, config: `
gateway: {workers: 1, max_body: ${MAX}}
providers:
  all: {dialect: [openai, deepseek, anthropic], url: '${upstream.url}', keys: [{env: ALL_KEY}], eject_after: 0}
` });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});
test.beforeEach(() => {
  upstream.requests.length = 0;
  upstream.answer = (x) => x.json(x.url.includes('messages') ? message('ok') : completion('ok'));
});

const GOOD = JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: '你好' }] });
const LENGTH = Buffer.byteLength(GOOD);
const CHAT = '/v1/chat/completions', MESSAGES = '/v1/messages';
const post = (headers, body, path = CHAT, version = 'HTTP/1.1') =>
  `POST ${path} ${version}\r\nHost: x\r\nAuthorization: Bearer ${house.key}\r\n${headers.map((h) => `${h}\r\n`).join('')}\r\n${body}`;
const send = (pieces, enough = answered()) => wire(house.gateway, pieces, enough);
const bodyOf = (t) => t.text.slice(t.text.indexOf('\r\n\r\n', t.text.search(/HTTP\/1.1 [2-5]/)) + 4);
const through = (body, options, path = CHAT) => ask(house.gateway, house.key, path, body, options);

function assertError(t, path, code) {
  const it = JSON.parse(t.text.startsWith('HTTP') ? bodyOf(t) : t.text);
  if (path === MESSAGES || path.startsWith('/anthropic')) {
    assert.equal(it.type, 'error');
    assert.equal(typeof it.error.type, 'string');
    assert.ok(it.error.message.includes(code), it.error.message);
  } else {
    assert.deepEqual(Object.keys(it.error).sort(), ['code', 'message', 'param', 'type']);
    assert.equal(it.error.code, code);
  }
}

// ---- bodies ----

test('100-continue: asked for when the head is good, and not when it is refused', async () => {
  const head = post(['Expect: 100-continue', `Content-Length: ${LENGTH}`], '');
  const asked = await send(head, (got) => got.includes('\r\n\r\n'));
  assert.equal(asked.text, 'HTTP/1.1 100 Continue\r\n\r\n');
  assert.equal(upstream.requests.length, 0);
  const whole = await send([head, GOOD]);
  assert.match(whole.text, /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 /);
  assert.equal(upstream.requests[0].raw.toString(), GOOD);
  assert.equal(upstream.requests[0].headers.expect, undefined);
  const refused = await send(head.replace(house.key, 'sh-nobody'));
  assert.equal(refused.status, 401, 'no 100 before it');
});

test('chunked uploads: whatever the chunks, extensions and writes', async () => {
  const bytes = Buffer.from(GOOD);
  for (const size of [1, 7, 4096]) {
    const chunks = [];
    for (let i = 0; i < bytes.length; i += size) {
      const part = bytes.subarray(i, i + size);
      chunks.push(Buffer.from(`${part.length.toString(16)}${i ? '' : ';a=b'}\r\n`), part, Buffer.from('\r\n'));
    }
    chunks.push(Buffer.from('0\r\n\r\n'));
    for (const pieces of [chunks, [Buffer.concat(chunks)], [...Buffer.concat(chunks)].map((b) => Buffer.from([b]))]) {
      const t = await send([post(['Transfer-Encoding: chunked'], ''), ...pieces]);
      assert.equal(t.status, 200, t.text);
      const seen = upstream.requests.at(-1);
      assert.equal(seen.raw.toString(), GOOD);
      assert.equal(seen.headers['content-length'], String(LENGTH));
      assert.equal(seen.headers['transfer-encoding'], undefined);
    }
  }
});

test('a head in single bytes, requests one after another and at once, HTTP/1.0', async () => {
  const one = post([`Content-Length: ${LENGTH}`], GOOD);
  assert.equal((await send([...Buffer.from(one)].map((b) => Buffer.from([b])))).status, 200);
  const three = await send([one.repeat(3)], answered(3));
  assert.equal(three.text.match(/HTTP\/1.1 200/g).length, 3);
  upstream.answer = (x) => x.stream(streamed(['a', 'b']));
  const old = await send(post([`Content-Length: ${LENGTH + 14}`], GOOD.replace('{', '{"stream":true,').slice(0, LENGTH + 14).padEnd(LENGTH + 14), CHAT, 'HTTP/1.0'), () => false);
  assert.equal(old.how, 'end');
  assert.ok(!/transfer-encoding/i.test(old.text));
});

test('coded bodies are refused, and what is too large, in both shapes', async () => {
  for (const path of [CHAT, MESSAGES, '/anthropic/v1/messages']) {
    for (const coding of ['gzip', 'deflate', 'br', 'identity, gzip', 'GZIP']) {
      const t = await through(gzipSync(GOOD), { headers: { 'content-encoding': coding } }, path);
      assert.equal(t.status, 415);
      assertError(t, path, 'unsupported_media_type');
    }
    for (const t of [await through(Buffer.alloc(MAX + 1, 0x20), {}, path),
      await send(post(['Transfer-Encoding: chunked'], `${(MAX + 1).toString(16)}\r\n${' '.repeat(MAX + 1)}\r\n0\r\n\r\n`, path))]) {
      assert.equal(t.status, 413);
      assertError(t, path, 'payload_too_large');
    }
    for (const [body, code] of [['', 'missing_body'], ['{"model":', 'invalid_json'], ['[]', 'invalid_json'], ['{"model":"x","model":"y"}', 'repeated_member'],
      [Buffer.from('7b2261223a22ff227d', 'hex'), 'invalid_json'], ['{"messages":[]}', 'model_required']]) {
      const t = await through(body, {}, path);
      assert.equal(t.status, 400);
      assertError(t, path, code);
    }
    const deep = await through(`{"model":"x","a":${'['.repeat(2000)}${']'.repeat(2000)}}`, {}, path);
    assert.equal(deep.status, 413);
    assertError(deep, path, 'nesting_too_deep');
  }
  assert.equal(upstream.requests.length, 0);
  assert.equal((await through(GOOD, { headers: { 'content-encoding': 'identity' } })).status, 200);
  const get = await send(post(['Content-Length: 2'], '{}', '/v1/models').replace('POST', 'GET'));
  assert.equal(get.status, 400);
  assertError(get, CHAT, 'unexpected_body');
});

// ---- framing that is read in two ways ----

const SMUGGLED = 'GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n';
const CHUNKED = `${LENGTH.toString(16)}\r\n${GOOD}\r\n0\r\n\r\n`;
const CL = `Content-Length: ${LENGTH}`, TE = 'Transfer-Encoding: chunked';
const SHAPES = {
  'both lengths': [[CL, TE], CHUNKED], 'both, the other way round': [[TE, CL], CHUNKED],
  'two lengths': [[CL, `Content-Length: ${LENGTH + 4}`], GOOD], 'the same length twice': [[CL, CL], GOOD],
  'a list of lengths': [[`Content-Length: ${LENGTH}, ${LENGTH}`], GOOD],
  'plus': [[`Content-Length: +${LENGTH}`], GOOD], 'minus': [['Content-Length: -1'], GOOD],
  'hexadecimal': [[`Content-Length: 0x${LENGTH.toString(16)}`], GOOD], 'no number': [['Content-Length: '], GOOD],
  'too large a number': [['Content-Length: 18446744073709551615'], GOOD], 'and a letter': [[`${CL}a`], GOOD],
  'a space before the colon': [[`Content-Length : ${LENGTH}`], GOOD], 'a tab before it': [[`Transfer-Encoding\t: chunked`], CHUNKED],
  'a folded line': [['Content-Length:', ` ${LENGTH}`], GOOD], 'a folded coding': [['Transfer-Encoding:', '\tchunked'], CHUNKED],
  'chunked twice': [[TE, TE], CHUNKED], 'chunked, chunked': [[`${TE}, chunked`], CHUNKED],
  'gzip, chunked': [['Transfer-Encoding: gzip, chunked'], CHUNKED], 'chunked, gzip': [['Transfer-Encoding: chunked, gzip'], CHUNKED],
  'chunked, identity': [['Transfer-Encoding: chunked, identity'], CHUNKED], 'identity': [['Transfer-Encoding: identity', CL], GOOD],
  'xchunked': [['Transfer-Encoding: xchunked'], CHUNKED], 'chunked in quotes': [['Transfer-Encoding: "chunked"'], CHUNKED],
  'chunked with a vertical tab': [['Transfer-Encoding: \x0bchunked'], CHUNKED],
  'a name with a null': [['Content\0Length: 1', CL], GOOD], 'a value with a null': [[CL, 'X-A: a\0b'], GOOD],
  'a bare CR in a header': [[CL, 'X-A: a\rTransfer-Encoding: chunked'], GOOD],
  'no colon': [[CL, 'Transfer-Encoding chunked'], GOOD], 'an empty name': [[CL, ': chunked'], GOOD],
  'two hosts': [[CL, 'Host: y'], GOOD],
  'chunks under HTTP/1.0': [[TE], CHUNKED, 'HTTP/1.0'], 'HTTP/2.0 in words': [[CL], GOOD, 'HTTP/2.0'], 'HTTP/1.1x': [[CL], GOOD, 'HTTP/1.1x'],
  'a chunk size with a sign': [[TE], `+${CHUNKED}`], 'with 0x': [[TE], `0x${CHUNKED}`], 'with a space before': [[TE], ` ${CHUNKED}`],
  'that overflows': [[TE], `1${'0'.repeat(16)}${CHUNKED}`], 'negative': [[TE], '-1\r\n\r\n0\r\n\r\n'],
  'a chunk longer than it says': [[TE], `5\r\n${GOOD}\r\n0\r\n\r\n`], 'no size': [[TE], `\r\n${GOOD}\r\n0\r\n\r\n`],
};
for (const [name, [headers, body, version]] of Object.entries(SHAPES))
  test(`refused: ${name}`, async () => {
    const t = await send(post(headers, body + SMUGGLED, CHAT, version), (got) => answered(2)(got));
    assert.ok([400, 413, 501, 505].includes(t.status), `${t.status}\n${t.text}`);
    assert.ok(['end', 'reset'].includes(t.how), `${t.how}: the connection ends`);
    assert.equal(t.text.match(/HTTP\/1.1 \d/g).length, 1);
    assert.equal(upstream.requests.length, 0);
    JSON.parse(bodyOf(t));
  });

test('where a request goes is the configuration\'s word alone', async () => {
  for (const text of [post([CL], GOOD).replace('Host: x', 'Host: 169.254.169.254'),
    post([CL, 'X-Forwarded-Host: evil.example', 'X-Original-URL: /v1/x', 'X-Rewrite-URL: /v1/x'], GOOD),
    post([CL], GOOD, 'http://evil.example/v1/chat/completions')]) {
    const t = await send(text);
    if (t.status !== 200) assert.ok([400, 404].includes(t.status), t.text);
    for (const r of upstream.requests) assert.deepEqual([r.url, r.headers.host], [CHAT, upstream.url.slice(7)]);
  }
  upstream.requests.length = 0;
  for (const path of ['/', '/v1', '/v2/chat/completions', '/v1/chat/completions/', '//v1/chat/completions', '/v1//chat/completions',
    '/v1/../v1/chat/completions', '/v1/%63hat/completions', '/V1/chat/completions', '/v1/chat/completions;x', '/v1/chat/completions%00',
    '/v1/files', '/v1/fine_tuning/jobs', '/admin', '/v1/models/../../admin', '/anthropic/v1/nothing', '/.well-known/x', '/v1/models/%2e%2e/x']) {
    const t = await send(post([CL], GOOD, path));
    assert.ok([400, 404, 405].includes(t.status), `${path}: ${t.status}`);
    JSON.parse(bodyOf(t));
  }
  assert.equal(upstream.requests.length, 0);
  await through(GOOD, {}, `${MESSAGES}?beta=true&x=1`);
  assert.equal(upstream.requests[0].url, `${MESSAGES}?beta=true&x=1`, 'a query goes on');
});

test('heads that are too large, and methods that are not served', async () => {
  for (const [text, statuses] of [
    [post([CL, `X-A: ${'a'.repeat(20000)}`], GOOD), [400, 431]],
    [post([CL, ...Array.from({ length: 4000 }, (_, i) => `X-${i}: ${'a'.repeat(20)}`)], GOOD), [400, 431]],
    [post([CL], GOOD, `${CHAT}?${'a'.repeat(20000)}`), [414]],
    [post([CL], GOOD).replace('POST', 'PUT'), [405]], [post([CL], GOOD).replace('POST', 'DELETE'), [405]],
    [post([CL], GOOD).replace('POST', 'OPTIONS'), [405]], [post([CL], GOOD).replace('POST', 'GET'), [405]],
    ['CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n', [400, 405]],
    ['TRACE / HTTP/1.1\r\nHost: x\r\n\r\n', [400, 405, 404]], ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', [400]]]) {
    const t = await send(text);
    assert.ok(statuses.includes(t.status), `${t.status}: ${text.slice(0, 60)}`);
    const { error } = JSON.parse(bodyOf(t));
    assert.equal(typeof error.code, 'string');
    if (t.status === 405) assert.match(t.text, /\r\nallow: /i);
  }
  assert.equal(upstream.requests.length, 0);
});

// ---- headers ----

test('what is for one hop, for us, or a secret, goes no further; the rest goes on', async () => {
  const gone = {
    connection: 'close, X-Hop , x-other-hop', 'x-hop': '1', 'X-Other-Hop': '2', 'keep-alive': 'timeout=5', te: 'trailers',
    upgrade: 'websocket', cookie: 'session=canary', 'proxy-authorization': 'Basic canary', 'api-key': 'canary', 'x-api-key': 'canary',
    'proxy-connection': 'keep-alive', trailer: 'X-T',
  };
  const stays = {
    'anthropic-version': '2023-06-01', 'anthropic-beta': 'a,b', 'openai-organization': 'org-1', 'openai-beta': 'x', 'x-stainless-retry-count': '0',
    'user-agent': 'test/1', 'idempotency-key': 'k1', 'x-custom': 'c', accept: 'application/json',
  };
  const lines = Object.entries({ ...gone, ...stays, 'accept-encoding': 'gzip, br, zstd' }).map((pair) => pair.join(': '));
  assert.equal((await send(post([CL, ...lines], GOOD))).status, 200);
  const { headers } = upstream.requests[0];
  for (const name of Object.keys(gone)) {
    const value = headers[name.toLowerCase()];
    if (name === 'connection') assert.ok([undefined, 'keep-alive'].includes(value), value);
    else assert.equal(value, undefined, name);
  }
  for (const [name, value] of Object.entries(stays)) assert.equal(headers[name], value, name);
  assert.equal(headers['accept-encoding'], 'identity');
  assert.equal(headers.authorization, 'Bearer sk-all');
  assert.ok(!JSON.stringify(headers).includes('canary'));
  await ask(house.gateway, null, MESSAGES, GOOD, { headers: { 'x-api-key': house.key } });
  assert.equal(upstream.requests.at(-1).headers['x-api-key'], 'sk-all');
  assert.equal(upstream.requests.at(-1).headers.authorization, undefined);
});

test('of an answer: request ids, limits and advice go on; cookies, hops and commands do not', async () => {
  const stays = {
    'x-request-id': 'req_1', 'request-id': 'req_2', 'openai-processing-ms': '17', 'openai-version': '2020-10-01',
    'x-ratelimit-limit-requests': '100', 'x-ratelimit-remaining-tokens': '5', 'x-ratelimit-reset-requests': '1s',
    'anthropic-ratelimit-requests-remaining': '9', 'anthropic-organization-id': 'o', 'retry-after': '3', 'retry-after-ms': '3000',
    'x-should-retry': 'true', 'cf-ray': 'r', 'x-accel-buffering': 'no', 'cache-control': 'no-cache', 'x-ds-trace-id': 't',
  };
  const gone = {
    'set-cookie': ['a=1', 'b=2'], 'keep-alive': 'timeout=5', 'proxy-authenticate': 'Basic', 'x-accel-redirect': '/healthz', upgrade: 'h2c',
    'x-accel-charset': 'koi8-r', 'x-accel-limit-rate': '1', 'x-accel-expires': '0', 'x-safehouse-id': '00000000-0000-0000-0000-000000000000',
  };
  for (const status of [200, 429]) {
    upstream.answer = (x) => x.json(completion('ok'), status, { ...stays, ...gone });
    const t = await through(GOOD);
    for (const [name, value] of Object.entries(stays)) assert.equal(t.headers[name], value, name);
    for (const [name, value] of Object.entries(gone)) assert.notDeepEqual(t.headers[name], value, name);
    for (const name of ['set-cookie', 'x-accel-redirect', 'proxy-authenticate', 'upgrade']) assert.equal(t.headers[name], undefined, name);
    assert.deepEqual(JSON.parse(t.text), completion('ok'));
    assert.match(t.id, /^[0-9a-f-]{36}$/);
    assert.equal(t.headers.server?.includes('/') ?? false, false, 'no version is told');
    upstream.requests.length = 0;
    await house.cli('reload', '--dir', house.dir); // the key was told to wait
  }
});

test('answers of every form are what they are direct, and the worker lives on', async () => {
  const plain = JSON.stringify(completion('ok')), coded = { 'content-encoding': 'gzip' };
  const pid = (await house.status()).gateway.workers[0].pid;
  const reply = (status, headers, ...pieces) => (x) => {
    x.res.writeHead(status, headers);
    for (const piece of pieces) x.res.write(piece);
    x.res.end();
  };
  const packed = gzipSync(plain), page = gzipSync(streamed(['a', 'b']).join('')), sse = { 'content-type': 'text/event-stream' };
  for (const [name, answer] of Object.entries({
    'no content': reply(204, {}), 'not modified': reply(304, { etag: '"x"' }), 'nothing in it': reply(200, { 'content-length': 0 }),
    'nothing of a type': reply(200, { 'content-type': 'application/json', 'content-length': 0 }),
    'nothing, refused': reply(400, { 'content-length': 0 }), 'elsewhere': reply(302, { location: '/elsewhere', 'content-length': 0 }),
    'no type': reply(200, { 'content-length': plain.length }, plain), 'text': reply(200, { 'content-type': 'text/plain' }, 'ok'),
    'coded': reply(200, { 'content-type': 'application/json', 'content-length': packed.length, ...coded }, packed),
    'coded, in chunks': reply(200, { 'content-type': 'application/json', ...coded }, packed.subarray(0, 9), packed.subarray(9)),
    'a coded stream': reply(200, { ...sse, 'cache-control': 'no-cache', ...coded }, page), 'a coded error': reply(429, { 'content-type': 'application/json', 'x-should-retry': 'false', ...coded }, packed),
    'a stream of a type with parameters': reply(200, { 'content-type': 'Text/Event-Stream ; charset=utf-8', 'cache-control': 'no-cache' }, ...streamed(['a'])),
    'a stream with a line of 3 MB': reply(200, { ...sse, 'cache-control': 'no-cache' }, event(chunk({ content: 'x'.repeat(3 << 20) })), ...streamed(['a'])),
    'headers of 12 kB': (x) => x.json(completion('ok'), 200, { 'x-long': 'y'.repeat(12000) }),
  }))
    for (const path of name.includes('stream') ? [CHAT] : [CHAT, MESSAGES, '/v1/responses', '/v1/embeddings', '/moderations', '/v1/models']) {
      const get = path.endsWith('models') && { method: 'GET' };
      const body = get ? undefined : { ...JSON.parse(GOOD), input: 'x', stream: true, stream_options: { include_usage: true } };
      upstream.answer = answer;
      const d = await ask(upstream.url, 'k', path, body, get), t = await through(body, get || {}, path);
      assert.deepEqual([t.status, t.how], [d.status, d.how], `${name}, ${path}`);
      assert.deepEqual(t.body, d.body, `${name}, ${path}`);
      for (const header of ['content-type', 'content-encoding', 'location', 'x-long', 'etag'])
        assert.equal(t.headers[header], d.headers[header], `${name}, ${path}: ${header}`);
    }
  upstream.answer = reply(200, { ...sse, 'content-length': 0 });
  const t = await through({ ...JSON.parse(GOOD), stream: true });
  assert.deepEqual([t.status, t.how], [200, 'cut'], 'a stream of nothing has no end');
  assert.equal((await house.status()).gateway.workers[0].pid, pid);
});

test('a stream says that nobody is to buffer or keep it, and is not coded', async () => {
  upstream.answer = (x) => { x.res.writeHead(200, { 'content-type': 'text/event-stream' }); x.res.end(streamed(['a']).join('')); };
  const t = await through({ ...JSON.parse(GOOD), stream: true }, { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(t.headers['content-type'], 'text/event-stream');
  assert.equal(t.headers['content-encoding'], undefined);
  assert.match(t.headers['cache-control'] ?? '', /no-cache/);
  assert.equal(t.headers['x-accel-buffering'], 'no');
});

// ---- at once ----

test('small pieces do not wait for each other', async () => {
  const ROUNDS = 50; // 40 ms each would be 2 s: that is Nagle waiting for a delayed ACK
  for (const asked of [true, false]) {
    let passed = () => {};
    upstream.answer = async (x) => {
      x.socket.setNoDelay(true);
      x.res.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let i = 0; i < ROUNDS; i++) {
        const both = new Promise((go) => { passed = go; });
        x.res.write(event(chunk({ content: 'a' })));
        await new Promise((go) => setImmediate(go));
        x.res.write(event(chunk({ content: `<${i}>` })));
        await both; // the second of the two is with the client
      }
      x.res.end(event('[DONE]'));
    };
    const began = Date.now();
    const t = await through({ ...JSON.parse(GOOD), stream: true, ...(asked && { stream_options: { include_usage: true } }) },
      { on: (d) => { if (/<\d+>/.test(d.toString())) passed(); } });
    assert.ok(t.text.endsWith('data: [DONE]\n\n'));
    const ms = Date.now() - began;
    assert.ok(ms < ROUNDS * 15, `${ms} ms for ${ROUNDS} rounds`);
  }
});

test('connections to a provider are kept', async () => {
  const ports = new Set();
  upstream.answer = (x) => { ports.add(x.socket.remotePort); x.json(completion('ok')); };
  for (let i = 0; i < 20; i++) await through(GOOD);
  assert.equal(ports.size, 1);
});

test('HEAD has no body', async () => {
  upstream.answer = (x) => x.json({ object: 'list', data: [] });
  const t = await send(`HEAD /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${house.key}\r\n\r\n`, () => false);
  assert.equal(t.status, 200);
  assert.equal(bodyOf(t), '');
});
