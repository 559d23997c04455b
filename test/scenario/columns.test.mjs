// What stands in the clear of each exchange, by SQL: counts, costs, times, session, trace and tags of
// every dialect; and that nothing gets there that is not configured, or of a closed list.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Installation } from './lib/installation.mjs';
import { ask } from './lib/client.mjs';
import {
  Upstream, chunk, completion, event, message, messageEvents, response, responseEvents, streamed,
} from './lib/upstream.mjs';

let upstream, house;
const LATE_MS = 60;

test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ env: { CANARY_KEY: 'sk-canary-provider-key' }, config: `
providers:
  main: {dialect: [openai, deepseek, anthropic], url: '${upstream.url}', keys: [{env: CANARY_KEY}], eject_after: 0}
routes:
  - {model: "*", providers: [{name: main}]}
  - {model: house-model, providers: [{name: main, model: house-internal}]}
aliases: {house-alias: gpt-4o-mini}
projects:
  default: {tags: {team: web, feature: of-the-project}}
  bare: {}
prices:
  models:
    gpt-4o-mini: {input: 1, cached_input: 0.1, output: 2}
    claude-haiku-4-5: {input: 1, cached_input: 0.1, cache_write: 1.25, output: 2}
    deepseek-chat: {input: 1, cached_input: 0.02, output: 4}
    text-embedding-3-small: {input: 0.5, output: 0}
log:
  session_id: {header: X-Session-Id}
  trace_id: {header: traceparent}
  tags:
    feature: {header: X-Feature}
    region: {header: X-Region}
    experiment: {metadata: experiment}
` });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const HEADERS = { 'x-session-id': 'session-7', traceparent: TRACE, 'x-region': 'eu', 'x-other': 'canary-header' };
const CHAT = '/v1/chat/completions';
const ASK = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'canary-question' }], user: 'canary-person',
  metadata: { experiment: 'blue', other: 'canary-metadata' } };
const CLAUDE = { ...ASK, model: 'claude-haiku-4-5', max_tokens: 99, user: undefined, metadata: { user_id: 'canary-person', experiment: 'blue' } };
const through = (path, body, { headers = HEADERS, key = house.key, ...more } = {}) =>
  ask(house.gateway, key, path, body, { headers, ...more });
async function row(t) {
  await house.stored(t.id);
  return (await house.rows(`SELECT * FROM interactions WHERE id = '${t.id}'`))[0];
}

const usage = { prompt_tokens: 9, completion_tokens: 12, total_tokens: 21,
  prompt_tokens_details: { cached_tokens: 4 }, completion_tokens_details: { reasoning_tokens: 5 } };
const chat = { ...completion('ok'), usage };
const chunks = [...streamed(['a', 'b']).slice(0, -1), event({ ...chunk({}), choices: [], usage }), event('[DONE]')];
const deepseek = { ...chat, model: 'deepseek-chat', choices: [{ ...chat.choices[0], finish_reason: 'insufficient_system_resource' }], usage: { prompt_tokens: 20, completion_tokens: 9, total_tokens: 29,
  prompt_cache_hit_tokens: 16, prompt_cache_miss_tokens: 4, completion_tokens_details: { reasoning_tokens: 6 } } };
const blocks = [{ type: 'text', text: 'ok' }];

// dialect, path, request, answer (an object: plain; an array: events), tokens (input, output, cached,
// reasoning), cost in billionths, finish
const CASES = [
  ['openai.chat', CHAT, ASK, chat, [9, 12, 4, 5], 5 * 1000 + 4 * 100 + 12 * 2000, 'stop'],
  ['openai.chat', CHAT, { ...ASK, stream: true }, chunks, [9, 12, 4, 5], 29400, 'stop'],
  ['openai.chat', '/chat/completions', { ...ASK, model: 'deepseek-chat' }, deepseek, [20, 9, 16, 6], 4 * 1000 + 16 * 20 + 9 * 4000, 'insufficient_system_resource'],
  ['openai.completions', '/v1/completions', { ...ASK, messages: undefined, prompt: 'x' },
    { object: 'text_completion', model: 'gpt-4o-mini', choices: [{ index: 0, text: 'y', finish_reason: 'length' }], usage }, [9, 12, 4, 5], 29400, 'length'],
  ['openai.responses', '/v1/responses', { ...ASK, messages: undefined, input: 'x' }, response('ok'), [31, 17, 8, 4], 23 * 1000 + 8 * 100 + 17 * 2000],
  ['openai.responses', '/v1/responses', { ...ASK, messages: undefined, input: 'x', stream: true }, responseEvents(['o', 'k']), [31, 17, 8, 4], 57800],
  ['openai.embeddings', '/v1/embeddings', { model: 'text-embedding-3-small', input: 'x', metadata: ASK.metadata },
    { object: 'list', model: 'text-embedding-3-small', data: [], usage: { prompt_tokens: 8, total_tokens: 8 } }, [8, 0, 0, 0], 8 * 500],
  ['openai.moderations', '/v1/moderations', { ...ASK, messages: undefined, input: 'x' }, { id: 'm', results: [] }, null, 0],
  ['anthropic.messages', '/v1/messages', CLAUDE, message(blocks), [20, 7, 5, 0], 12 * 1000 + 3 * 1250 + 5 * 100 + 7 * 2000, 'end_turn'],
  ['anthropic.messages', '/anthropic/v1/messages', { ...CLAUDE, stream: true }, messageEvents(blocks), [20, 7, 5, 0], 30250, 'end_turn'],
  ['anthropic.count_tokens', '/v1/messages/count_tokens', { ...CLAUDE, max_tokens: undefined }, { input_tokens: 14 }, null, 0],
];
// All are asked first: it takes a moment until an exchange is in the log.
const asked = [];
test('exchanges in every dialect', async () => {
  for (const [, path, body, answer] of CASES) {
    const isStream = Array.isArray(answer);
    upstream.answer = async (x) => {
      x.res.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' });
      x.res.flushHeaders();
      await new Promise((go) => setTimeout(go, LATE_MS));
      for (const piece of isStream ? answer : [JSON.stringify(answer)]) x.res.write(piece);
      x.res.end();
    };
    asked.push(await through(path, body));
  }
  assert.deepEqual(asked.map((t) => t.status), CASES.map(() => 200));
});

for (const [i, [dialect, path, body, answer, tokens, cost, finish]] of CASES.entries())
  test(`${dialect} ${Array.isArray(answer) ? 'streamed' : 'plain'} at ${path}`, async () => {
    const it = await row(asked[i]), streams = Array.isArray(answer);
    assert.deepEqual([it.dialect, it.provider, it.model_asked, it.model, it.status, it.outcome, it.error, it.streamed, Number(it.attempts)],
      [dialect, 'main', body.model, streams || answer.model ? body.model : '', 200, 'complete', '', streams, 1]);
    assert.deepEqual(['input', 'output', 'cached', 'reasoning'].map((n) => Number(it[`tokens_${n}`])), tokens ?? [0, 0, 0, 0]);
    assert.equal(it.usage, tokens ? 'reported' : 'none');
    assert.equal(Number(it.cost_nano), cost);
    if (finish) assert.equal(it.finish, finish);
    const [ttft, duration, overhead] = ['ttft_us', 'duration_us', 'overhead_us'].map((n) => Number(it[n]));
    assert.ok(ttft >= (LATE_MS - 5) * 1000 && ttft <= duration, `${ttft} of ${duration}`);
    assert.ok(overhead > 0 && overhead < ttft);
    assert.deepEqual([it.session_id, it.trace_id], ['session-7', TRACE]);
    assert.deepEqual(it.tags, { team: 'web', feature: 'of-the-project', region: 'eu', experiment: 'blue' });
    assert.notEqual(it.subject, '00000000-0000-0000-0000-000000000000');
  });

test('multipart: no metadata to look at, the rest is there', async () => {
  upstream.answer = (x) => x.json({ text: 'canary-transcript', usage: { type: 'tokens', input_tokens: 14, output_tokens: 45, total_tokens: 59 } });
  const body = '--b\r\nContent-Disposition: form-data; name="experiment"\r\n\r\ncanary\r\n--b--\r\n';
  const it = await row(await through('/v1/audio/transcriptions', body, { headers: { ...HEADERS, 'content-type': 'multipart/form-data; boundary=b' } }));
  assert.deepEqual([it.dialect, it.model_asked, it.session_id], ['openai.audio', '', 'session-7']);
  assert.deepEqual(it.tags, { team: 'web', feature: 'of-the-project', region: 'eu' });
});

test('lists and balances have a row without content', async () => {
  upstream.answer = (x) => x.json({ object: 'list', data: [], is_available: true });
  for (const [path, dialect] of [['/v1/models', 'openai.models'], ['/user/balance', 'deepseek.balance']]) {
    const t = await through(path, undefined, { method: 'GET' });
    if (!t.id) continue; // answered by the configuration
    const it = await row(t);
    assert.deepEqual([it.dialect, it.stored, it.usage, it.subject], [dialect, 'none', 'none', '00000000-0000-0000-0000-000000000000']);
  }
});

test('blank lines before a body are not its first byte', async () => {
  upstream.answer = async (x) => {
    x.res.writeHead(200, { 'content-type': 'application/json' });
    x.res.write('\n');
    await new Promise((go) => setTimeout(go, LATE_MS));
    x.res.end(JSON.stringify(chat));
  };
  const it = await row(await through(CHAT, ASK));
  assert.ok(Number(it.ttft_us) >= (LATE_MS - 5) * 1000, it.ttft_us);
});

test('a price is that of the model that was used; one that is not known costs 0', async () => {
  upstream.answer = (x) => x.json(chat);
  await Promise.all([['house-alias', 29400], ['gpt-4o-mini-2024-07-18', 29400], ['house-model', 0]].map(async ([model, cost]) => {
    const it = await row(await through(CHAT, { ...ASK, model }));
    assert.deepEqual([it.model_asked, Number(it.cost_nano)], [model, cost]);
  }));
});

test('interrupted: the counts are estimated, and marked', async () => {
  upstream.answer = async (x) => {
    x.res.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let i = 0; i < 50; i++) x.res.write(event(chunk({ content: 'word ' })));
    if (!x.headers['x-leaves']) x.res.end();
  };
  const cut = await through(CHAT, { ...ASK, stream: true });
  const left = await through(CHAT, { ...ASK, stream: true }, { headers: { 'x-leaves': '1' }, on: () => 'leave' });
  for (const [t, outcome] of [[cut, 'cut'], [left, 'cancelled']]) {
    const it = await row(t);
    assert.deepEqual([it.outcome, it.usage], [outcome, 'estimated']);
    assert.ok(Number(it.tokens_input) > 0 && Number(it.tokens_output) > 0 && Number(it.cost_nano) > 0, JSON.stringify(it));
  }
});

test('refusals: their codes; errors of providers: their class', async () => {
  const key = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--json', '--tokens-day', '1', '--models', 'gpt-*,claude-*'));
  upstream.answer = (x) => x.json(chat);
  await through(CHAT, ASK, { key: key.secret });
  const refused = [[ASK, 'budget_exhausted', 429], [{ ...ASK, model: 'canary-model' }, 'model_not_allowed', 403]];
  const errors = [[400, 'invalid_request'], [422, 'unprocessable'], [429, 'rate_limit'], [500, 'server'], [503, 'unavailable'], [402, 'balance']];
  const ours = [], theirs = [];
  for (const [body] of refused) ours.push(await through(CHAT, body, { key: key.secret }));
  for (const [status] of errors) {
    upstream.answer = (x) => x.json({ error: { message: 'canary-error', type: 'canary', param: null, code: 'canary' } }, status);
    theirs.push(await through(CHAT, ASK));
  }
  await house.cli('reload', '--dir', house.dir); // the 402 took the key out
  for (const [i, [, error, status]] of refused.entries()) {
    const it = await row(ours[i]);
    assert.deepEqual([it.outcome, it.error, it.status, it.usage, Number(it.cost_nano), it.key], ['refused', error, status, 'none', 0, key.id]);
    assert.deepEqual([it.session_id, it.tags.team], ['session-7', 'web'], error);
  }
  for (const [i, [status, error]] of errors.entries()) {
    const it = await row(theirs[i]);
    assert.deepEqual([it.outcome, it.error, it.status, it.provider], ['complete', error, status, 'main']);
  }
  upstream.answer = (x) => x.stream([...streamed(['a']).slice(0, 2), event({ error: { message: 'canary' } }), event('[DONE]')]);
  assert.equal((await row(await through(CHAT, { ...ASK, stream: true }))).error, 'in_answer');
});

test('headers and members that are no short plain text are left out, not cut short', async () => {
  upstream.answer = (x) => x.json(chat);
  const bare = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--project', 'bare', '--json'));
  const labels = async (headers, metadata) => {
    const it = await row(await through(CHAT, { ...ASK, metadata }, { headers, key: bare.secret }));
    return [it.session_id, it.trace_id, it.tags];
  };
  const cases = [
    [{ 'x-session-id': 'a b;c=d~', traceparent: 'x'.repeat(256), 'x-feature': 'f' }, { experiment: 'größe 🌍' },
      ['a b;c=d~', 'x'.repeat(256), { feature: 'f', experiment: 'größe 🌍' }]],
    [{ 'x-session-id': 'y'.repeat(257), traceparent: Buffer.from('canary-é').toString('latin1'), 'x-region': 'a\tb' }, { experiment: 'z'.repeat(257) }, ['', '', {}]],
    ...[{ experiment: 5 }, { experiment: { a: 'canary' } }, { experiment: null }, {}, null, 'canary', ['canary'], undefined].map((m) => [{}, m, ['', '', {}]]),
  ];
  await Promise.all(cases.map(async ([headers, metadata, wanted]) => assert.deepEqual(await labels(headers, metadata), wanted)));
});

const LISTS = {
  dialect: CASES.map(([d]) => d).concat('openai.models', 'deepseek.balance', 'openai.audio'),
  outcome: ['complete', 'cancelled', 'cut', 'refused'],
  finish: ['', 'other', 'stop', 'length', 'end_turn', 'tool_calls', 'content_filter', 'completed', 'insufficient_system_resource'],
  usage: ['reported', 'estimated', 'none'],
  stored: ['turn', 'none', 'withheld'],
  provider: ['', 'main'],
  tenant: ['default'],
  project: ['default', 'bare'],
  model: ['', 'other', 'gpt-4o-mini', 'gpt-4o-mini-2024-07-18', 'house-model', 'house-internal', 'claude-haiku-4-5', 'deepseek-chat', 'text-embedding-3-small'],
};
LISTS.model_asked = [...LISTS.model, 'house-alias'];

test('nothing else is in the clear', async () => {
  const answers = [
    { ...chat, model: 'canary-model-of-the-provider', choices: [{ ...chat.choices[0], finish_reason: 'canary-finish' }], system_fingerprint: 'canary' },
    '{"canary":', '<html>canary</html>',
  ];
  const last = [];
  for (const answer of answers) {
    upstream.answer = (x) => x.json(answer, 200, { 'x-request-id': 'canary-id', 'openai-organization': 'canary-org' });
    for (const model of ['canary-model', 'gpt-4o-mini'])
      last.push(await through(CHAT, { ...ASK, model, canary_member: 'canary', tools: [{ type: 'function', function: { name: 'canary_tool' } }] }));
  }
  for (const t of last) await row(t);
  const rows = await house.rows('SELECT * FROM interactions');
  assert.ok(rows.length > 35);
  for (const table of ['interactions', 'turns', 'data_keys']) {
    const text = await house.cli('query', '--dir', house.dir, '--format', 'CSV', `SELECT * FROM ${table}`);
    assert.ok(text.length > 100);
    assert.doesNotMatch(text, /canary/, table);
  }
  for (const [column, list] of Object.entries(LISTS))
    for (const it of rows) assert.ok(list.includes(it[column]), `${column}: ${it[column]}`);
  const strange = rows.filter((r) => r.model === 'other' || r.model_asked === 'other' || r.finish === 'other');
  assert.ok(strange.length >= 3);
  for (const entry of await readdir(house.dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile()) assert.ok(!(await readFile(path).catch(() => '')).includes('canary'), path);
  }
  const metrics = await (await fetch(`${house.gateway}/metrics`)).text();
  assert.doesNotMatch(metrics + house.stdout + house.stderr, /canary/);
});
