// A property: no secret's bytes, in whatever form it was written and wherever it stood, are in anything that is kept,
// nor in what is opened with the passphrase. Each class in each form and each place of each dialect, made anew in
// each run: SEED=... repeats one.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, readdir, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Installation, BIN } from './lib/installation.mjs';
import { ask } from './lib/client.mjs';
import { FORMS, MAKE, Seeded, make, windows } from './lib/secrets.mjs';
import { Upstream, chunk, completion, event, message, named, response } from './lib/upstream.mjs';

const run = promisify(execFile);
const SCAN = process.env.SAFEHOUSE_SCAN ?? join(BIN, '..', 'test', 'tools', 'scan');
const SEED = process.env.SEED ?? randomBytes(6).toString('hex');
const r = new Seeded(SEED);
const CLASSES = Object.keys(MAKE), KINDS = Object.keys(FORMS);

// Every class with every form, in an order of its own for each round.
const planted = []; // {name, value, text, core, form, place}
const pairs = (function* () {
  for (let turn = 0; ; turn++)
    for (let i = 0; i < CLASSES.length * KINDS.length; i++)
      yield [CLASSES[(i + turn) % CLASSES.length], KINDS[(Math.floor(i / CLASSES.length) + i) % KINDS.length]];
})();

// A secret for a place: its text, or a mark that `body` replaces by what JSON would not write so itself. `inner`: the
// text goes into JSON that is a string, where such a mark cannot stand.
const raws = new Map();
function plant(place, { inner = false, line = false } = {}) {
  let [name, form] = pairs.next().value;
  if (inner && form === 'unicode') form = 'nested-unicode';
  if (line && (form.includes('lines') || form === 'newline' || form === 'unicode' || name === 'private-key')) [name, form] = ['github-token', 'plain'];
  const s = make(r, name);
  const made = FORMS[form](s, r);
  planted.push({ ...s, form, place, inner, written: made.raw ?? JSON.stringify(made).slice(1, -1), windows: windows(s.core) });
  if (!made.raw) return made;
  const mark = `raw-${raws.size}-raw`;
  raws.set(mark, made.raw);
  return mark;
}
const body = (value) => JSON.stringify(value).replace(/raw-\d+-raw/g, (mark) => raws.get(mark));
const said = (text) => text.replace(/raw-\d+-raw/g, (mark) => JSON.parse(`"${raws.get(mark)}"`));

let upstream, house;
test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ config: `
providers:
  all: {dialect: [openai, deepseek, anthropic], url: '${upstream.url}', eject_after: 0}
log:
  session_id: {header: x-session}
  trace_id: {header: x-trace}
  tags: {team: {header: x-team}, ticket: {metadata: ticket}}
detect: {enabled: true}
` });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const answered = []; // what went to clients: that a secret was there at all
let exchanges = 0;
async function exchange(path, request, headers = {}) {
  const got = await ask(house.gateway, house.key, path, body(request), { headers });
  answered.push(got.body);
  assert.equal(got.how, 'end');
  exchanges++;
  return got;
}

// Events of a stream, in writes that end at any byte.
function torn(events) {
  const bytes = Buffer.from(events.join('').replace(/raw-\d+-raw/g, (mark) => raws.get(mark))), pieces = [];
  for (let at = 0; at < bytes.length;) {
    const n = 1 + r.below(900);
    pieces.push(bytes.subarray(at, at + n));
    at += n;
  }
  return pieces;
}
const chars = (text) => [...said(text)];

const HISTORY = () => [
  { role: 'system', content: plant('system prompt') },
  { role: 'user', name: 'ada', content: [{ type: 'text', text: plant('prompt, a part') }] },
  { role: 'assistant', content: plant('history'), tool_calls: [{ id: 'call_0', type: 'function', function: {
    name: 'f', arguments: JSON.stringify({ command: plant('arguments of the history', { inner: true }) }) } }] },
  { role: 'tool', tool_call_id: 'call_0', content: plant('result of a tool') },
  { role: 'user', content: plant('prompt') },
];
const TOOLS = () => [{ type: 'function', function: { name: 'f', description: plant('description of a tool'),
  parameters: { type: 'object', properties: { [plant('name of a member', { line: true })]: { type: 'string', default: plant('schema') } } } } }];
// The bytes of UTF-8, which node writes as they are.
const header = () => Buffer.from(plant('header', { line: true })).toString('latin1');
const HEADERS = () => ({ 'x-session': header(), 'x-team': header(), 'x-trace': `trace ${header()}` });

async function chatWhole() {
  const answer = completion(plant('answer'), { message: { reasoning_content: plant('reasoning'), tool_calls: [
    { id: 'call_1', type: 'function', function: { name: 'f', arguments: JSON.stringify({ a: plant('arguments', { inner: true }) }) } }] } });
  answer.choices.push({ ...completion(plant('second choice')).choices[0], index: 1 });
  upstream.answer = (x) => x.json(body(answer));
  const got = await exchange('/v1/chat/completions', { model: 'deepseek-chat', n: 2, messages: HISTORY(), tools: TOOLS(), user: 'u-1',
    metadata: { ticket: plant('metadata', { line: true }) } }, HEADERS());
  assert.equal(got.status, 200, got.text);
}

// Two choices, their content, reasoning and arguments character by character, all of them in turns.
async function chatStreamed() {
  const fields = [0, 1].flatMap((index) => [
    [...chars(plant('answer, streamed'))].map((content) => chunk({ content }, { index })),
    [...chars(plant('reasoning, streamed'))].map((reasoning_content) => chunk({ reasoning_content }, { index })),
    [...JSON.stringify({ command: plant('arguments, streamed', { inner: true }) })]
      .map((text) => chunk({ tool_calls: [{ index: 0, function: { arguments: text } }] }, { index })),
  ]);
  const events = [0, 1].flatMap((index) => [chunk({ role: 'assistant', content: '' }, { index }),
    chunk({ tool_calls: [{ index: 0, id: `call_${index}`, type: 'function', function: { name: 'f', arguments: '' } }] }, { index })]);
  for (let i = 0; fields.some((f) => i < f.length); i++) for (const f of fields) if (i < f.length) events.push(f[i]);
  upstream.answer = (x) => x.stream(torn([...events, chunk({}, { finish: 'stop' }), chunk({}, { index: 1, finish: 'stop' })].map(event).concat(event('[DONE]'))));
  assert.equal((await exchange('/v1/chat/completions', { model: 'deepseek-reasoner', stream: true, messages: HISTORY() })).status, 200);
}

async function messages(stream) {
  const [text, thinking, input] = [plant('answer'), plant('thinking'), plant('input', { inner: true })];
  const answer = message([{ type: 'thinking', thinking, signature: 'c2ln' }, { type: 'text', text }, { type: 'tool_use', id: 'toolu_1', name: 'f', input: { command: input } }]);
  const { output_tokens, ...prompt } = answer.usage;
  const deltas = [chars(thinking).map((v) => ({ type: 'thinking_delta', thinking: v })), chars(text).map((v) => ({ type: 'text_delta', text: v })),
    [...JSON.stringify({ command: input })].map((partial_json) => ({ type: 'input_json_delta', partial_json }))];
  const opened = [{ type: 'thinking', thinking: '', signature: '' }, { type: 'text', text: '' }, { type: 'tool_use', id: 'toolu_1', name: 'f', input: {} }];
  upstream.answer = (x) => (!stream ? x.json(body(answer)) : x.stream(torn([
    named({ type: 'message_start', message: { ...answer, content: [], stop_reason: null, usage: { ...prompt, output_tokens: 1 } } }),
    ...deltas.flatMap((list, index) => [named({ type: 'content_block_start', index, content_block: opened[index] }),
      ...list.map((delta) => named({ type: 'content_block_delta', index, delta })), named({ type: 'content_block_stop', index })]),
    named({ type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens } }),
    named({ type: 'message_stop' })])));
  const got = await exchange('/v1/messages', { model: 'claude-haiku-4-5', max_tokens: 99, stream, system: [{ type: 'text', text: plant('system prompt') }], messages: [
    { role: 'user', content: plant('prompt') },
    { role: 'assistant', content: [{ type: 'text', text: plant('history') }, { type: 'tool_use', id: 'toolu_0', name: 'f', input: { path: plant('input of the history') } }] },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_0', content: [{ type: 'text', text: plant('result of a tool') }] }] },
  ] }, { 'anthropic-version': '2023-06-01', ...HEADERS() });
  assert.equal(got.status, 200, got.text);
}

async function responses(stream) {
  const text = plant('answer'), args = JSON.stringify({ command: plant('arguments', { inner: true }) });
  const plain = said(text);
  const answer = response(stream ? plain : text);
  answer.output.push({ type: 'function_call', id: 'fc_1', call_id: 'call_1', name: 'f', status: 'completed', arguments: args });
  const [item, call] = answer.output, begun = { ...answer, status: 'in_progress', output: [], usage: null };
  const at = { item_id: item.id, output_index: 0, content_index: 0 }, of = { item_id: 'fc_1', output_index: 1 };
  const events = [
    { type: 'response.created', response: begun },
    { type: 'response.output_item.added', output_index: 0, item: { ...item, status: 'in_progress', content: [] } },
    { type: 'response.content_part.added', ...at, part: { ...item.content[0], text: '' } },
    ...chars(plain).map((delta) => ({ type: 'response.output_text.delta', ...at, delta, logprobs: [] })),
    { type: 'response.output_text.done', ...at, text: plain, logprobs: [] },
    { type: 'response.content_part.done', ...at, part: item.content[0] },
    { type: 'response.output_item.done', output_index: 0, item },
    { type: 'response.output_item.added', output_index: 1, item: { ...call, status: 'in_progress', arguments: '' } },
    ...[...args].map((delta) => ({ type: 'response.function_call_arguments.delta', ...of, delta })),
    { type: 'response.function_call_arguments.done', ...of, arguments: args },
    { type: 'response.output_item.done', output_index: 1, item: call },
    { type: 'response.completed', response: answer },
  ].map((e, sequence_number) => named({ ...e, sequence_number }));
  upstream.answer = (x) => (stream ? x.stream(torn(events)) : x.json(body(answer)));
  const got = await exchange('/v1/responses', { model: 'gpt-4o-mini', stream, instructions: plant('instructions'), input: [
    { type: 'message', role: 'user', content: [{ type: 'input_text', text: plant('input') }] },
    { type: 'function_call', call_id: 'call_0', name: 'f', arguments: JSON.stringify({ a: plant('arguments of the history', { inner: true }) }) },
    { type: 'function_call_output', call_id: 'call_0', output: plant('output of a tool') },
  ], metadata: { note: plant('metadata', { line: true }) } }, HEADERS());
  assert.equal(got.status, 200, got.text);
}

// A provider's errors say what was sent to it; and one breaks off.
async function failures() {
  const [why, status] = [plant('error of a provider'), [400, 401, 422][r.below(3)]];
  upstream.answer = (x) => x.json(body({ error: { message: `Incorrect API key provided: ${why}.`, type: 'invalid_request_error', param: null, code: 'invalid_api_key' } }), status);
  await exchange('/v1/chat/completions', { model: 'gpt-4o-mini', messages: [{ role: 'user', content: plant('prompt that fails') }] });
  const half = chars(plant('answer that is cut'));
  upstream.answer = async (x) => {
    await x.stream(torn([event(chunk({ role: 'assistant', content: '' })), ...half.map((content) => event(chunk({ content })))]), { end: false });
    x.socket.destroy();
  };
  const got = await ask(house.gateway, house.key, '/v1/chat/completions', body({ model: 'gpt-4o-mini', stream: true, messages: [{ role: 'user', content: plant('prompt') }] }));
  answered.push(got.body);
  exchanges++;
}

// ---- looking ----

let owner; // pattern -> the planted secret
async function look(files) {
  if (!owner) {
    owner = new Map();
    for (const s of planted) for (const w of s.windows) owner.set(w, s);
    await writeFile(join(house.home, 'patterns'), `${[...owner.keys()].join('\n')}\n`);
  }
  const found = [];
  for (let i = 0; i < files.length; i += 200)
    await run(SCAN, [join(house.home, 'patterns'), ...files.slice(i, i + 200)], { maxBuffer: 1 << 26, encoding: 'latin1' })
      .catch((e) => found.push(...e.stdout.split('\n').filter(Boolean)));
  return found;
}
const whose = (line) => {
  const s = owner.get(Buffer.from(line.slice(-12), 'latin1').toString('hex'));
  return `${line.split(' ')[0]}: ${s?.name}, ${s?.form}, ${s?.place}`;
};
async function assertClean(files, what) {
  const found = await look(files);
  assert.deepEqual([...new Set(found.map(whose))], [], `${what} (SEED=${SEED})`);
}
async function filesUnder(dir) {
  const all = await readdir(dir, { withFileTypes: true, recursive: true });
  return all.filter((e) => e.isFile()).map((e) => join(e.parentPath ?? e.path, e.name));
}
const filesOf = (name, text) => writeFile(join(house.home, name), text).then(() => [join(house.home, name)]);

// What a reader of opened text would see, one level after another: strings of JSON in strings, in their usual form.
function readings(text) {
  const all = [];
  const visit = (v, depth) => {
    if (Array.isArray(v)) return v.forEach((x) => visit(x, depth));
    if (v && typeof v === 'object') return Object.entries(v).forEach(([k, x]) => { visit(k, depth); visit(x, depth); });
    if (typeof v !== 'string') return;
    const usual = v.normalize('NFKC').replace(/[\u200b-\u200f\u2060-\u2064\ufeff\u00ad]/g, '');
    all.push(usual);
    for (const [word] of usual.replace(/\r?\n/g, '').matchAll(/[A-Za-z0-9+/_-]{24,}/g)) all.push(Buffer.from(word, 'base64').toString('latin1'));
    if (depth < 3 && /^\s*[{[]/.test(v)) try { visit(JSON.parse(v), depth + 1); } catch { /* text that begins so */ }
  };
  visit(JSON.parse(text), 0);
  return all.join('\n');
}

test(`secrets in every form and place (SEED=${SEED})`, { timeout: 300000 }, async (t) => {
  t.diagnostic(`SEED=${SEED}`);
  while (planted.length < CLASSES.length * KINDS.length * 2) {
    await chatWhole();
    await chatStreamed();
    await messages(false);
    await messages(true);
    await responses(false);
    await responses(true);
    await failures();
  }
  await house.stored(exchanges);
  t.diagnostic(`${planted.length} secrets of ${CLASSES.length} classes in ${KINDS.length} forms, ${exchanges} exchanges`);
});

test('the search finds what went over the wire', async () => {
  const wire = Buffer.concat([...upstream.requests.flatMap((x) => [x.raw, Buffer.from('\n')]), ...answered]);
  const text = wire.toString();
  for (const s of planted) {
    const what = `${s.name}, ${s.form}, ${s.place} (SEED=${SEED})`, bytes = Buffer.from(s.written.replace(/(\\r)?\\n/g, '')).toString('latin1');
    // Pieces of a value that is interrupted, wide in places or escaped twice are shorter than what is looked for.
    if (!/widthless|digits|nested-unicode/.test(s.form)) assert.ok([...s.windows].some((w) => bytes.includes(Buffer.from(w, 'hex').toString('latin1'))), what);
    if (!s.inner && /prompt|history|result|tool|schema|metadata/.test(s.place)) assert.ok(text.includes(s.written), what);
  }
  assert.equal((await look(await filesOf('wire', wire))).length, 100, 'as many as the search tells of a file');
});

test('nothing of them is in what is kept', async () => {
  const query = (...more) => house.cli('query', '--dir', house.dir, '--format', 'JSONEachRow', ...more);
  assert.deepEqual(await house.rows("SELECT stored, count() AS n FROM interactions WHERE stored != 'turn' GROUP BY stored"), []);
  const bodies = await query('--open', '--reason', 'test', 'SELECT id, body FROM turns');
  const rows = bodies.split('\n').filter(Boolean).map((l) => JSON.parse(l));
  await assertClean(await filesOf('opened', rows.map((row) => row.body).join('\n')), 'opened turns');
  await assertClean(await filesOf('read', rows.map((row) => readings(row.body)).join('\n')), 'opened turns, as one reads them');
  const placeholders = bodies.match(/\[\[secret:[a-z0-9-]+:k\d+:[A-Z2-7]{26}\]\]/g).length;
  const inHeaders = planted.filter((s) => s.place === 'header' || s.place === 'metadata').length;
  assert.ok(placeholders >= planted.length - inHeaders, `${placeholders} placeholders for ${planted.length - inHeaders}`);
  const shown = await house.cli('show', rows[0].id, '--dir', house.dir, '--reason', 'test');
  await assertClean(await filesOf('shown', shown), 'show');
  for (const table of ['interactions', 'findings', 'data_keys', 'turns'])
    await assertClean(await filesOf(table, await query(`SELECT * FROM ${table}`)), table);
  await assertClean(await filesOf('output', house.stdout + house.stderr), 'output');
  // The ring and the state of prefixes are memory files, which the supervisor holds.
  const memory = [], fds = `/proc/${house.process.pid}/fd`;
  for (const fd of await readdir(fds)) {
    if (!(await readlink(join(fds, fd)).catch(() => '')).includes('memfd')) continue;
    await cp(join(fds, fd), join(house.home, `memory-${fd}`), { dereference: true });
    memory.push(join(house.home, `memory-${fd}`));
  }
  assert.ok(memory.length >= 2);
  await assertClean(memory, 'memory files');
  await assertClean(await filesUnder(house.dir), 'files, running');
  await house.stop();
  await assertClean(await filesUnder(house.dir), 'files, stopped');
  await assertClean(await filesOf('output', house.stdout + house.stderr), 'output');
});
