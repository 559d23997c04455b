// What breaks between a provider and a client, and what the other side sees of it: an answer that is
// not whole never looks whole, time runs out when it was said to, and who leaves is not worked for any
// longer.
import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { createParser } from 'eventsource-parser';
import { Installation, until } from './lib/installation.mjs';
import { ask } from './lib/client.mjs';
import {
  Upstream, chunk, completion, event, message, messageEvents, responseEvents, streamed,
} from './lib/upstream.mjs';

let upstream, house;
const outcomes = []; // [id, outcome], looked at once, at the end

test.before(async () => {
  upstream = await Upstream.start();
  const dead = net.createServer().listen(0, '127.0.0.1'); // a port where nobody listens any more
  await new Promise((go) => dead.once('listening', go));
  const gone = dead.address().port;
  await new Promise((go) => dead.close(go));
  house = await Installation.start({ config: `
providers:
  all: {dialect: [openai, deepseek, anthropic], url: '${upstream.url}', eject_after: 0}
  hasty:
    dialect: [openai, anthropic]
    url: '${upstream.url}'
    models: [hasty]
    eject_after: 0
    timeouts: {connect: 1s, first_byte: 400ms, idle: 1s, total: 2500ms}
  dead: {dialect: [openai, anthropic], url: 'http://127.0.0.1:${gone}', models: [dead], eject_after: 0}
` });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const MESSAGES = [{ role: 'user', content: 'hi' }];
const CHAT = { model: 'gpt-4o-mini', messages: MESSAGES };
// The streaming dialects: where, what to ask, a whole answer, and the last event of one.
const STREAMS = {
  chat: ['/v1/chat/completions', { ...CHAT, stream: true }, streamed(['halb', ' 🌍', 'wegs'])],
  completions: ['/v1/completions', { model: 'gpt-4o-mini', prompt: 'x', stream: true }, [
    event({ object: 'text_completion', choices: [{ index: 0, text: 'halb', finish_reason: null }] }), event('[DONE]')]],
  messages: ['/v1/messages', { ...CHAT, max_tokens: 9, stream: true }, messageEvents('halb 🌍')],
  responses: ['/v1/responses', { model: 'gpt-4o-mini', input: 'x', stream: true }, responseEvents(['halb', ' 🌍'])],
};
const through = (path, body, options) => ask(house.gateway, house.key, path, body, options);
const noted = (t, outcome) => { outcomes.push([t.id, outcome]); return t; };

function events(text) {
  const all = [];
  createParser({ onEvent: (e) => all.push(e) }).feed(text);
  return all;
}

// The error of either family, whole.
function assertError(family, body, code) {
  const it = typeof body === 'string' ? JSON.parse(body) : body;
  assert.equal(typeof it.error.message, 'string');
  if (family === 'anthropic') {
    assert.equal(it.type, 'error');
    assert.deepEqual(Object.keys(it.error).sort(), ['message', 'type']);
    assert.equal(typeof it.request_id, 'string');
    if (code) assert.ok(it.error.message.includes(code), it.error.message);
  } else {
    assert.deepEqual(Object.keys(it.error).sort(), ['code', 'message', 'param', 'type']);
    if (code) assert.equal(it.error.code, code);
  }
}
const familyOf = (path) => (path.includes('messages') ? 'anthropic' : 'openai');

// ---- truncation ----

const head = (type, ...more) => `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\n${more.map((m) => `${m}\r\n`).join('')}\r\n`;
const inChunks = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const FRAMINGS = {
  'length, bytes missing': (type, text) => head(type, `content-length: ${Buffer.byteLength(text) + 9}`) + text,
  'chunks, no last one': (type, text) => head(type, 'transfer-encoding: chunked') + inChunks(text),
  'chunks, within one': (type, text) => `${head(type, 'transfer-encoding: chunked')}1000\r\n${text}`,
  'chunks, within a size': (type, text) => `${head(type, 'transfer-encoding: chunked')}${inChunks(text)}1`,
  'to the connection\'s end': (type, text) => head(type, 'connection: close') + text,
  'HTTP/1.0': (type, text) => head(type).replace('1.1', '1.0') + text,
};

for (const [name, frame] of Object.entries(FRAMINGS))
  for (const how of ['end', 'reset'])
    test(`cut: ${name}, ${how === 'end' ? 'closed' : 'reset'}`, async () => {
      const half = JSON.stringify(completion('a whole answer')).slice(0, 70);
      upstream.answer = (x) => x.wire(frame('application/json', half), how);
      const t = noted(await through('/v1/chat/completions', CHAT), 'cut');
      assert.equal(t.how, 'cut', t.text);
      assert.ok(half.startsWith(t.text) && (how === 'reset' || t.text === half));
      for (const [path, request, whole] of Object.values(STREAMS)) {
        const sent = whole.slice(0, -1).join('');
        upstream.answer = (x) => x.wire(frame('text/event-stream', sent), how);
        const s = noted(await through(path, request), 'cut');
        assert.equal(s.how, 'cut', s.text);
        if (how === 'reset') continue; // what was on its way is lost, as direct
        assert.ok(s.text.startsWith(sent), s.text);
        const last = events(s.text.slice(sent.length)).at(-1);
        assertError(familyOf(path), last.data, 'upstream_cut');
        if (familyOf(path) === 'anthropic') assert.equal(last.event, 'error');
      }
    });

test('cut: a stream that ends as HTTP says it may, without its last event', async () => {
  for (const [path, request, whole] of Object.values(STREAMS)) {
    const sent = whole.slice(0, -1);
    upstream.answer = (x) => x.stream(sent);
    const t = noted(await through(path, request), 'cut');
    assert.equal(t.how, 'cut', path);
    assert.ok(t.text.startsWith(sent.join('')));
    assertError(familyOf(path), events(t.text).at(-1).data, 'upstream_cut');
  }
});

test('cut: within an event, no event of ours is glued to it', async () => {
  for (const [path, request, whole] of Object.values(STREAMS)) {
    const sent = whole.join('').slice(0, -25);
    upstream.answer = (x) => x.stream([sent]);
    const t = noted(await through(path, request), 'cut');
    assert.equal(t.how, 'cut');
    assert.ok(sent.startsWith(t.text) || t.text.startsWith(sent.slice(0, sent.lastIndexOf('\n\n') + 2)));
    for (const e of events(t.text)) if (e.data !== '[DONE]') JSON.parse(e.data);
  }
});

test('cut: official clients throw', async () => {
  const openai = new OpenAI({ apiKey: house.key, baseURL: `${house.gateway}/v1`, maxRetries: 0 });
  const anthropic = new Anthropic({ apiKey: house.key, baseURL: house.gateway, maxRetries: 0 });
  const read = async (stream) => { for await (const _ of await stream) ; };
  for (const [name, call] of [['chat', () => read(openai.chat.completions.create(STREAMS.chat[1]))],
    ['responses', () => read(openai.responses.create(STREAMS.responses[1]))],
    ['messages', () => read(anthropic.messages.create(STREAMS.messages[1]))]]) {
    upstream.answer = (x) => x.stream(STREAMS[name][2].slice(0, -1));
    await assert.rejects(call, name);
  }
});

test('whole: what only the connection\'s end says to be over, and all that is to come did', async () => {
  const whole = JSON.stringify(completion('whole'));
  for (const [path, request, type, text] of [
    ['/v1/chat/completions', CHAT, 'application/json', whole],
    ...Object.values(STREAMS).map(([p, r, w]) => [p, r, 'text/event-stream', w.join('')])]) {
    upstream.answer = (x) => x.wire(head(type, 'connection: close') + text, 'end');
    const t = noted(await through(path, request), 'complete');
    assert.equal(t.how, 'end', path);
    assert.equal(t.text, text);
  }
});

test('no head, half a head, no HTTP: a 502 of ours', async () => {
  for (const [pieces, how] of [[[], 'end'], [[], 'reset'], ['HTTP/1.1 200 OK\r\ncontent-ty', 'end'],
    ['<html>hello</html>\r\n\r\n', 'end'], ['HTTP/1.1 abc\r\n\r\n', 'end'], ['HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n', 'open']])
    for (const [path, request] of [STREAMS.chat, STREAMS.messages]) {
      upstream.answer = (x) => x.wire(pieces, how);
      const t = await through(path, request);
      assert.equal(t.status, 502, pieces[0]);
      assertError(familyOf(path), t.text, 'bad_gateway');
    }
});

// ---- time ----

const HASTY = (name) => { const [path, request, whole] = STREAMS[name]; return [path, { ...request, model: 'hasty' }, whole]; };
const elapsed = async (call) => {
  const began = Date.now(), t = await call();
  return { ...t, ms: Date.now() - began };
};

test('time: no first byte is a 504 in the dialect\'s shape', async () => {
  for (const [path, request] of [HASTY('chat'), HASTY('messages'), HASTY('responses')]) {
    let gone;
    upstream.answer = (x) => { gone = x.gone; };
    const t = await elapsed(() => through(path, request));
    assert.equal(t.status, 504);
    assertError(familyOf(path), t.text, 'upstream_timeout');
    assert.ok(t.ms >= 350 && t.ms < 1500, `${t.ms} ms`);
    await gone;
  }
});

test('time: a stream that falls silent is cut, and comments are silence', async () => {
  for (const beats of [false, true]) {
    const [path, request, whole] = HASTY('chat');
    let timer, gone;
    upstream.answer = (x) => {
      gone = x.gone;
      x.res.writeHead(200, { 'content-type': 'text/event-stream' });
      x.res.write(whole[0] + whole[1]);
      if (beats) timer = setInterval(() => x.res.write(': still here\n\n'), 100);
    };
    const t = noted(await elapsed(() => through(path, request)), 'cut');
    await gone;
    clearInterval(timer);
    assert.equal(t.how, 'cut');
    assert.ok(t.text.startsWith(whole[0] + whole[1]));
    assertError('openai', events(t.text).at(-1).data);
    assert.ok(t.ms >= 700 && t.ms < 2000, `${t.ms} ms, comments: ${beats}`);
  }
});

test('time: a stream that never ends is cut at its total', async () => {
  const [path, request, whole] = HASTY('chat');
  let timer;
  upstream.answer = (x) => {
    x.res.writeHead(200, { 'content-type': 'text/event-stream' });
    timer = setInterval(() => x.res.write(whole[1]), 100);
    x.gone.then(() => clearInterval(timer));
  };
  const t = noted(await elapsed(() => through(path, request)), 'cut');
  assert.equal(t.how, 'cut');
  assertError('openai', events(t.text).at(-1).data);
  assert.ok(t.ms >= 2400 && t.ms < 4000, `${t.ms} ms`);
});

test('nobody listens there: a 502 at once', async () => {
  for (const [path, request] of [STREAMS.chat, STREAMS.messages]) {
    const t = await elapsed(() => through(path, { ...request, model: 'dead' }));
    assert.equal(t.status, 502);
    assertError(familyOf(path), t.text, 'bad_gateway');
    assert.ok(t.ms < 900);
  }
});

// ---- clients that leave ----

// Leaves as soon as `phase` calls its argument; gives the ms until the provider's side was closed.
async function leaves(request, answer) {
  let wrong;
  const { id, secret } = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--json'));
  let req, left;
  const closed = new Promise((go) => {
    upstream.answer = (x) => {
      x.gone.then(() => go(Date.now()));
      return answer(x, leave)?.catch((e) => { wrong = e; });
    };
  });
  const leave = () => { left ??= Date.now(); req.destroy(); };
  req = http.request(`${house.gateway}/v1/chat/completions`, { method: 'POST', agent: false,
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' } });
  req.on('error', () => {});
  req.on('response', (res) => { res.on('error', () => {}); request.response?.(res, leave); });
  req.end(JSON.stringify({ ...CHAT, ...request.body }));
  const took = (await closed) - left;
  assert.ifError(wrong);
  assert.ok(took >= 0 && took < 500, `${took} ms`);
  outcomes.push([`key = '${id}'`, 'cancelled']);
}

test('a client that leaves before the answer\'s head', () => leaves({}, (x, leave) => leave()));
test('... after the head of a stream', () => leaves(
  { body: { stream: true }, response: (res, leave) => leave() },
  (x) => { x.res.writeHead(200, { 'content-type': 'text/event-stream' }); x.res.flushHeaders(); }));
test('... between two events', () => leaves(
  { body: { stream: true }, response: (res, leave) => res.on('data', leave) },
  (x) => { x.res.writeHead(200, { 'content-type': 'text/event-stream' }); x.res.write(event(chunk({ content: 'x' }))); }));
test('... within a plain answer', () => leaves(
  { response: (res, leave) => res.on('data', leave) },
  (x) => { x.res.writeHead(200, { 'content-type': 'application/json', 'content-length': 5000 }); x.res.write('{"id":'); }));
for (const own of [true, false]) test(`... while it does not read and the provider is held back, usage ${own ? '' : 'not '}asked for`, () => leaves(
  { body: { stream: true, ...(own && { stream_options: { include_usage: true } }) }, response: (res) => res.pause() },
  async (x, leave) => {
    x.res.writeHead(200, { 'content-type': 'text/event-stream' });
    const piece = event(chunk({ content: 'x'.repeat(60000) }));
    for (let i = 0; ; i++) {
      assert.ok(i < 1000, 'back-pressure reaches the provider');
      assert.ok(!x.res.destroyed, 'held back, not cut');
      if (x.res.write(piece)) continue;
      const drained = await Promise.race([new Promise((go) => x.res.once('drain', () => go(true))),
        new Promise((go) => setTimeout(go, 300))]);
      if (!drained) return leave();
    }
  }));

test('... within its own body: the provider hears nothing', async () => {
  const before = upstream.requests.length;
  const { port } = new URL(house.gateway);
  const s = net.connect(Number(port), '127.0.0.1');
  s.write(`POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${house.key}\r\nContent-Length: 500\r\n\r\n{"model":`);
  await new Promise((go) => setTimeout(go, 100));
  s.destroy();
  upstream.answer = (x) => x.json(message('later'));
  await through('/v1/messages', { ...STREAMS.messages[1], stream: false });
  assert.equal(upstream.requests.length, before + 1);
});

test('how each of them ended is in the log', async () => {
  assert.ok(outcomes.length > 60);
  const rows = await until(async () => {
    const all = await house.rows('SELECT id, key, outcome FROM interactions');
    const at = new Map(all.flatMap((it) => [[it.id, it.outcome], [`key = '${it.key}'`, it.outcome]]));
    return outcomes.every(([which]) => at.has(which)) && at;
  }, 'all of them are stored');
  for (const [which, wanted] of outcomes) assert.equal(rows.get(which), wanted, which);
});
