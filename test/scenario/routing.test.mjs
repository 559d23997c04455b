// Which provider gets a request as time goes on: shares, fallbacks, keys that are out or rest, places
// that are taken, providers that fail and come back; and that at each of them nothing but its own
// credentials ever arrives.
import test from 'node:test';
import assert from 'node:assert/strict';
import { Installation, until } from './lib/installation.mjs';
import { ask } from './lib/client.mjs';
import { Upstream, chunk, completion, event, message, streamed } from './lib/upstream.mjs';

// Each provider is a server of its own, with its own keys.
const KEYS = {
  heavy: ['HEAVY_1', 'HEAVY_2', 'HEAVY_3'], light: ['LIGHT_1'], spare: ['SPARE_1'], claude: ['CLAUDE_1'],
  keyed: ['KEYED_1', 'KEYED_2'], resting: ['RESTING_1'], narrow: ['NARROW_1'], flaky: ['FLAKY_1'], person: ['PERSON_1'],
};
const MORE = {
  claude: 'dialect: anthropic', light: 'isolate_by_user: false', heavy: 'eject_after: 0', narrow: 'max_concurrency: 3',
  flaky: 'eject_after: 3, eject_for: 2s', person: 'dialect: [openai, deepseek, anthropic], isolate_by_user: true',
};
const secret = (name) => `sk-${name.toLowerCase().replace('_', '-')}-0123456789`;
const up = {};
let house;

test.before(async () => {
  for (const name of Object.keys(KEYS)) {
    up[name] = await Upstream.start();
    up[name].answer = says(name);
  }
  const providers = Object.entries(KEYS).map(([name, keys]) =>
    `  ${name}: {url: '${up[name].url}', keys: [${keys.map((k) => `{env: ${k}}`).join(', ')}]${MORE[name] ? `, ${MORE[name]}` : ''}}`);
  house = await Installation.start({
    env: Object.fromEntries(Object.values(KEYS).flat().map((k) => [k, secret(k)])),
    config: `
gateway: {workers: 4}
providers:
${providers.join('\n')}
routes:
  - {model: shared, providers: [{name: heavy, weight: 3}, {name: light, weight: 1}]}
  - {model: renamed, providers: [{name: heavy, model: 'vendor/other "x"'}], fallback: [spare]}
  - {model: chain, providers: [{name: heavy}], fallback: [light, spare]}
  - {model: "gpt-*", providers: [{name: heavy}]}
  - {model: "gpt-4o*", providers: [{name: light}]}
  - {model: gpt-4o-mini, providers: [{name: spare}]}
  - {model: "claude-*", providers: [{name: claude}]}
  - {model: keyed, providers: [{name: keyed}], fallback: [spare]}
  - {model: keyed-alone, providers: [{name: keyed}]}
  - {model: resting, providers: [{name: resting}], fallback: [spare]}
  - {model: narrow, providers: [{name: narrow}]}
  - {model: narrow-or-spare, providers: [{name: narrow}], fallback: [spare]}
  - {model: flaky, providers: [{name: flaky}], fallback: [spare]}
  - {model: flaky-alone, providers: [{name: flaky}]}
  - {model: person, providers: [{name: person}]}
aliases: {quick: gpt-4o-mini}
`,
  });
});
test.after(async () => {
  await house?.destroy();
  for (const u of Object.values(up)) await u.stop();
});
test.afterEach(() => {
  for (const [name, u] of Object.entries(up)) u.answer = says(name);
});

const says = (name) => (x) => (x.url.includes('messages') ? x.json(message(name)) : x.json(completion(name)));
const refuses = (status, headers) => (x) => x.json({ error: { message: 'no', type: 'x', param: null, code: null } }, status, headers);
const MESSAGES = [{ role: 'user', content: 'hi' }];

async function chat(model, more = {}, options) {
  const t = await ask(house.gateway, house.key, '/v1/chat/completions', { model, messages: MESSAGES, ...more }, options);
  t.from = t.status === 200 && t.how === 'end' && !more.stream ? JSON.parse(t.text).choices[0].message.content : null;
  return t;
}
// How often each provider was asked in the meantime.
async function counting(call) {
  const before = Object.fromEntries(Object.entries(up).map(([n, u]) => [n, u.requests.length]));
  await call();
  return Object.fromEntries(Object.entries(up).map(([n, u]) => [n, u.requests.length - before[n]]).filter(([, n]) => n));
}
const provider = async (name) => (await house.status()).providers.find((p) => p.name === name);
const reload = () => house.cli('reload', '--dir', house.dir);
const times = (n, call) => Promise.all(Array.from({ length: n }, call));

test('weights share requests', async () => {
  const { heavy, light } = await counting(() => times(400, () => chat('shared')));
  assert.equal(heavy + light, 400);
  assert.ok(heavy > 255 && heavy < 345, `${heavy} of 400`); // 300, and five standard deviations
});

test('several keys of a provider are used in turn', async () => {
  const from = up.heavy.requests.length;
  await times(300, () => chat('gpt-x'));
  const used = up.heavy.requests.slice(from).map((r) => r.headers.authorization);
  assert.deepEqual([...new Set(used)].sort(), KEYS.heavy.map((k) => `Bearer ${secret(k)}`).sort());
  for (const key of new Set(used)) {
    const count = used.filter((k) => k === key).length;
    assert.ok(count > 50, `${count} of 300`);
  }
});

test('the whole name wins, then the longest beginning; an alias is its model', async () => {
  for (const [model, from, sent] of [['gpt-5', 'heavy'], ['gpt-4o', 'light'], ['gpt-4o-2024', 'light'], ['gpt-4o-mini', 'spare'], ['quick', 'spare', 'gpt-4o-mini']]) {
    assert.equal((await chat(model)).from, from, model);
    assert.equal(up[from].requests.at(-1).body.model, sent ?? model);
  }
});

test('a renamed model: only the name changes, and a fallback gets the model\'s own', async () => {
  const request = '{"x": 1.50 ,"model"\n: "renamed", "messages":[{"role":"user","content":"\\"model\\":\\"renamed\\""}]}';
  await ask(house.gateway, house.key, '/v1/chat/completions', request);
  assert.equal(up.heavy.requests.at(-1).raw.toString(), request.replace('"renamed"', '"vendor/other \\"x\\""'));
  up.heavy.answer = refuses(500);
  await ask(house.gateway, house.key, '/v1/chat/completions', request);
  up.heavy.answer = says('heavy');
  assert.equal(up.spare.requests.at(-1).raw.toString(), request);
});

test('a large body: the name is changed wherever it stands, and each provider gets all of it', async () => {
  const content = Array.from({ length: 300000 }, (_, i) => `${i} 你好`).join(' '); // 4 MB
  for (const [before, after] of [['', content], [content, ''], [content, content.slice(0, 1500000)]]) {
    const request = `{"messages":[{"role":"user","content":"${before}"}],"model":"renamed","x":"${after}","stream":true}`;
    up.heavy.answer = refuses(500);
    up.spare.answer = (x) => x.stream(streamed(['ok']));
    for (const chunked of [false, true]) {
      const t = await ask(house.gateway, house.key, '/v1/chat/completions', request, { chunked });
      assert.equal(t.text, streamed(['ok']).join(''));
      const sent = (text) => text.replace(/}$/, ',"stream_options":{"include_usage":true}}');
      assert.ok(up.heavy.requests.at(-1).raw.equals(Buffer.from(sent(request).replace('"renamed"', '"vendor/other \\"x\\""'))));
      assert.ok(up.spare.requests.at(-1).raw.equals(Buffer.from(sent(request))));
    }
  }
});

test('fallbacks in their order, the last one\'s answer as it is', async () => {
  up.heavy.answer = refuses(503);
  assert.equal((await chat('chain')).from, 'light');
  up.light.answer = refuses(429);
  assert.equal((await chat('chain')).from, 'spare');
  up.spare.answer = refuses(422, { 'x-from': 'spare' });
  let t;
  assert.deepEqual(await counting(async () => { t = await chat('chain'); }), { heavy: 1, light: 1, spare: 1 });
  assert.deepEqual([t.status, t.headers['x-from']], [422, 'spare']);
});

test('a request that the provider calls wrong goes to no other one', async () => {
  for (const status of [400, 413, 422]) {
    up.heavy.answer = refuses(status);
    assert.deepEqual(await counting(async () => assert.equal((await chat('chain')).status, status)), { heavy: 1 });
  }
});

test('after the first byte there is no other try', async () => {
  for (const answer of [
    (x) => x.stream(streamed(['a', 'b']).slice(0, 2)),
    async (x) => { await x.stream(streamed(['a']).slice(0, 1), { end: false }); x.socket.resetAndDestroy(); },
    (x) => x.stream([event({ error: { message: 'overloaded', type: 'server_error', param: null, code: null } })])]) {
    up.heavy.answer = answer;
    assert.deepEqual(await counting(() => chat('chain', { stream: true })), { heavy: 1 });
  }
  up.heavy.answer = (x) => x.wire('HTTP/1.1 200 OK\r\ncontent-length: 90\r\ncontent-type: application/json\r\n\r\n{"id"', 'end');
  assert.deepEqual(await counting(async () => assert.equal((await chat('chain')).how, 'cut')), { heavy: 1 });
});

test('a POST that may have arrived is not sent again', async () => {
  up.heavy.answer = (x) => x.socket.resetAndDestroy();
  assert.deepEqual(await counting(async () => assert.equal((await chat('chain')).status, 502)), { heavy: 1 });
});

test('the Anthropic dialect goes to its providers, with the key in their header', async () => {
  const t = await ask(house.gateway, house.key, '/v1/messages', { model: 'claude-x', max_tokens: 1, messages: MESSAGES });
  assert.equal(t.status, 200);
  assert.equal(up.claude.requests.at(-1).headers['x-api-key'], secret('CLAUDE_1'));
  assert.equal(up.claude.requests.at(-1).headers.authorization, undefined);
});

test('unknown models, and those of another dialect, are a 404 in the client\'s shape', async () => {
  const none = await counting(async () => {
    for (const model of ['nobody', 'claude-x', 'share', 'shared ', 'SHARED']) {
      const t = await chat(model);
      assert.equal(t.status, 404, model);
      assert.deepEqual({ ...JSON.parse(t.text).error, message: 0 }, { message: 0, type: 'invalid_request_error', param: 'model', code: 'model_not_found' });
    }
    const t = await ask(house.gateway, house.key, '/v1/messages', { model: 'shared', max_tokens: 1, messages: MESSAGES });
    assert.equal(t.status, 404);
    const it = JSON.parse(t.text);
    assert.deepEqual([it.type, it.error.type], ['error', 'not_found_error']);
  });
  assert.deepEqual(none, {});
});

test('401 and 402 take a key out: another key, then the fallback, and status says so', async () => {
  const [one, two] = KEYS.keyed.map((k) => `Bearer ${secret(k)}`);
  const bad = new Map([[one, 401]]);
  up.keyed.answer = (x) => (bad.has(x.headers.authorization) ? refuses(bad.get(x.headers.authorization))(x) : says('keyed')(x));
  const from = up.keyed.requests.length;
  for (let i = 0; i < 6; i++) assert.equal((await chat('keyed')).status, 200);
  const used = () => up.keyed.requests.slice(from).map((r) => r.headers.authorization);
  assert.equal(used().filter((k) => k === one).length, 1, 'once, then never again');
  assert.ok(used().filter((k) => k === two).length >= 5);

  bad.set(two, 402);
  for (let i = 0; i < 4; i++) assert.equal((await chat('keyed')).from, 'spare');
  assert.equal(used().filter((k) => bad.get(k) === 402).length, used().filter((k) => k === two).length);
  const seen = used().length;
  await times(20, () => chat('keyed'));
  assert.equal(used().length, seen, 'no key is left, nothing goes there');
  const alone = await chat('keyed-alone');
  assert.equal(alone.status, 503);
  assert.equal(JSON.parse(alone.text).error.code, 'no_provider');

  const state = await until(async () => {
    const p = await provider('keyed');
    return p.keys.every((k) => k.state === 'out') && p;
  }, 'both keys out');
  assert.deepEqual(state.keys.map((k) => k.status), [401, 402]);
  assert.equal(state.state, 'no key');
  const text = (await house.cliResult('status', '--dir', house.dir)).stdout;
  assert.ok(!(text + JSON.stringify(await house.status()) + house.stdout + house.stderr).includes('sk-'));
  for (const status of [401, 402]) assert.match(text, new RegExp(`! the key of keyed .*${status}`));

  bad.clear();
  await reload();
  assert.equal((await provider('keyed')).state, 'ok');
  assert.equal((await chat('keyed')).from, 'keyed');
});

test('a 401 of a provider is no 401 for the client', async () => {
  up.keyed.answer = (x) => x.json({ error: { message: `Incorrect API key provided: ${x.headers.authorization}` } }, 401, { 'www-authenticate': 'Bearer' });
  const t = await chat('keyed-alone');
  assert.equal(t.status, 503);
  assert.ok(!t.text.includes('sk-'));
  assert.equal(t.headers['www-authenticate'], undefined);
  await reload();
});

test('a key that was told to wait rests until then', async () => {
  up.resting.answer = refuses(429, { 'retry-after-ms': '1500' });
  const began = Date.now();
  assert.deepEqual(await counting(async () => {
    for (let i = 0; i < 10; i++) assert.equal((await chat('resting')).from, 'spare');
  }), { resting: 1, spare: 10 });
  assert.equal((await provider('resting')).keys[0].state, 'parked');
  up.resting.answer = says('resting');
  await until(async () => (await chat('resting')).from === 'resting', 'asked again');
  const took = Date.now() - began;
  assert.ok(took >= 1400 && took < 3000, `${took} ms`);
});

test('no more at a time than a provider takes, over all workers', async () => {
  let open = 0, most = 0, release;
  const held = new Promise((go) => { release = go; });
  let full;
  const atLimit = new Promise((go) => { full = go; });
  up.narrow.answer = async (x) => {
    most = Math.max(most, ++open);
    if (open === 3) full();
    await held;
    open--;
    says('narrow')(x);
  };
  const first = times(3, () => chat('narrow'));
  await atLimit;
  const refused = await times(12, () => chat('narrow'));
  for (const t of refused) {
    assert.equal(t.status, 503);
    assert.equal(JSON.parse(t.text).error.code, 'no_provider');
    assert.ok(Number(t.headers['retry-after']) >= 1);
    assert.equal(t.headers['x-should-retry'], 'true');
  }
  for (const t of await times(8, () => chat('narrow-or-spare'))) assert.equal(t.from, 'spare');
  assert.equal((await provider('narrow')).in_flight, 3);
  release();
  for (const t of await first) assert.equal(t.from, 'narrow');
  assert.equal(most, 3);
  assert.equal((await chat('narrow')).from, 'narrow');
  await until(async () => (await provider('narrow')).in_flight === 0, 'none in flight');
});

test('a provider that fails is passed over, probed by one request, and comes back', async () => {
  up.flaky.answer = refuses(500);
  let counts = await counting(async () => {
    for (let i = 0; i < 12; i++) assert.equal((await chat('flaky')).from, 'spare');
  });
  assert.deepEqual(counts, { flaky: 3, spare: 12 });
  const state = await provider('flaky');
  assert.equal(state.state, 'ejected');
  assert.ok(state.ejected_for_ms > 0 && state.ejected_for_ms <= 2000);
  assert.equal((await chat('flaky-alone')).status, 500, 'with no other left, its own answer');

  await until(async () => (await provider('flaky')).ejected_for_ms === 0, 'the time over');
  let go;
  const probing = new Promise((r) => { go = r; });
  up.flaky.answer = async (x) => { await probing; refuses(500)(x); };
  counts = await counting(async () => {
    const all = times(30, () => chat('flaky'));
    await until(() => up.spare.requests.length >= 29, 'the others');
    go();
    await all;
  });
  assert.equal(counts.flaky, 1, 'one probe');
  await until(async () => (await provider('flaky')).ejected_for_ms > 0, 'ejected again');
  up.flaky.answer = says('flaky');
  await until(async () => (await chat('flaky')).from === 'flaky', 'back');
  assert.deepEqual(await counting(() => times(10, () => chat('flaky'))), { flaky: 10 });
});

test('a person\'s pseudonym: the same everywhere, another for another, never the name', async () => {
  const sent = async (body, path = '/v1/chat/completions') => {
    await ask(house.gateway, house.key, path, { model: 'person', max_tokens: 1, messages: MESSAGES, ...body });
    assert.ok(!up.person.requests.at(-1).raw.includes('müller'));
    return up.person.requests.at(-1).body;
  };
  const alice = { user: 'alice müller' };
  const all = await Promise.all(Array.from({ length: 12 }, () => sent(alice)));
  const { user } = all[0];
  assert.equal(new Set(all.map((b) => b.user)).size, 1, 'over all workers');
  assert.equal(all[0].user_id, user, 'DeepSeek looks there');
  assert.notEqual((await sent({ user: 'bob müller' })).user, user);
  assert.equal((await sent({ metadata: { user_id: 'alice müller' } }, '/anthropic/v1/messages')).metadata.user_id, user);
  await reload();
  assert.equal((await sent(alice)).user, user);
  const other = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--project', 'other', '--json'));
  await ask(house.gateway, other.secret, '/v1/chat/completions', { model: 'person', messages: MESSAGES, ...alice });
  assert.notEqual(up.person.requests.at(-1).body.user, user, 'in another project, another person');
  await chat('shared', alice);
  assert.equal([...up.heavy.requests, ...up.light.requests].filter((r) => r.body?.user === alice.user).length, 1, 'elsewhere as it came');
});

test('usage is asked for however the client left it out, and never seen', async () => {
  const chunks = [chunk({ role: 'assistant', content: 'a' }), chunk({ content: 'b' }), chunk({}, { finish: 'stop' })];
  up.light.answer = (x) => x.stream(x.body.stream_options?.include_usage
    ? [...chunks.map((c) => event({ ...c, usage: null })), event({ ...chunk({}), choices: [], usage: completion('').usage }), event('[DONE]')]
    : [...chunks.map(event), event('[DONE]')]);
  const bare = [...chunks.map(event), event('[DONE]')].join('');
  for (const options of ['', ',"stream_options":null', ',"stream_options":{}', ',"stream_options":{"include_usage":false}',
    ',"stream_options":{"include_usage":null}', ',"stream_options":{ "include_obfuscation":false }']) {
    const request = `{"model":"gpt-4o","stream":true${options},"messages":[]}`;
    const t = await ask(house.gateway, house.key, '/v1/chat/completions', request);
    assert.equal(t.text, bare, options);
    const { stream_options, ...rest } = up.light.requests.at(-1).body;
    assert.equal(stream_options.include_usage, true);
    assert.deepEqual(rest, { model: 'gpt-4o', stream: true, messages: [] });
    if (options.includes('obfuscation')) assert.equal(stream_options.include_obfuscation, false);
  }
});

test('of a stream nothing is taken out but what was put in', async () => {
  const u = JSON.stringify(completion('').usage);
  const pairs = [ // what the provider sends, what the client gets
    ['{"id":1,"choices":[{"index":0,"delta":{"content":"\\"usage\\":null"}}],"usage":null}', '{"id":1,"choices":[{"index":0,"delta":{"content":"\\"usage\\":null"}}]}'],
    ['{"usage":null,"choices":[{"delta":{"content":"x","usage":null}}]}', '{"choices":[{"delta":{"content":"x","usage":null}}]}'],
    ['{"choices":[],"prompt_filter_results":[{"usage":null}]}', '{"choices":[],"prompt_filter_results":[{"usage":null}]}'],
    [`{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":${u}}`, `{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":${u}}`],
    ['{"x":{"choices":[],"usage":{"a":1}},"choices":[{"delta":{}}]}', '{"x":{"choices":[],"usage":{"a":1}},"choices":[{"delta":{}}]}'],
    [`{"id":2,"choices":[],"usage":${u}}`, null], [`{"usage":${u} , "choices" : [ ] }`, null],
  ];
  const ending = event('[DONE]');
  const sent = pairs.map(([p]) => event(p)).join('') + ending, wanted = pairs.filter(([, c]) => c).map(([, c]) => event(c)).join('') + ending;
  for (const size of [1, 11, 1 << 20]) {
    const pieces = [];
    for (let i = 0; i < sent.length; i += size) pieces.push(sent.slice(i, i + size));
    up.light.answer = (x) => x.stream(pieces);
    assert.equal((await chat('gpt-4o', { stream: true })).text, wanted);
    assert.equal((await chat('gpt-4o', { stream: true, stream_options: { include_usage: true } })).text, sent);
  }
});

test('at each provider nothing but its own credentials and name ever arrived', () => {
  for (const [name, u] of Object.entries(up)) {
    assert.ok(u.requests.length, name);
    const own = KEYS[name].map(secret);
    for (const { headers, raw } of u.requests) {
      assert.equal(headers.host, u.url.slice(7));
      assert.ok(own.includes(headers.authorization?.slice(7) ?? headers['x-api-key']));
      const whole = JSON.stringify(headers) + raw;
      assert.ok(!whole.includes(house.key));
      assert.deepEqual([...whole.matchAll(/sk-[a-z]+-\d-\d+/g)].map((m) => m[0]).filter((k) => !own.includes(k)), []);
    }
  }
});
