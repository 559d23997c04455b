// What a project blocks or masks reaches no provider: the client's answer is what it would have been, the
// log has placeholders of its own, and projects that ask for nothing are not touched.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import { Installation, BIN, until } from './lib/installation.mjs';
import { ask } from './lib/client.mjs';
import { Upstream, chunk, completion, event, message, messageEvents, response, responseEvents, streamed } from './lib/upstream.mjs';

const run = promisify(execFile);
const SCAN = process.env.SAFEHOUSE_SCAN ?? join(BIN, '..', 'test', 'tools', 'scan');
const pick = (alphabet, n) => Array.from(randomBytes(n), (b) => alphabet[b % alphabet.length]).join('');
const ALNUM = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const MASKED = /\[\[secret:([a-z0-9-]+):k0:([A-Z2-7]{26})\]\]/g;
const LOGGED = /\[\[secret:([a-z0-9-]+):k([1-9]\d*):([A-Z2-7]{26})\]\]/g;

const planted = [];
const plant = (value) => (planted.push(value), value);
const token = () => plant('github_pat_' + pick(ALNUM, 22) + '_' + pick(ALNUM, 59));
const pem = () => plant(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  .export({ type: 'pkcs8', format: 'pem' }).trim());
const password = () => plant(`${pick(ALNUM, 13)}7\\${pick('abcdef', 4)}!`);

// Every text of 12 bytes of a value's random part, also where it is base64 or has line ends.
const parts = (value) => value.replace(/-----[A-Z ]*-----/g, '').split(/[\s"\\]+/).filter((p) => p.length >= 12)
  .flatMap((p) => Array.from({ length: Math.floor((p.length - 12) / 4) + 1 }, (_, i) => p.slice(i * 4, i * 4 + 12)))
  .filter((p) => !p.startsWith('github_pat_'));
function assertClean(bytes, what) {
  const text = Buffer.isBuffer(bytes) ? bytes.toString('latin1') : bytes;
  for (const value of planted)
    for (const part of parts(value)) assert.ok(!text.includes(part), `${what}: part of a secret`);
}

let upstream, house, plain, masking, blocking;
const config = () => `
providers:
  all: {dialect: [openai, anthropic], url: '${upstream.url}', eject_after: 0}
  next: {dialect: openai, url: '${upstream.url}', eject_after: 0}
routes:
  - {model: "twice-*", providers: [{name: all, model: another}], fallback: [next]}
  - {model: "*", providers: [{name: all}]}
detect:
  enabled: true
  projects:
    masking: {classes: {github-token: mask, private-key: mask, password: mask, email: mask}}
    blocking: {classes: {github-token: block, private-key: block}}
`;
test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ config: config() });
  const key = async (project) => JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--project', project, '--json')).secret;
  plain = house.key;
  masking = await key('masking');
  blocking = await key('blocking');
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const CHAT = '/v1/chat/completions', MESSAGES = '/v1/messages', RESPONSES = '/v1/responses';
const user = (content) => [{ role: 'user', content }];
const chat = (messages, more = {}) => ({ model: 'gpt-4o-mini', messages, ...more });
const last = () => upstream.requests.at(-1);
// What the provider got in place of the one value of the request.
const placeholder = (raw) => {
  const found = [...new Set([...raw.toString().matchAll(MASKED)].map((m) => m[0]))];
  assert.equal(found.length, 1, raw.toString());
  return found[0];
};
// The text without what is random about placeholders, in pieces of n characters.
const pieces = (text, n) => Array.from({ length: Math.ceil(text.length / n) }, (_, i) => text.slice(i * n, (i + 1) * n));
const said = (text) => text.split('\n\n').filter((e) => e.startsWith('data: {')).map((e) => JSON.parse(e.slice(6)));

// What the log has is looked at when all is stored: `then(shown, row)` says more of an exchange.
const later = [];
const inLog = (id, wanted, then = () => {}) => later.push({ id, wanted, then });
async function checkLog({ id, wanted, then }) {
  await house.stored(id);
  const shown = await house.show(id);
  const text = JSON.stringify(shown);
  if (wanted > 0) {
    assertClean(text, 'shown');
    assert.equal([...text.matchAll(MASKED)].length, 0, 'placeholders of the provider are not the log\'s');
    assert.ok([...text.matchAll(LOGGED)].length >= wanted, text);
  }
  const [row] = await house.rows(`SELECT * FROM interactions WHERE id = '${id}'`);
  then(shown, row);
}

test('a fallback gets the masked body, too, large or small, in one piece or in chunks', async () => {
  for (const [size, chunked] of [[10, false], [30000, true], [400000, false], [400000, true]]) {
    const value = token(), text = `use ${value} please${' and so on'.repeat(size / 10)}`;
    const before = upstream.requests.length;
    upstream.answer = (x) => (x.body.model === 'twice-1' ? x.json(completion(`It is ${placeholder(x.raw)}.`)) : x.json({ error: {} }, 503));
    const r = await ask(house.gateway, masking, CHAT, chat(user(text), { model: 'twice-1', n: 1 }), { chunked });
    assert.deepEqual([r.status, JSON.parse(r.text).choices[0].message.content], [200, `It is ${value}.`]);
    const tries = upstream.requests.slice(before);
    assert.deepEqual(tries.map((x) => x.body.model), ['another', 'twice-1']);
    for (const x of tries) assert.deepEqual(x.body.messages, user(text.replace(value, placeholder(x.raw))));
  }
});

test('masked in the prompt, put back in the answer', async () => {
  for (const value of [token(), pem(), `me.${pick('abcdefgh', 12)}@example.org`]) {
    upstream.answer = (x) => x.json(completion(`It is ${placeholder(x.raw)}, ${placeholder(x.raw)}.`));
    const r = await ask(house.gateway, masking, CHAT, chat(user(`use ${value} please`)));
    assert.equal(r.status, 200, r.text);
    assertClean(last().raw, 'upstream');
    assert.ok(!last().raw.includes(JSON.stringify(value).slice(1, -1)));
    assert.deepEqual(last().body, chat(user(`use ${placeholder(last().raw)} please`)));
    assert.deepEqual(JSON.parse(r.text), completion(`It is ${value}, ${value}.`));
    if (value.includes('@')) { // personal data stays in the sealed turn, masked or not
      inLog(r.id, 0, (shown) => assert.equal(shown.response.choices[0].message.content, `It is ${value}, ${value}.`));
      continue;
    }
    inLog(r.id, 3, (shown, row) => {
      const [at] = shown.request.messages[0].content.match(LOGGED);
      assert.equal(shown.response.choices[0].message.content, `It is ${at}, ${at}.`);
      assert.deepEqual([row.findings, row.tokens_input, row.stored, row.usage], [3, 9, 'turn', 'reported']);
    });
  }
});

test('streamed: split at every byte, over events', async () => {
  const value = token(), key = pem();
  for (const n of [1, 2, 5, 13]) {
    upstream.answer = (x) => {
      const [a, b] = [...new Set([...x.raw.toString().matchAll(MASKED)].map((m) => m[0]))];
      return x.stream(streamed(pieces(`first ${a} then ${b}[[secret:`, n)));
    };
    const r = await ask(house.gateway, masking, CHAT, chat(user(`${value} and ${key}`), { stream: true }));
    assert.equal(r.how, 'end');
    const text = said(r.text).map((c) => c.choices[0]?.delta.content ?? '').join('');
    assert.equal(text, `first ${value} then ${key}[[secret:`);
    assert.ok(r.text.endsWith('data: [DONE]\n\n'));
    assert.ok(!r.text.includes('"usage"'), 'what was asked for besides is taken out as ever');
    assertClean(last().raw, 'upstream');
    inLog(r.id, 4);
  }
});

test('raw splits of the wire', async () => {
  const value = token();
  for (const at of [1, 7, 19, 40, 71, 90]) {
    upstream.answer = (x) => {
      const all = Buffer.from(streamed([`it is ${placeholder(x.raw)}!`]).join(''));
      const from = all.indexOf('[[secret') + at;
      return x.stream([all.subarray(0, from), all.subarray(from, from + 1), all.subarray(from + 1)], { gap: 5 });
    };
    const r = await ask(house.gateway, masking, CHAT, chat(user(value), { stream: true }));
    assert.equal(said(r.text).map((c) => c.choices[0].delta.content ?? '').join(''), `it is ${value}!`);
  }
});

test('tool calls: JSON in JSON, both ways', async () => {
  const secret = password(), key = pem();
  const call = { command: `login`, note: `password = '${secret}'`, key };
  const history = [...user('log in'),
    { role: 'assistant', content: null, tool_calls: [{ id: 'call_0', type: 'function', function: { name: 'f', arguments: JSON.stringify(call) } }] },
    { role: 'tool', tool_call_id: 'call_0', content: JSON.stringify({ out: key }) }];
  const again = (x) => JSON.parse(x.body.messages[1].tool_calls[0].function.arguments);
  upstream.answer = (x) => x.json(completion(null, { message: { tool_calls: [
    { id: 'call_1', type: 'function', function: { name: 'f', arguments: JSON.stringify({ deep: JSON.stringify(again(x)), ...again(x) }) } }] } }));
  let r = await ask(house.gateway, masking, CHAT, chat(history));
  assertClean(last().raw, 'upstream');
  const masked = again(last());
  assert.match(masked.key, MASKED);
  const sent = masked.note.replace(MASKED, '*');
  const value = call.note.slice(sent.indexOf('*'), call.note.length - (sent.length - sent.indexOf('*') - 1));
  assert.ok(value.length > 12, 'the password was masked');
  assert.deepEqual(JSON.parse(JSON.parse(r.text).choices[0].message.tool_calls[0].function.arguments), { deep: JSON.stringify(call), ...call });
  inLog(r.id, 4);
  upstream.answer = (x) => x.stream([
    event(chunk({ role: 'assistant', tool_calls: [0, 1].map((index) => ({ index, id: `call_${index}`, type: 'function', function: { name: 'f', arguments: '' } })) })),
    ...pieces(JSON.stringify(again(x)), 3).flatMap((piece) => [0, 1].map((index) => event(chunk({ tool_calls: [{ index, function: { arguments: piece } }] })))),
    event(chunk({}, { finish: 'tool_calls' })), event('[DONE]'),
  ]);
  const client = new OpenAI({ baseURL: `${house.gateway}/v1`, apiKey: masking, maxRetries: 0 });
  const whole = await client.chat.completions.stream(chat(history, { stream: true })).finalChatCompletion();
  assert.equal(whole.choices[0].message.tool_calls.length, 2);
  for (const c of whole.choices[0].message.tool_calls) assert.deepEqual(JSON.parse(c.function.arguments), call);
});

test('what is repeated out of its place is still no plaintext in the log', async () => {
  const secret = plant(pick('abcdefghkmnp', 6) + pick('23456789', 5) + pick('ABCDEFG', 4));
  upstream.answer = (x) => x.json(completion(`done, ${placeholder(x.raw)} works`));
  const r = await ask(house.gateway, masking, CHAT, chat(user(`the login is password = "${secret}"`)));
  assert.equal(JSON.parse(r.text).choices[0].message.content, `done, ${secret} works`);
  inLog(r.id, 2, (shown) => assert.match(shown.response.choices[0].message.content,
    /^done, \[\[secret:password:k1:[A-Z2-7]+\]\] works$/));
});

test('Anthropic, plain and streamed', async () => {
  const key = pem();
  const body = { model: 'claude-haiku-4-5', max_tokens: 99, messages: user(`use ${key}`) };
  const content = (at) => [{ type: 'text', text: `It is ${at}.` },
    { type: 'tool_use', id: 'toolu_1', name: 'f', input: { key: at, note: [`[${at}]`] } }];
  const client = new Anthropic({ baseURL: house.gateway, apiKey: masking, maxRetries: 0 });
  upstream.answer = (x) => (x.body.stream ? x.stream(messageEvents(content(placeholder(x.raw)))) : x.json(message(content(placeholder(x.raw)))));
  const whole = await client.messages.create(body);
  assert.deepEqual(whole.content, content(key));
  const final = await client.messages.stream(body).finalMessage();
  assert.deepEqual(final.content, content(key));
  assert.equal(final.usage.output_tokens, 7);
  assertClean(last().raw, 'upstream');
  const r = await ask(house.gateway, masking, MESSAGES, { ...body, stream: true });
  assert.equal(r.how, 'end');
  assert.ok(r.text.includes('event: message_stop'));
  inLog(r.id, 3);
});

test('Responses, streamed', async () => {
  const value = token();
  upstream.answer = (x) => x.stream(responseEvents(pieces(`It is ${placeholder(x.raw)}.`, 4)));
  const client = new OpenAI({ baseURL: `${house.gateway}/v1`, apiKey: masking, maxRetries: 0 });
  const stream = await client.responses.create({ model: 'gpt-4o-mini', input: `use ${value}`, stream: true });
  let text = '', done = null;
  for await (const e of stream) {
    if (e.type === 'response.output_text.delta') text += e.delta;
    if (e.type === 'response.completed') done = e.response;
  }
  assert.equal(text, `It is ${value}.`);
  assert.deepEqual(done.output, response(`It is ${value}.`).output);
  assertClean(last().raw, 'upstream');
});

test('only this request\'s own placeholders are put back', async () => {
  const value = token(), other = token();
  upstream.answer = (x) => x.json(completion('ok'));
  await ask(house.gateway, masking, CHAT, chat(user(other)));
  const foreign = placeholder(last().raw);
  upstream.answer = (x) => x.json(completion(`${foreign} ${placeholder(x.raw)}`));
  const r = await ask(house.gateway, masking, CHAT, chat(user(value)));
  assert.equal(JSON.parse(r.text).choices[0].message.content, `${foreign} ${value}`);
  upstream.answer = (x) => x.json(completion(foreign));
  const none = await ask(house.gateway, masking, CHAT, chat(user(`no secret, but ${foreign}`)));
  assert.equal(JSON.parse(none.text).choices[0].message.content, foreign);
});

test('errors of the provider have the client\'s words, too', async () => {
  const value = token();
  upstream.answer = (x) => x.json({ error: { message: `bad: ${placeholder(x.raw)}`, type: 'invalid_request_error', param: null, code: null } }, 400);
  const r = await ask(house.gateway, masking, CHAT, chat(user(value)));
  assert.equal(r.status, 400);
  assert.equal(JSON.parse(r.text).error.message, `bad: ${value}`);
});

test('a cut stream shows that it is cut, and the client\'s leaving ends it', async () => {
  const value = token();
  upstream.answer = async (x) => {
    await x.stream([event(chunk({ role: 'assistant', content: `a ${placeholder(x.raw).slice(0, 20)}` }))], { end: false });
    x.socket.destroy();
  };
  const r = await ask(house.gateway, masking, CHAT, chat(user(value), { stream: true }));
  assert.equal(r.how, 'cut');
  assert.ok(!r.text.includes('[DONE]'));
  inLog(r.id, 0, (shown, row) => assert.equal(row.outcome, 'cut'));
});

test('a conversation goes on: what the client repeats is what it was answered', async () => {
  const value = token();
  upstream.answer = (x) => x.json(completion(`noted ${placeholder(x.raw)}`));
  const first = await ask(house.gateway, masking, CHAT, chat(user(value)));
  const before = placeholder(last().raw);
  upstream.answer = (x) => x.json(completion('again'));
  const next = await ask(house.gateway, masking, CHAT, chat([...user(value),
    { role: 'assistant', content: `noted ${value}` }, ...user('more')]));
  assert.equal(placeholder(last().raw), before, 'the same bytes for the provider\'s cache');
  inLog(next.id, 1, (shown, row) => assert.equal(row.parent, first.id));
});

test('the same placeholder after a restart, another one in another project', async () => {
  const value = token();
  upstream.answer = (x) => x.json(completion('ok'));
  await ask(house.gateway, masking, CHAT, chat(user(value)));
  const before = placeholder(last().raw);
  await house.stop();
  await house.up();
  await ask(house.gateway, masking, CHAT, chat(user(value)));
  assert.equal(placeholder(last().raw), before);
  const config = join(house.home, 'safehouse.yaml');
  const text = await readFile(config, 'utf8');
  await writeFile(config, text.replace('    blocking:', '    second: {classes: {github-token: mask}}\n    blocking:'));
  await house.cli('reload', '--dir', house.dir);
  const second = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--project', 'second', '--json')).secret;
  await ask(house.gateway, second, CHAT, chat(user(value)));
  assert.notEqual(placeholder(last().raw), before);
});

const refused = [];
const counted = (code, n) => until(async () => (await (await fetch(`${house.gateway}/metrics`)).text())
  .includes(`safehouse_refusals_total{code="${code}"} ${n}\n`), `${n} of ${code} counted`);

test('blocked, in every dialect, with class and place and no value', async () => {
  const value = token();
  const body = (text) => JSON.stringify(text);
  for (const [path, json, where, family] of [
    [CHAT, chat([...user('hi'), ...user(`use ${value}`)]), 'messages[1].content', 'openai'],
    [CHAT, chat([...user('hi'), { role: 'tool', tool_call_id: 'c', content: body({ out: `use ${value}` }) }]), 'messages[1].content', 'openai'],
    [RESPONSES, { model: 'gpt-4o-mini', input: [{ role: 'user', content: [{ type: 'input_text', text: value }] }] }, 'input[0].content[0].text', 'openai'],
    [MESSAGES, { model: 'claude-haiku-4-5', max_tokens: 9, messages: user(value) }, 'messages[0].content', 'anthropic'],
  ]) {
    const count = upstream.requests.length, text = body(json);
    const r = await ask(house.gateway, blocking, path, text);
    assert.equal(r.status, 400, r.text);
    assert.equal(upstream.requests.length, count, 'nothing was forwarded');
    assertClean(r.text, 'the refusal');
    const error = JSON.parse(r.text).error;
    const at = Buffer.from(text).indexOf(value);
    assert.ok(error.message.includes(`github-fine-grained-pat in ${where}, at byte ${at} of the body`), error.message);
    assert.ok(!error.message.includes(value.slice(11, 23)));
    if (family === 'openai') assert.deepEqual([error.code, error.param, error.type], ['content_blocked', where, 'invalid_request_error']);
    else assert.equal(error.type, 'invalid_request_error');
    assert.equal(r.headers['x-should-retry'], 'false');
    inLog(r.id, 1, (shown, row) => {
      assert.deepEqual([row.outcome, row.error, row.status, row.attempts, Number(row.tokens_output)], ['refused', 'content_blocked', 400, 0, 0]);
      assert.ok(row.findings >= 1);
      refused.push(r.id);
    });
  }
  await counted('content_blocked', 4);
  upstream.answer = (x) => x.json(completion('ok'));
  assert.equal((await ask(house.gateway, blocking, CHAT, chat(user('nothing secret')))).status, 200);
});

test('a body that is no JSON is blocked, too, and never masked', async () => {
  const form = (value) => Buffer.from(`--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nuse ${value}\r\n--b--\r\n`);
  for (const key of [blocking, masking]) {
    const count = upstream.requests.length;
    const r = await ask(house.gateway, key, '/v1/audio/transcriptions', form(token()), { headers: { 'content-type': 'multipart/form-data; boundary=b' } });
    assert.equal(r.status, 400, r.text);
    assert.equal(JSON.parse(r.text).error.code, 'content_blocked');
    assert.equal(upstream.requests.length, count);
  }
});

test('what cannot be inspected is not forwarded', async () => {
  const many = Array.from({ length: 17000 }, (_, i) => `AKIA${i.toString(32).toUpperCase().replace(/[01890]/g, 'X').padStart(4, 'Q')}${pick('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 12)}`).join(' ');
  const count = upstream.requests.length;
  for (const key of [masking, blocking]) {
    const r = await ask(house.gateway, key, CHAT, chat(user(many)));
    assert.equal(r.status, 503, r.text);
    assert.equal(JSON.parse(r.text).error.code, 'inspection_failed');
    assert.ok(r.headers['retry-after']);
  }
  assert.equal(upstream.requests.length, count);
  await counted('inspection_failed', 2);
});

test('projects that ask for nothing get and send the bytes as they are', async () => {
  const value = `github_pat_${pick(ALNUM, 22)}_${pick(ALNUM, 59)}`;
  const body = `{ "model":"gpt-4o-mini",\n "messages":[{"role":"user","content":"use ${value} \\u005b[secret:x:k0:A]]"}]}`;
  upstream.answer = (x) => x.json(completion(`[[secret:github-fine-grained-pat:k0:${'A'.repeat(26)}]] ${value}`));
  const r = await ask(house.gateway, plain, CHAT, body);
  assert.equal(last().raw.toString(), body);
  assert.equal(r.text, JSON.stringify(completion(`[[secret:github-fine-grained-pat:k0:${'A'.repeat(26)}]] ${value}`)));
  assert.ok(r.headers['content-length']);
});

test('large bodies in many pieces, and length and framing', async () => {
  const value = token();
  const text = `${'x'.repeat(3 << 20)} ${value} ${'y"\\\n'.repeat(1 << 18)}`;
  for (const chunked of [false, true]) {
    upstream.answer = (x) => x.json(completion(x.body.messages[0].content));
    const r = await ask(house.gateway, masking, CHAT, chat(user(text)), { chunked });
    assert.equal(r.status, 200);
    assert.equal(Number(last().headers['content-length']), last().raw.length);
    assert.equal(JSON.parse(r.text).choices[0].message.content, text);
    assertClean(last().raw, 'upstream');
  }
});

test('the log has what the client sent and got, with its own placeholders', async () => {
  await house.stored(later.at(-1).id);
  for (const one of later) await checkLog(one);
  const rows = await until(async () => {
    const found = await house.rows(`SELECT class, fingerprint FROM findings WHERE interaction IN (${refused.map((id) => `'${id}'`)})`);
    return found.length >= refused.length && found;
  }, 'their findings');
  for (const row of rows) {
    assert.equal(row.class, 'github-fine-grained-pat');
    assert.match(row.fingerprint, /^[A-Z2-7]{26}$/);
  }
});

test('a second later no plaintext is left in a worker, and none in what is stored', async () => {
  const end = Date.now() + 1100;
  await until(() => Date.now() > end, 'a second');
  const patterns = [...new Set(planted.flatMap(parts))].map((p) => Buffer.from(p).toString('hex'));
  await writeFile(join(house.home, 'patterns'), patterns.join('\n') + '\n');
  const gateway = await house.pid('gateway');
  const kids = (await readFile(`/proc/${gateway}/task/${gateway}/children`, 'utf8')).trim().split(' ');
  for (const pid of [gateway, ...kids]) {
    await run('gcore', ['-o', join(house.home, 'core'), String(pid)]);
    const hits = await run(SCAN, [join(house.home, 'patterns'), join(house.home, `core.${pid}`)], { maxBuffer: 1 << 26, encoding: 'latin1' })
      .then(() => '', (e) => e.stdout || e.message);
    assert.equal(hits, '', `core of ${pid}`);
  }
  const opened = await house.cli('query', '--dir', house.dir, '--format', 'JSONEachRow', '--open', '--reason', 'test', 'SELECT id, body FROM turns');
  assertClean(opened, 'opened turns');
  assertClean(house.stdout + house.stderr, 'output');
  const { stdout } = await run('find', [house.dir, '-type', 'f']);
  for (const path of stdout.split('\n').filter(Boolean)) {
    const bytes = await readFile(path).catch((e) => { // the engine merges parts away
      if (e.code !== 'ENOENT') throw e;
    });
    if (bytes) assertClean(bytes, path);
  }
});
