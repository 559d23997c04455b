// Conversations replayed turn by turn as an agent does, the whole history each time: every message is
// stored once, and every exchange reads back as it was sent and answered.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { assertShown } from './lib/placeholders.mjs';
import { Installation } from './lib/installation.mjs';
import { Upstream, completion, streamed } from './lib/upstream.mjs';
import { histories } from './lib/history.mjs';

const OWN = new URL('data/conversations.jsonl', import.meta.url);
const SHARED = new URL('../../../shared/conversations/conversations.jsonl', import.meta.url);

let upstream, house;
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ upstream: upstream.url });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

function ask(body) {
  return new Promise((done, fail) => {
    const req = http.request(`${house.gateway}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${house.key}` }, agent,
    }, (res) => {
      const parts = [];
      res.on('data', (d) => parts.push(d));
      res.on('end', () => done({
        id: res.headers['x-safehouse-id'], status: res.statusCode, text: Buffer.concat(parts).toString(),
      }));
      res.on('error', fail);
    });
    req.on('error', fail);
    req.end(JSON.stringify(body));
  });
}

// Sends every assistant turn of a conversation; gives [{id, request, message}].
async function replay(messages, base = {}) {
  const sent = [];
  for (let i = 0; i < messages.length; i++) {
    if (messages[i].role !== 'assistant') continue;
    const request = { model: 'gpt-4o-mini', ...base, messages: messages.slice(0, i) };
    const { id, status } = await ask(request);
    assert.equal(status, 200);
    sent.push({ id, request, message: messages[i] });
  }
  return sent;
}

function answerFrom(expected) {
  return (x) => {
    const message = expected.get(question(x.body.seed, x.body.messages));
    if (x.body.stream) return x.stream(streamed([...message.content].map((c) => c)));
    const answer = completion('');
    answer.choices[0].message = message;
    return x.json(answer);
  };
}

// What the mock must answer, by the history that it is asked with. The seed tells conversations apart
// that begin with the same words and are answered differently.
const question = (seed, messages) => `${seed} ${JSON.stringify(messages)}`;
function expectations(conversations) {
  const expected = new Map();
  conversations.forEach(({ messages }, seed) =>
    messages.forEach((m, i) => {
      if (m.role === 'assistant') expected.set(question(seed, messages.slice(0, i)), m);
    }));
  return expected;
}

async function turns(ids) {
  for (const id of ids.slice(-16)) await house.stored(id); // they were sent eight at a time
  const rows = await house.rows('SELECT id, parent, kept, body FROM turns', '--open', '--reason', 'test');
  return { rows, built: histories(rows) };
}

async function load(url, most = Infinity) {
  const text = await readFile(url, 'utf8').catch(() => null);
  return text && text.split('\n').filter(Boolean).slice(0, most).map((l) => JSON.parse(l));
}

async function replayAll(conversations) {
  upstream.answer = answerFrom(expectations(conversations));
  const all = [];
  let next = 0;
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let seed = next++; seed < conversations.length; seed = next++)
      all.push(...(await replay(conversations[seed].messages, { seed })));
  }));
  return all;
}

// How much was found in each conversation: a turn shows the placeholders of those before it as well.
async function findingsBySeed(all) {
  const of = new Map((await house.rows('SELECT id, findings FROM interactions')).map((r) => [r.id, r.findings]));
  const sums = new Map();
  for (const { id, request } of all) sums.set(request.seed, (sums.get(request.seed) ?? 0) + of.get(id));
  return sums;
}

function checkOne(it, { request, message }, findings) {
  assertShown(it.request, request, findings);
  assertShown(it.response.choices[0].message, message, findings);
}

async function checkAll(all, built) {
  const findings = await findingsBySeed(all);
  for (const x of all) {
    const it = built.get(x.id);
    assert.ok(it, `${x.id} is stored`);
    checkOne(it, x, findings.get(x.request.seed));
  }
  return findings;
}

test('own conversations, each message once, read back by query and show', async () => {
  const conversations = await load(OWN);
  const all = await replayAll(conversations);
  const { rows, built } = await turns(all.map((x) => x.id));
  const findings = await checkAll(all, built);
  const asked = conversations.reduce((n, c) => n + c.messages.filter((m) => m.role !== 'assistant').length, 0);
  const kept = rows.reduce((n, r) => n + JSON.parse(r.body).messages.length, 0);
  assert.equal(kept, asked, 'no message is stored twice');
  for (const x of all) checkOne(await house.show(x.id), x, findings.get(x.request.seed));
});

test('streams, branches, edited histories, other shapes of the same answer', async () => {
  const sys = { role: 'system', content: 'be brief' };
  const u = (content) => ({ role: 'user', content });
  const a = (content, more = {}) => ({ role: 'assistant', content, ...more });
  const base = { model: 'gpt-4o-mini', temperature: 0.2, stream: true };
  upstream.answer = (x) => x.stream(streamed(['answer to ', String(x.body.messages.at(-1).content)]));
  const requests = [
    [sys, u('one')],
    [sys, u('one'), a('answer to one'), u('two')],
    [sys, u('one'), a('answer to one'), u('two, edited')], // an edited question
    [sys, u('one'), a('answer to one', { refusal: null, annotations: [] }), u('two')], // another shape
    [sys, u('one'), a('an edited answer'), u('two')],
    [sys, u('one')], // asked again
    [sys, u('one'), a('answer to one'), u('two'), a('answer to two'), u('three')],
    [u('one')],
    [sys, u('one'), a('answer to one'), a('extra'), u('two')],
  ];
  const sent = [];
  for (const messages of requests) sent.push({ ...(await ask({ ...base, messages })), messages });
  const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
  const withTools = { ...base, tools, messages: requests[6] };
  sent.push({ ...(await ask(withTools)), request: withTools });
  const without = { ...base, temperature: 1.0, messages: [...requests[6], a('answer to three'), u('four')] };
  sent.push({ ...(await ask(without)), request: without });
  for (const s of sent) {
    await house.stored(s.id);
    const it = await house.show(s.id);
    assert.deepEqual(it.request, s.request ?? { ...base, messages: s.messages });
    assert.match(it.response.choices[0].message.content, /^answer to /);
  }
  const { built } = await turns(sent.map((s) => s.id));
  for (const s of sent)
    assert.deepEqual(built.get(s.id).request, s.request ?? { ...base, messages: s.messages });
  const conversations = await house.rows(
    `SELECT uniqExact(conversation) AS n FROM turns WHERE id IN (${sent.slice(0, 2).map((s) => `'${s.id}'`)})`);
  assert.equal(Number(conversations[0].n), 1, 'two turns, one conversation');
});

test('the shared conversations', { timeout: 400000 }, async (t) => {
  const conversations = await load(SHARED, Number(process.env.CONVERSATIONS ?? Infinity));
  if (!conversations) return t.skip('the shared set is not here');
  const all = await replayAll(conversations);
  const { rows, built } = await turns(all.map((x) => x.id));
  const findings = await checkAll(all, built);
  const mine = new Set(all.map((x) => x.id));
  const asked = conversations.reduce((n, c) => n + c.messages.filter((m) => m.role !== 'assistant').length, 0);
  const kept = rows.filter((r) => mine.has(r.id)).reduce((n, r) => n + JSON.parse(r.body).messages.length, 0);
  assert.ok(kept <= asked, `${kept} messages are stored of ${asked} that were sent`);
  // By `show` every SHOW-th, since each is a program of its own: SHOW=1 takes some minutes.
  const every = Number(process.env.SHOW ?? 20);
  const last = new Map(all.map((x) => [x.request.seed, x])); // a conversation's last exchange has all of it
  for (const x of [...last.values()].filter((_, i) => i % every === 0))
    checkOne(await house.show(x.id), x, findings.get(x.request.seed));
});
