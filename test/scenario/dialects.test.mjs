// Every dialect, through the official clients: what a client makes of an answer, the bytes that
// went over the wire and the request that the provider saw are the same direct and through the
// gateway, and `safehouse show` gives back the exchange.
import test from 'node:test';
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI, { toFile } from 'openai';
import { createDeepSeek } from '@ai-sdk/deepseek';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embed, generateText, jsonSchema, streamText, tool } from 'ai';
import { createParser } from 'eventsource-parser';
import { Installation } from './lib/installation.mjs';
import { ask, recording } from './lib/client.mjs';
import {
  Upstream, chunk, completion, event, message, messageEvents, response, responseEvents, streamed,
} from './lib/upstream.mjs';

const KEY = 'sk-provider-0123456789';
let upstream, house, sides;

test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({
    config: `providers:\n  all: {dialect: [openai, deepseek, anthropic], url: '${upstream.url}', keys: [{env: ALL_KEY}]}\n`,
    env: { ALL_KEY: KEY },
  });
  sides = { direct: [upstream.url, KEY], through: [house.gateway, house.key] };
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const openai = (path = '/v1') => (base, apiKey, fetch) =>
  new OpenAI({ baseURL: base + path, apiKey, fetch, maxRetries: 0 });
const anthropic = (path = '', by = 'apiKey') => (base, key, fetch) =>
  new Anthropic({ baseURL: base + path, apiKey: null, authToken: null, [by]: key, fetch, maxRetries: 0 });
const collect = async (stream) => {
  const all = [];
  for await (const part of await stream) all.push(part);
  return all;
};

async function one(side, make, call) {
  const { fetch, last } = recording();
  const result = await call(make(...sides[side], fetch));
  const { status, bytes, id, headers } = last();
  return { result, status, id, headers, bytes: await bytes, asked: upstream.requests.at(-1) };
}

// A boundary is made anew for each request.
const bare = (raw) => raw.toString('latin1').replaceAll(/-{2,}[-\w]*?[0-9a-zA-Z]{10,}/g, '--boundary');

// Calls both ways with the same answer; gives the way through, and what the client had sent.
async function same(make, call, answer, { edited = false, url } = {}) {
  upstream.answer = answer;
  const d = await one('direct', make, call), t = await one('through', make, call);
  assert.deepEqual(t.result, d.result);
  assert.equal(t.status, d.status);
  assert.deepEqual(t.bytes, d.bytes, 'the answer, byte for byte');
  assert.equal(t.headers.get('content-type'), d.headers.get('content-type'));
  assert.equal(t.asked.method, d.asked.method);
  assert.equal(t.asked.url, url ?? d.asked.url);
  for (const name of ['anthropic-version', 'content-type', 'user-agent', 'accept'])
    assert.equal(bare(t.asked.headers[name] ?? ''), bare(d.asked.headers[name] ?? ''));
  if (!edited) assert.equal(bare(t.asked.raw), bare(d.asked.raw), 'the request, byte for byte');
  const { authorization, 'x-api-key': xApiKey } = t.asked.headers;
  assert.ok([authorization, xApiKey].includes(t.asked.headers['anthropic-version'] ? KEY : `Bearer ${KEY}`), 'the provider gets its own key');
  assert.ok(!JSON.stringify(t.asked.headers).includes(house.key));
  return { ...t, sent: d.asked };
}

// What was sealed is looked at once, at the end: it takes a moment until it is in the log.
const sealed = [];
const shown = (t, wanted) => sealed.push([t, (it) => {
  assert.deepEqual(it.request, t.sent.body);
  assert.deepEqual(it.response, JSON.parse(JSON.stringify(wanted)));
}]);
// Of a dialect that is kept as it came.
const kept = (t, wanted) => sealed.push([t, (it) => {
  const request = it.request ?? Buffer.from(it.request_base64, 'base64');
  assert.equal(bare(Buffer.from(request)), bare(t.sent.raw));
  assert.deepEqual(it.response ?? Buffer.from(it.response_base64, 'base64'), wanted);
}]);

// A provider that reports usage in a stream if asked, as OpenAI does: null in all chunks but the last.
function honest(chunks) {
  return (x) => {
    const asked = x.body.stream_options?.include_usage;
    return x.stream([
      ...chunks.map((c) => event(asked ? { ...c, usage: null } : c)),
      ...(asked ? [event({ ...chunk({}), choices: [], usage: completion('').usage })] : []),
      event('[DONE]'),
    ]);
  };
}

const TOOLS = [{ type: 'function', function: {
  name: 'weather', description: '天气', parameters: { type: 'object', properties: { city: { type: 'string' } } } } }];
const CHAT = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: '你好 🌍' }] };

test('openai: chat, plain: tools, several choices, logprobs, unknown members', async () => {
  const answer = completion(null, { finish: 'tool_calls', message: {
    annotations: [], tool_calls: [
      { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"北京"}' } }] } });
  answer.choices.push({ ...answer.choices[0], index: 1, logprobs: { content: [{ token: '你', logprob: -0.25, bytes: [228, 189, 160], top_logprobs: [] }] } });
  answer.future = { deep: [1.0, 1e-7, 'x'] };
  const t = await same(openai(), (c) => c.chat.completions.create({ ...CHAT, tools: TOOLS, n: 2, logprobs: true, unknown_member: [null] }),
    (x) => x.json(answer));
  shown(t, answer);
});

for (const asked of [false, true])
  test(`openai: chat, streamed, usage ${asked ? '' : 'not '}asked for`, async () => {
    const chunks = [
      chunk({ role: 'assistant', content: '', refusal: null }),
      ...['晴', ' 🌤', '，25°C'].map((content) => chunk({ content })),
      chunk({}, { finish: 'stop' }),
    ];
    const request = { ...CHAT, stream: true, ...(asked && { stream_options: { include_usage: true } }) };
    const t = await same(openai(), (c) => collect(c.chat.completions.create(request)), honest(chunks), { edited: !asked });
    assert.equal(t.asked.body.stream_options.include_usage, true, 'the provider is asked in any case');
    const { usage, ...rest } = completion(''); // what the client was not sent is not what it was answered
    shown(t, { ...rest, ...(asked && { usage }), choices: [{
      index: 0, message: { role: 'assistant', content: '晴 🌤，25°C', refusal: null }, finish_reason: 'stop' }] });
  });

test('openai: the stream helper: tools in fragments, two choices', async () => {
  const fragment = (index, i, rest) => chunk({ tool_calls: [{ index: i, ...rest }] }, { index });
  const chunks = [
    chunk({ role: 'assistant', content: null }), chunk({ role: 'assistant', content: '' }, { index: 1 }),
    fragment(0, 0, { id: 'call_a', type: 'function', function: { name: 'weather', arguments: '' } }),
    chunk({ content: 'Hm' }, { index: 1 }),
    fragment(0, 1, { id: 'call_b', type: 'function', function: { name: 'weather', arguments: '{}' } }),
    fragment(0, 0, { function: { arguments: '{"city":"Be' } }), fragment(0, 0, { function: { arguments: 'rlin"}' } }),
    chunk({ content: '…' }, { index: 1 }),
    chunk({}, { index: 1, finish: 'stop' }), chunk({}, { finish: 'tool_calls' }),
  ];
  await same(openai(), (c) => c.chat.completions.stream({ ...CHAT, n: 2, tools: TOOLS }).finalChatCompletion(),
    honest(chunks), { edited: true });
});

test('openai: embeddings, base64 as the client asks for by default', async () => {
  const numbers = Float32Array.from([0.25, -0.5, 1e-7, 3]);
  const answer = { object: 'list', model: 'text-embedding-3-small', usage: { prompt_tokens: 4, total_tokens: 4 },
    data: [{ object: 'embedding', index: 0, embedding: Buffer.from(numbers.buffer).toString('base64') }] };
  const t = await same(openai(), (c) => c.embeddings.create({ model: 'text-embedding-3-small', input: ['长城', 'wall'] }),
    (x) => x.json(x.body.encoding_format === 'base64' ? answer : { error: 'not asked for base64' }));
  assert.deepEqual([...t.result.data[0].embedding], [...numbers]);
  kept(t, answer);
});

test('openai: responses, plain and streamed', async () => {
  const request = { model: 'gpt-4o-mini', input: [{ role: 'user', content: 'Ping?' }], instructions: 'short', store: false };
  shown(await same(openai(), (c) => c.responses.create(request), (x) => x.json(response('Pong 🏓'))), response('Pong 🏓'));
  const events = responseEvents(['Po', 'ng ', '🏓']);
  const t = await same(openai(), (c) => collect(c.responses.create({ ...request, stream: true })), (x) => x.stream(events));
  shown(t, response('Pong 🏓'));
  await same(openai(), (c) => c.responses.stream(request).finalResponse(), (x) => x.stream(events));
});

test('openai: completions, plain and streamed', async () => {
  const request = { model: 'gpt-3.5-turbo-instruct', prompt: ['Once', 'Twice'], max_tokens: 9 };
  const answer = { id: 'cmpl-1', object: 'text_completion', created: 1764000000, model: 'gpt-3.5-turbo-instruct',
    choices: [{ text: ' upon', index: 0, logprobs: null, finish_reason: 'length' }],
    usage: { prompt_tokens: 2, completion_tokens: 1, total_tokens: 3 } };
  shown(await same(openai(), (c) => c.completions.create(request), (x) => x.json(answer)), answer);
  const piece = (text, finish_reason = null) => ({ ...answer, usage: undefined, choices: [{ text, index: 0, logprobs: null, finish_reason }] });
  const t = await same(openai(), (c) => collect(c.completions.create({ ...request, stream: true })),
    honest([piece(' up'), piece('on'), piece('', 'length')]), { edited: true });
  shown(t, { ...answer, choices: [{ index: 0, text: ' upon', finish_reason: 'length' }], usage: undefined });
});

test('openai: models, moderations', async () => {
  const model = { id: 'gpt-4o-mini', object: 'model', created: 1, owned_by: 'system' };
  await same(openai(), async (c) => (await c.models.list()).data, (x) => x.json({ object: 'list', data: [model] }));
  await same(openai(), (c) => c.models.retrieve('gpt-4o-mini'), (x) => x.json(model));
  const answer = { id: 'modr-1', model: 'omni-moderation-latest', results: [{ flagged: false, categories: {}, category_scores: { violence: 1e-9 } }] };
  kept(await same(openai(), (c) => c.moderations.create({ model: 'omni-moderation-latest', input: 'x' }), (x) => x.json(answer)), answer);
});

test('openai: audio and images pass through, multipart and binary', async () => {
  const sound = Buffer.from(Array.from({ length: 70000 }, (_, i) => (i * 7919) & 255));
  let t = await same(openai(), async (c) => Buffer.from(await (await c.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: '说' })).arrayBuffer()),
    (x) => { x.res.writeHead(200, { 'content-type': 'audio/mpeg' }); x.res.end(sound); });
  kept(t, sound);
  t = await same(openai(), async (c) => c.audio.transcriptions.create({ model: 'whisper-1', file: await toFile(sound, 'a.mp3') }),
    (x) => x.json({ text: '你好' }));
  kept(t, { text: '你好' });
  const image = { created: 1, data: [{ b64_json: sound.toString('base64') }] };
  kept(await same(openai(), (c) => c.images.generate({ model: 'gpt-image-1', prompt: '猫' }), (x) => x.json(image)), image);
  kept(await same(openai(), async (c) => c.images.edit({ model: 'gpt-image-1', prompt: '🐈', image: await toFile(sound, 'a.png', { type: 'image/png' }) }),
    (x) => x.json(image)), image);
});

const ASK = { model: 'claude-haiku-4-5', max_tokens: 2048, system: 'Kurz.', messages: [{ role: 'user', content: 'Wetter in 北京?' }] };
const BLOCKS = [
  { type: 'thinking', thinking: 'Weather needs a tool. 先查。', signature: 'c2lnbmF0dXJl' },
  { type: 'text', text: 'Ich sehe nach 🔎' },
  { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: '北京', days: 3 } },
];

for (const [name, make] of [['x-api-key', anthropic()], ['Bearer', anthropic('', 'authToken')], ['under /anthropic', anthropic('/anthropic')]])
  test(`anthropic: messages, plain and streamed, ${name}`, async () => {
    const request = { ...ASK, thinking: { type: 'enabled', budget_tokens: 1024 }, tools: [{ name: 'weather', input_schema: { type: 'object' } }] };
    const answer = message(BLOCKS, { stop_reason: 'tool_use' });
    shown(await same(make, (c) => c.messages.create(request), (x) => x.json(answer)), answer);
    const events = messageEvents(BLOCKS, { stop_reason: 'tool_use' });
    const t = await same(make, (c) => collect(c.messages.create({ ...request, stream: true })), (x) => x.stream(events));
    shown(t, answer);
    await same(make, (c) => c.messages.stream(request).finalMessage(), (x) => x.stream(events));
  });

test('anthropic: count_tokens, models', async () => {
  const { max_tokens: _, ...request } = ASK;
  kept(await same(anthropic(), (c) => c.messages.countTokens(request), (x) => x.json({ input_tokens: 14 })), { input_tokens: 14 });
  const model = { type: 'model', id: 'claude-haiku-4-5', display_name: 'Claude', created_at: '2025-09-29T00:00:00Z' };
  await same(anthropic('/anthropic'), async (c) => (await c.models.list()).data,
    (x) => x.json({ data: [model], has_more: false, first_id: model.id, last_id: model.id }), { url: '/v1/models' });
});

test('deepseek: without /v1, balance, beta, reasoning_content and its usage', async () => {
  const answer = { ...completion('Zwei.', { message: { reasoning_content: '' } }), model: 'deepseek-reasoner',
    usage: { prompt_tokens: 20, completion_tokens: 9, total_tokens: 29, prompt_cache_hit_tokens: 16, prompt_cache_miss_tokens: 4,
      completion_tokens_details: { reasoning_tokens: 6 } } };
  const request = { model: 'deepseek-reasoner', messages: [{ role: 'user', content: '1+1?' }, { role: 'assistant', content: 'x', reasoning_content: '' }, { role: 'user', content: '?' }] };
  const t = await same(openai(''), (c) => c.chat.completions.create(request), (x) => x.json(answer));
  assert.equal(t.asked.url, '/chat/completions');
  shown(t, answer);
  await same(openai('/beta'), (c) => c.completions.create({ model: 'deepseek-chat', prompt: 'a', suffix: 'c' }), (x) => x.json({ choices: [] }));
  await same(openai(''), async (c) => (await c.models.list()).data, (x) => x.json({ object: 'list', data: [{ id: 'deepseek-chat', object: 'model' }] }));
  const balance = { is_available: true, balance_infos: [{ currency: 'CNY', total_balance: '110.00' }] };
  await same(openai(''), (c) => c.get('/user/balance'), (x) => x.json(balance));
});

// What a stream may look like besides the usual, by the HTML standard's rules.
const FORMS = {
  'LF': streamed(['a', '🌍']).join(''),
  'CRLF': streamed(['a', '🌍']).join('').replaceAll('\n', '\r\n'),
  'CR': streamed(['a', '🌍']).join('').replaceAll('\n', '\r'),
  'no space after data:': streamed(['a']).join('').replaceAll('data: ', 'data:'),
  'BOM': `\ufeff${streamed(['a']).join('')}`,
  'id, retry and comments': `: hello\n\nid: 7\nretry: 10\nevent: message\n${streamed(['a']).join(': keep-alive\n\n')}`,
  'data over several lines': `data: {"choices":[{"index":0,\ndata: "delta":{"content":"x"}}]}\n\n${event('[DONE]')}`,
  'error is null': event({ ...chunk({ content: 'a' }), error: null }) + event('[DONE]'),
};
for (const [name, text] of Object.entries(FORMS))
  test(`a stream's bytes, split anywhere: ${name}`, async () => {
    const whole = Buffer.from(text);
    const events = (bytes) => {
      const all = [];
      const parser = createParser({ onEvent: (e) => all.push(e), onComment: (c) => all.push(c) });
      parser.feed(bytes.toString());
      return all;
    };
    for (const [size, options] of [[1, { include_usage: true }], [5, undefined], [1 << 20, undefined]]) {
      const pieces = [];
      for (let i = 0; i < whole.length; i += size) pieces.push(whole.subarray(i, i + size));
      upstream.answer = (x) => x.stream(pieces);
      const t = await ask(...sides.through, '/v1/chat/completions', { ...CHAT, stream: true, stream_options: options });
      assert.equal(t.text, text);
      assert.deepEqual(events(t.body), events(whole));
      assert.equal(t.how, 'end');
    }
  });

// The same of the dialects with named events, whose end is an event's name or type.
const NAMED = {
  messages: ['/v1/messages', messageEvents('a 🌍')], responses: ['/v1/responses', responseEvents(['a', ' 🌍'])],
  completions: ['/v1/completions', [event({ choices: [{ index: 0, text: 'a', finish_reason: 'stop' }] }), event('[DONE]')]],
};
for (const [name, [path, events]] of Object.entries(NAMED))
  test(`a stream's bytes, split anywhere: ${name}`, async () => {
    const text = events.join('');
    for (const form of [text, text.replaceAll('\n', '\r\n'), text.replaceAll('\n', '\r'), text.replaceAll(': ', ':'),
      events.join(': beat\n\n'), `\ufeff${text}`, text.trimEnd(), text.replaceAll(/^event: (.*)\n(data: .*)$/gm, '$2\nevent: $1')])
      for (const size of [1, 3, 1 << 20]) {
        const whole = Buffer.from(form), pieces = [];
        for (let i = 0; i < whole.length; i += size) pieces.push(whole.subarray(i, i + size));
        upstream.answer = (x) => x.stream(pieces);
        const t = await ask(...sides.through, path, { ...CHAT, max_tokens: 9, stream: true });
        assert.equal(t.text, form);
        assert.equal(t.how, 'end', `${size} bytes at a time: ${JSON.stringify(form.slice(-80))}`);
      }
  });

test('what comes after the end goes to nobody', async () => {
  for (const [path, events] of [['/v1/chat/completions', streamed(['a'])], ...Object.values(NAMED)]) {
    upstream.answer = (x) => x.stream([...events, event({ after: 'the end' }), ': comment\n\n']);
    const t = await ask(...sides.through, path, { ...CHAT, max_tokens: 9, stream: true });
    assert.deepEqual([t.text, t.how], [events.join(''), 'end']);
  }
});

test('bytes that a parser would change go on as they are', async () => {
  const request = `{ "messages" : [{"content":"\\u4f60\\/ é","role":"user"}],\n\t"seed":12345678901234567890, "temperature":1.0,"top_p":1E-7 , "model":"gpt-4o-mini","x":{"b":1,"a":2}}`;
  const answer = `\n {"created":12345678901234567890,"choices":[{"message":{"content":"\\u4f60","role":"assistant"},"index":0}],"n":1.0 } `;
  upstream.answer = (x) => x.json(answer);
  const t = await ask(...sides.through, '/v1/chat/completions', request);
  assert.equal(upstream.requests.at(-1).raw.toString(), request);
  assert.equal(t.text, answer);
});

// ---- Vercel's `ai` ----

const compatible = (base, apiKey, fetch) => createOpenAICompatible({
  name: 'house', baseURL: `${base}/v1`, apiKey, fetch, includeUsage: true });
const deepseek = (base, apiKey, fetch) => createDeepSeek({ baseURL: base, apiKey, fetch });
const WEATHER = { weather: tool({ description: 'w', inputSchema: jsonSchema({ type: 'object', properties: { city: { type: 'string' } } }) }) };

// Everything of a result but the headers of its answer, which name the moment.
const plain = (result) => JSON.parse(JSON.stringify(result, (name, value) => (name === 'headers' ? undefined : value)));
const generate = (model) => async (c) => {
  const r = await generateText({ model: c(model), tools: WEATHER, maxRetries: 0,
    messages: [{ role: 'user', content: 'Wetter in 北京?' }] });
  return plain([r.content, r.finishReason, r.usage, r.providerMetadata, r.response, r.warnings]);
};
const stream = (model) => async (c) => {
  const r = streamText({ model: c(model), tools: WEATHER, maxRetries: 0, prompt: 'Wetter in 北京?' });
  return plain(await collect(r.fullStream));
};

for (const [name, make, model] of [['openai-compatible', compatible, 'gpt-4o-mini'], ['deepseek', deepseek, 'deepseek-reasoner']])
  test(`ai with @ai-sdk/${name}: reasoning and tools, plain and streamed`, async () => {
    const calls = [{ id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"北京"}' } }];
    const usage = { prompt_tokens: 20, completion_tokens: 9, total_tokens: 29, prompt_cache_hit_tokens: 16, prompt_cache_miss_tokens: 4 };
    const answer = { ...completion('Ich sehe nach.', { finish: 'tool_calls', message: { reasoning_content: '先查', tool_calls: calls } }), model, usage };
    shown(await same(make, generate(model), (x) => x.json(answer)), answer);
    const t = await same(make, stream(model), (x) => x.stream([
      event(chunk({ role: 'assistant', content: null, reasoning_content: '' })),
      ...['先', '查'].map((reasoning_content) => event(chunk({ content: null, reasoning_content }))),
      ...['Ich ', 'sehe nach.'].map((content) => event(chunk({ content, reasoning_content: null }))),
      event(chunk({ tool_calls: [{ index: 0, ...calls[0], function: { name: 'weather', arguments: '' } }] })),
      ...['{"city":', '"北京"}'].map((part) => event(chunk({ tool_calls: [{ index: 0, function: { arguments: part } }] }))),
      event(chunk({}, { finish: 'tool_calls' })),
      event({ ...chunk({}), choices: [], usage }), event('[DONE]'),
    ]));
    assert.ok(t.result.some((part) => part.type === 'tool-call' && part.input.city === '北京'));
    shown(t, { ...completion(''), usage, choices: [{ index: 0, finish_reason: 'tool_calls', message: {
      role: 'assistant', reasoning_content: '先查', content: 'Ich sehe nach.', tool_calls: calls } }] });
  });

test('ai: embeddings', async () => {
  await same(compatible, async (c) => plain((await embed({ model: c.embeddingModel('text-embedding-3-small'), value: '长城', maxRetries: 0 }))),
    (x) => x.json({ object: 'list', data: [{ object: 'embedding', index: 0, embedding: [0.5, -1e-7] }], usage: { prompt_tokens: 2, total_tokens: 2 } }));
});

test('what was sealed is what was asked and answered', async (t) => {
  assert.ok(sealed.length > 20);
  for (const [exchange, check] of sealed) {
    await house.stored(exchange.id);
    const it = await house.show(exchange.id);
    await t.test(`${exchange.sent.url} ${it.streamed ? 'streamed' : 'plain'}`, () => {
      check(it);
      assert.equal(it.outcome, 'complete');
      assert.equal(it.status, 200);
    });
  }
});
