// Several providers behind one gateway: which one gets a request, what it gets, what happens when it
// fails, and what the log says of it.
import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { gzipSync } from 'node:zlib';
import { Installation, until } from './lib/installation.mjs';
import { Upstream, completion, chunk, event, streamed } from './lib/upstream.mjs';

const names = ['first', 'second', 'claude', 'deep'];
const up = {};
let house;
const keys = { FIRST_KEY: 'sk-first-1', SECOND_KEY: 'sk-second-2', CLAUDE_KEY: 'sk-claude-3', DEEP_KEY: 'sk-deep-4' };

function configuration() {
  return `
providers:
  first: {dialect: openai, url: "${up.first.url}/v1", keys: [{env: FIRST_KEY}], eject_after: 0}
  second: {dialect: openai, url: "${up.second.url}/base", keys: [{env: SECOND_KEY}], eject_after: 0, isolate_by_user: true}
  claude: {dialect: anthropic, url: "${up.claude.url}", keys: [{env: CLAUDE_KEY}], eject_after: 0, timeouts: {first_byte: 400ms, idle: 400ms}}
  deep: {dialect: [deepseek, anthropic], url: "${up.deep.url}", keys: [{env: DEEP_KEY}], eject_after: 0, isolate_by_user: true}
routes:
  - {model: gpt-a, providers: [{name: first}], fallback: [second]}
  - {model: gpt-b, providers: [{name: second, model: "vendor/b"}]}
  - {model: "claude-*", providers: [{name: claude}]}
  - {model: "deep-*", providers: [{name: deep}]}
aliases: {best: gpt-a}
prices:
  models: {gpt-a: {input: 1, output: 2}}
log:
  session_id: {header: x-session}
  trace_id: {metadata: trace}
  tags: {team: {header: x-team}}
`;
}

test.before(async () => {
  for (const n of names) up[n] = await Upstream.start();
  house = await Installation.start({ config: configuration(), env: keys });
});
test.after(async () => {
  await house?.destroy();
  for (const n of names) await up[n]?.stop();
});
test.beforeEach(() => {
  for (const n of names) {
    up[n].requests.length = 0;
    up[n].answer = (x) => x.json(completion(`from ${n}`));
  }
});

const post = (path, body, headers = {}, key = house.key) => fetch(house.gateway + path, {
  method: 'POST',
  headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
  body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
});
const chat = (model, more = {}, headers) => post('/v1/chat/completions', { model, messages: [{ role: 'user', content: 'hi' }], ...more }, headers);
// What the log has of an exchange is looked at once, at the end: it takes a moment until it is there.
const logged = [];
const inLog = (r, check) => logged.push([r.headers.get('x-safehouse-id'), check]);

test('a route leads to its provider, with that one\'s path, Host and key', async () => {
  const r = await chat('gpt-a');
  assert.equal(r.status, 200);
  const [seen] = up.first.requests;
  assert.equal(seen.url, '/v1/chat/completions');
  assert.equal(seen.headers.host, up.first.url.slice(7));
  assert.equal(seen.headers.authorization, 'Bearer sk-first-1');
  assert.equal(seen.body.model, 'gpt-a');
  const b = await chat('gpt-b');
  assert.equal(b.status, 200);
  assert.equal(up.second.requests[0].url, '/base/v1/chat/completions');
  assert.equal(up.second.requests[0].body.model, 'vendor/b');
  assert.equal(up.second.requests[0].headers.authorization, 'Bearer sk-second-2');
  inLog(r, (it) => {
    assert.equal(it.provider, 'first');
    assert.equal(it.model_asked, 'gpt-a');
    assert.equal(it.usage, 'reported');
    assert.equal(Number(it.cost_nano), 9 * 1000 + 12 * 2000);
  });
});

test('an alias is asked for under the model\'s name', async () => {
  const r = await chat('best');
  assert.equal(up.first.requests[0].body.model, 'gpt-a');
  inLog(r, (it) => assert.equal(it.model_asked, 'best'));
});

test('an unknown model, a missing one, one that is named twice', async () => {
  const r = await chat('nothing-like-it');
  assert.equal(r.status, 404);
  const { error } = await r.json();
  assert.equal(error.code, 'model_not_found');
  assert.equal(error.param, 'model');
  assert.equal((await (await post('/v1/chat/completions', { messages: [] })).json()).error.code, 'model_required');
  const twice = await post('/v1/chat/completions', '{"model":"gpt-a","messages":[],"model":"gpt-b"}');
  assert.equal((await twice.json()).error.code, 'repeated_member');
  assert.equal((await chat('claude-x')).status, 404, 'not in this dialect');
});

for (const status of [401, 402, 403, 404, 408, 429, 500, 502, 503, 504, 529])
  test(`after ${status} the next provider gets it`, async () => {
    up.first.answer = (x) => x.json({ error: { message: 'no' } }, status, { 'x-from': 'first' });
    const r = await chat('gpt-a');
    assert.equal(r.status, 200);
    assert.equal(r.headers.get('x-from'), null);
    assert.equal((await r.json()).choices[0].message.content, 'from second');
    assert.equal(up.second.requests[0].headers.authorization, 'Bearer sk-second-2');
    inLog(r, (it) => {
      assert.equal(it.provider, 'second');
      assert.equal(it.attempts, 2);
    });
    if (status === 401 || status === 402 || status === 429) // the key is out, or rests: a reload brings it back
      await house.cli('reload', '--dir', house.dir).catch(() => {});
  });

test('no connection: the next provider; sent and no answer: not twice', async () => {
  up.first.answer = (x) => x.socket.destroy();
  const r = await chat('gpt-a');
  assert.equal(r.status, 502);
  assert.equal(up.second.requests.length, 0);
});

test('the last answer passes as it is', async () => {
  up.first.answer = (x) => x.json({ error: { message: 'busy' } }, 500);
  up.second.answer = (x) => x.json('{"error": {"message":"slow down" } }', 429, { 'retry-after': '7', 'x-ratelimit-limit-requests': '5' });
  const r = await chat('gpt-a');
  assert.equal(r.status, 429);
  assert.equal(r.headers.get('retry-after'), '7');
  assert.equal(r.headers.get('x-ratelimit-limit-requests'), '5');
  assert.equal(await r.text(), '{"error": {"message":"slow down" } }');
  await house.cli('reload', '--dir', house.dir).catch(() => {});
});

test('HTML becomes JSON with its status', async () => {
  up.claude.answer = (x) => { x.res.writeHead(502, { 'content-type': 'text/html' }); x.res.end('<html>bad</html>'); };
  const r = await post('/v1/messages', { model: 'claude-x', max_tokens: 5, messages: [] });
  assert.equal(r.status, 502);
  assert.equal(r.headers.get('content-type'), 'application/json');
  const said = await r.json();
  assert.equal(said.type, 'error');
  assert.equal(said.error.type, 'api_error');
  assert.equal(said.request_id, r.headers.get('x-safehouse-id'));
});

test('Anthropic: key, version and path', async () => {
  up.claude.answer = (x) => x.json({ type: 'message', content: [], usage: { input_tokens: 3, output_tokens: 4 } });
  const r = await fetch(`${house.gateway}/v1/messages?beta=true`, {
    method: 'POST', body: JSON.stringify({ model: 'claude-x', max_tokens: 5, messages: [] }),
    headers: { 'x-api-key': house.key, 'anthropic-version': '2023-06-01', 'anthropic-beta': 'a,b' },
  });
  assert.equal(r.status, 200);
  const [seen] = up.claude.requests;
  assert.equal(seen.url, '/v1/messages?beta=true');
  assert.equal(seen.headers['x-api-key'], 'sk-claude-3');
  assert.equal(seen.headers.authorization, undefined);
  assert.equal(seen.headers['anthropic-version'], '2023-06-01');
  assert.equal(seen.headers['anthropic-beta'], 'a,b');
  inLog(r, (it) => {
    assert.equal(it.dialect, 'anthropic.messages');
    assert.equal(it.tokens_input, 3);
    assert.equal(it.tokens_output, 4);
  });
});

test('Anthropic: a stream ends with message_stop, and a cut one with an error', async () => {
  const named = (type, more = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
  const parts = [named('message_start', { message: { usage: { input_tokens: 7, output_tokens: 1 } } }),
    named('ping'), named('content_block_delta', { delta: { type: 'text_delta', text: 'x' } }),
    named('message_delta', { usage: { output_tokens: 9 } }), named('message_stop')];
  up.claude.answer = (x) => x.stream(parts);
  const r = await post('/v1/messages', { model: 'claude-x', stream: true, max_tokens: 5, messages: [] });
  assert.equal(await r.text(), parts.join(''));
  inLog(r, (it) => {
    assert.equal(it.outcome, 'complete');
    assert.equal(it.tokens_input, 7);
    assert.equal(it.tokens_output, 9);
  });
  up.claude.answer = async (x) => { await x.stream(parts.slice(0, 3), { end: false }); x.socket.destroy(); };
  const c = await post('/v1/messages', { model: 'claude-x', stream: true, max_tokens: 5, messages: [] });
  const read = [];
  await assert.rejects(async () => { for await (const p of c.body) read.push(Buffer.from(p)); });
  assert.match(Buffer.concat(read).toString(), /event: error\ndata: \{"type":"error"/);
  inLog(c, (cut) => {
    assert.equal(cut.outcome, 'cut');
    assert.equal(cut.tokens_input, 7);
  });
});

test('responses: a stream ends with its terminal event, plain and streamed usage', async () => {
  const named = (type, more = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
  const usage = { input_tokens: 5, output_tokens: 6, output_tokens_details: { reasoning_tokens: 2 } };
  for (const last of ['response.completed', 'response.failed', 'response.incomplete']) {
    const parts = [named('response.created', { response: { usage: null } }), named('response.output_text.delta', { delta: 'x' }),
      named(last, { response: { usage } })];
    up.first.answer = (x) => x.stream([...parts, 'data: stray\n\n']);
    const r = await post('/v1/responses', { model: 'gpt-a', stream: true, input: 'hi' });
    assert.equal(await r.text(), parts.join(''), 'what follows is in no log');
    inLog(r, (it) => {
      assert.equal(it.outcome, 'complete');
      assert.deepEqual([it.tokens_input, it.tokens_output, it.tokens_reasoning], [5, 6, 2]);
    });
  }
  up.first.answer = (x) => x.json({ object: 'response', usage });
  inLog(await post('/v1/responses', { model: 'gpt-a', input: 'hi' }), (it) => assert.deepEqual([it.tokens_input, it.tokens_output], [5, 6]));
});

test('completions and embeddings', async () => {
  const text = event({ object: 'text_completion', choices: [{ text: 'a', index: 0 }], usage: null });
  const last = event({ object: 'text_completion', choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } });
  up.first.answer = (x) => x.stream([text, last, event('[DONE]')]);
  const r = await post('/v1/completions', { model: 'gpt-a', prompt: 'x', stream: true, stream_options: {} });
  assert.equal(await r.text(), text.replace(',"usage":null', '') + event('[DONE]'));
  inLog(r, (it) => assert.equal(it.tokens_input, 1));
  const vector = { object: 'list', data: [{ embedding: 'AAAA' }], usage: { prompt_tokens: 8, total_tokens: 8 } };
  up.first.answer = (x) => x.json(vector);
  const e = await post('/v1/embeddings', { model: 'gpt-a', input: 'x' });
  assert.deepEqual(await e.json(), vector);
  inLog(e, (it) => {
    assert.equal(it.tokens_input, 8);
    assert.equal(Number(it.cost_nano), 8000);
  });
});

test('a 401 about our key is not the client\'s', async () => {
  up.claude.answer = (x) => x.json({ error: { message: 'Incorrect API key: sk-cl***-3' } }, 401);
  const r = await post('/v1/messages', { model: 'claude-x', max_tokens: 5, messages: [] });
  assert.equal(r.status, 503);
  const text = await r.text();
  assert.ok(!text.includes('sk-cl'));
  assert.match(text, /overloaded_error/);
  await house.cli('reload', '--dir', house.dir);
});

test('422 passes byte for byte, and is no reason for another provider', async () => {
  up.first.answer = (x) => x.json('{"error" : {"message":"odd"}}', 422);
  const r = await chat('gpt-a');
  assert.equal(r.status, 422);
  assert.equal(await r.text(), '{"error" : {"message":"odd"}}');
  assert.equal(up.second.requests.length, 0);
});

test('a client that leaves while nothing has come yet cancels', async () => {
  let left;
  up.first.answer = (x) => { left = x.gone; };
  const abort = new AbortController();
  const asked = fetch(`${house.gateway}/v1/chat/completions`, { method: 'POST', signal: abort.signal,
    headers: { authorization: `Bearer ${house.key}` }, body: JSON.stringify({ model: 'gpt-a', messages: [] }) });
  while (!left) await new Promise((go) => setTimeout(go, 5));
  abort.abort();
  await assert.rejects(asked);
  await left;
  assert.equal(up.second.requests.length, 0);
});

test('concurrency is given back, however a request ends', async () => {
  const key = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--json', '--concurrency', '1'));
  const ask = () => post('/v1/chat/completions', { model: 'gpt-a', messages: [] }, {}, key.secret);
  for (let i = 0; i < 3; i++) assert.equal((await (await ask()).arrayBuffer().then(() => 200)), 200);
  let free;
  up.first.answer = (x) => { free = () => x.json(completion('x')); };
  const first = ask();
  while (!free) await new Promise((go) => setTimeout(go, 5));
  const second = await ask();
  assert.equal(second.status, 429);
  assert.equal((await second.json()).error.code, 'concurrency_limit');
  free();
  await (await first).arrayBuffer();
  up.first.answer = (x) => x.socket.destroy();
  assert.equal((await ask()).status, 502);
  up.first.answer = (x) => x.json(completion('x'));
  assert.equal((await ask()).status, 200);
});

test('a spent budget says so, and that trying again does not help', async () => {
  const key = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--json', '--tokens-day', '2000'));
  const ask = () => post('/v1/chat/completions', { model: 'gpt-a', max_tokens: 10, messages: [] }, {}, key.secret);
  up.first.answer = (x) => x.json({ ...completion('x'), usage: { prompt_tokens: 1990, completion_tokens: 12 } });
  assert.equal((await ask()).status, 200);
  const r = await ask();
  assert.equal(r.status, 429);
  assert.equal(r.headers.get('x-should-retry'), 'false');
  assert.equal((await r.json()).error.code, 'budget_exhausted');
});

test('comments do not keep a dead stream alive', async () => {
  up.claude.answer = async (x) => { await x.stream([...Array(30)].map(() => ': keep-alive\n\n'), { gap: 50 }); };
  const r = await post('/v1/messages', { model: 'claude-x', stream: true, max_tokens: 5, messages: [] });
  const began = Date.now();
  await assert.rejects(r.text());
  assert.ok(Date.now() - began < 1200);
});

test('no answer in time is a 504 in the dialect\'s shape', async () => {
  up.claude.answer = () => {};
  const r = await post('/v1/messages', { model: 'claude-x', max_tokens: 5, messages: [] });
  assert.equal(r.status, 504);
  assert.equal((await r.json()).error.type, 'timeout_error');
});

test('DeepSeek: its own paths, pseudonym and balance', async () => {
  await chat('deep-x', { user: 'alice@example.com' });
  await post('/chat/completions', { model: 'deep-x', messages: [], user_id: 'alice@example.com' });
  await post('/beta/completions', { model: 'deep-x', prompt: 'a' });
  await post('/anthropic/v1/messages', { model: 'deep-x', max_tokens: 1, messages: [], metadata: { user_id: 'alice@example.com' } });
  const balance = await fetch(`${house.gateway}/user/balance`, { headers: { authorization: `Bearer ${house.key}` } });
  assert.equal(balance.status, 200);
  assert.deepEqual(up.deep.requests.map((x) => x.url),
    ['/chat/completions', '/chat/completions', '/beta/completions', '/anthropic/v1/messages', '/user/balance']);
  assert.equal(up.deep.requests[3].headers['x-api-key'], 'sk-deep-4');
  const [a, b, c, d] = up.deep.requests.map((x) => x.body);
  for (const x of up.deep.requests) assert.ok(!x.raw.includes('alice'));
  assert.equal(a.user_id, a.user);
  assert.match(a.user, /^u-[0-9a-f]{32}$/);
  assert.equal(b.user_id, a.user, 'the same person');
  assert.match(c.user_id, /^u-[0-9a-f]{32}$/);
  assert.notEqual(c.user_id, a.user);
  assert.equal(d.metadata.user_id, a.user);
});

test('a pseudonym differs from provider to provider', async () => {
  await chat('gpt-b', { user: 'alice@example.com' });
  await chat('deep-x', { user: 'alice@example.com' });
  assert.notEqual(up.second.requests[0].body.user, up.deep.requests[0].body.user);
});

test('usage is asked for and taken out again', async () => {
  const nulls = streamed(['a', 'b']).map((e) => e.replace('}]}', '}],"usage":null}'));
  const last = event({ id: 'chatcmpl-1', object: 'chat.completion.chunk', choices: [], usage: { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 } });
  const pieces = [...nulls.slice(0, -1), last, nulls.at(-1)];
  for (const how of ['whole', 'split', 'one']) {
    up.first.answer = (x) => x.stream(how === 'one' ? [pieces.join('')] : how === 'whole' ? pieces
      : pieces.join('').match(/[^]{1,7}/g));
    const r = await chat('gpt-a', { stream: true });
    assert.equal(await r.text(), streamed(['a', 'b']).join(''), how);
    assert.equal(up.first.requests.at(-1).body.stream_options.include_usage, true);
    inLog(r, (it) => {
      assert.equal(it.outcome, 'complete');
      assert.equal(it.tokens_input, 100);
      assert.equal(it.tokens_output, 50);
      assert.equal(Number(it.cost_nano), 100 * 1000 + 50 * 2000);
    });
  }
  const r = await chat('gpt-a', { stream: true, stream_options: { include_usage: true } });
  assert.equal(await r.text(), pieces.join(''));
});

test('a stream that is cut is estimated', async () => {
  up.first.answer = async (x) => { await x.stream(streamed(['a'.repeat(500)]).slice(0, 2), { end: false }); x.socket.destroy(); };
  const r = await chat('gpt-a', { stream: true });
  await assert.rejects(r.text());
  inLog(r, (it) => {
    assert.equal(it.usage, 'estimated');
    assert.ok(it.tokens_output > 0);
  });
});

test('blank lines come at once, and the answer whole', async () => {
  up.first.answer = async (x) => {
    x.res.writeHead(200, { 'content-type': 'application/json' });
    for (let i = 0; i < 3; i++) { x.res.write('\n'); await new Promise((go) => setTimeout(go, 60)); }
    x.res.end(JSON.stringify(completion('late')));
  };
  const r = await chat('gpt-a');
  assert.equal((await r.json()).choices[0].message.content, 'late');
  inLog(r, (it) => assert.ok(it.ttft_us > 150000, `${it.ttft_us}`));
});

test('session, trace and tags', async () => {
  const r = await chat('gpt-a', { metadata: { trace: 't-1', other: 'x' } }, { 'x-session': 's-1', 'x-team': 'web' });
  inLog(r, (it) => {
    assert.equal(it.session_id, 's-1');
    assert.equal(it.trace_id, 't-1');
    assert.deepEqual(it.tags, { team: 'web' });
  });
});

test('multipart passes as it is', async () => {
  const body = Buffer.from('--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b--\r\n');
  up.first.answer = (x) => x.json({ text: 'hello' });
  const r = await post('/v1/audio/transcriptions', body, { 'content-type': 'multipart/form-data; boundary=b' });
  assert.equal(r.status, 200);
  assert.ok(up.first.requests[0].raw.equals(body));
  assert.equal(up.first.requests[0].url, '/v1/audio/transcriptions');
});

test('coded bodies are refused', async () => {
  const r = await post('/v1/chat/completions', gzipSync('{}'), { 'content-encoding': 'gzip' });
  assert.equal(r.status, 415);
  assert.equal((await r.json()).error.code, 'unsupported_media_type');
});

test('the list of models is the configuration\'s', async () => {
  const r = await fetch(`${house.gateway}/v1/models`, { headers: { authorization: `Bearer ${house.key}` } });
  assert.equal(r.status, 200);
  const list = await r.json();
  assert.deepEqual(list.data.map((m) => m.id).sort(), ['best', 'gpt-a', 'gpt-b']);
});

test('limits: exactly as many, with their headers', async () => {
  const key = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--json', '--rpm', '5'));
  const answers = await Promise.all([...Array(20)].map(() => post('/v1/chat/completions', { model: 'gpt-a', messages: [] }, {}, key.secret)));
  assert.equal(answers.filter((r) => r.status === 200).length, 5);
  const refused = answers.filter((r) => r.status === 429);
  assert.equal(refused.length, 15);
  assert.equal((await refused[0].json()).error.code, 'rate_limit_requests');
  assert.equal(refused[0].headers.get('x-ratelimit-limit-requests'), '5');
  assert.equal(refused[0].headers.get('x-ratelimit-remaining-requests'), '0');
  assert.ok(Number(refused[0].headers.get('retry-after')) >= 1);
  assert.ok(Number(refused[0].headers.get('retry-after-ms')) >= 1);
  inLog(refused[0], (it) => assert.equal(it.error, 'rate_limit_requests'));
});

test('models that a key may not use', async () => {
  const key = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--json', '--models', 'gpt-b'));
  const r = await post('/v1/chat/completions', { model: 'gpt-a', messages: [] }, {}, key.secret);
  assert.equal(r.status, 403);
  assert.equal((await r.json()).error.code, 'model_not_allowed');
  assert.equal((await post('/v1/chat/completions', { model: 'gpt-b', messages: [] }, {}, key.secret)).status, 200);
  const audio = await post('/v1/audio/transcriptions', Buffer.from('x'), {}, key.secret);
  assert.equal(audio.status, 403);
});

test('the connection stays after a refusal, and every answer is its own', async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const once = (model) => new Promise((done, fail) => {
    const req = http.request(`${house.gateway}/v1/chat/completions`, { method: 'POST', agent, headers: { authorization: `Bearer ${house.key}` } }, (res) => {
      const parts = [];
      res.on('data', (p) => parts.push(p));
      res.on('end', () => done({ status: res.statusCode, reused: req.reusedSocket, text: Buffer.concat(parts).toString() }));
    });
    req.on('error', fail);
    req.end(JSON.stringify({ model, messages: [] }));
  });
  assert.equal((await once('nothing')).status, 404);
  const good = await once('gpt-a');
  assert.equal(good.status, 200);
  assert.equal(good.reused, true);
  agent.destroy();
});

test('what the log has of them', async () => {
  assert.ok(logged.length > 20);
  const rows = await until(async () => {
    const all = new Map((await house.rows('SELECT * FROM interactions')).map((it) => [it.id, it]));
    return logged.every(([id]) => all.has(id)) && all;
  }, 'all of them are stored');
  for (const [id, check] of logged) check(rows.get(id));
});
