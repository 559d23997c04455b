// Large bodies of requests: whatever their size and framing, they reach the provider as they are,
// lie in no file meanwhile, and in no more memory than the configuration allows.
import test from 'node:test';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { Installation, until } from './lib/installation.mjs';
import { ask, wire, answered } from './lib/client.mjs';
import { Upstream, chunk, completion, event } from './lib/upstream.mjs';

const CHAT = '/v1/chat/completions', MIB = 1 << 20;
const MEMORY = 32 * MIB; // of bodies, the least that can be set
let upstream, house;

test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ config: `
gateway: {workers: 1, body_memory: 32MiB, ring_size: 1GiB}
providers:
  all: {dialect: openai, url: '${upstream.url}', eject_after: 0}
aliases: {other-name: gpt-4o-mini}
` });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});
test.beforeEach(() => {
  upstream.requests.length = 0;
  upstream.answer = (x) => x.json(completion('ok'));
});

// A body of just so many bytes, no two stretches of it the same.
function body(size, model = 'gpt-4o-mini') {
  const head = `{"model":"${model}","messages":[{"role":"user","content":"`, tail = '"}]}';
  let text = '';
  for (let i = 0; text.length < size; i++) text += `${i} 字 \\n `;
  const bytes = Buffer.from(text).subarray(0, size - head.length - tail.length);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] >= 0x80) end--; // not in the middle of a character
  if (bytes[end - 1] === 0x5c) end--;
  bytes.fill('.', end);
  return Buffer.concat([Buffer.from(head), bytes, Buffer.from(tail)]);
}

const worker = async () => (await house.status()).gateway.workers[0].pid;

function inChunks(bytes, size) {
  const parts = [];
  for (let i = 0; i < bytes.length; i += size) {
    const part = bytes.subarray(i, i + size);
    parts.push(`${part.length.toString(16)}\r\n`, part, '\r\n');
  }
  return Buffer.concat([...parts, '0\r\n\r\n'].map((p) => Buffer.from(p)));
}

const head = (framing) =>
  `POST ${CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${house.key}\r\n${framing}\r\n\r\n`;

test('sizes around those of the memory that they are read into', async () => {
  const edges = [16384, 65536, 65528, 81920, 65536 + 65528, 3 * 65536, MIB, 3 * MIB];
  for (const size of edges.flatMap((n) => [n - 1, n, n + 1])) {
    const sent = body(size);
    assert.equal(sent.length, size);
    for (const options of [{}, { chunked: true }]) {
      const t = await ask(house.gateway, house.key, CHAT, sent, options);
      assert.equal(t.status, 200, `${size}: ${t.text}`);
      assert.ok(upstream.requests.at(-1).raw.equals(sent), `${size} bytes arrive as they are`);
    }
  }
});

test('chunks of all sizes, small ones over much memory, and what follows on the connection', async () => {
  for (const [size, each] of [[70000, 1], [300000, 129], [MIB, 4096], [MIB, 70000]]) {
    const sent = body(size);
    const t = await wire(house.gateway, [
      Buffer.concat([Buffer.from(head('Transfer-Encoding: chunked')), inChunks(sent, each)]),
      Buffer.concat([Buffer.from(head(`Content-Length: ${sent.length}`)), sent]),
    ], answered(2));
    assert.equal(t.text.match(/HTTP\/1.1 200/g)?.length, 2, t.text);
    for (const seen of upstream.requests.splice(0))
      assert.ok(seen.raw.equals(sent), `${size} bytes in chunks of ${each} arrive as they are`);
  }
});

test('another name of the model is put in, the rest of a large body stays', async () => {
  const t = await ask(house.gateway, house.key, CHAT, body(MIB, 'other-name'));
  assert.equal(t.status, 200, t.text);
  const seen = upstream.requests.at(-1).raw.toString();
  assert.equal(seen, body(MIB, 'other-name').toString().replace('"other-name"', '"gpt-4o-mini"'));
});

test('the log has the whole of it', async () => {
  const sent = body(2 * MIB);
  const t = await ask(house.gateway, house.key, CHAT, sent);
  assert.equal(t.status, 200, t.text);
  await house.stored(t.id);
  const shown = JSON.stringify(await house.show(t.id));
  assert.ok(shown.includes(JSON.stringify(JSON.parse(sent).messages[0].content).slice(1, -1)));
});

// Opens a connection and sends the head and a part of the body.
async function slowly(length, bytes) {
  const { hostname, port } = new URL(house.gateway);
  const s = net.connect(Number(port), hostname);
  s.on('error', () => {});
  s.text = '';
  s.on('data', (d) => (s.text += d));
  await once(s, 'connect');
  s.write(Buffer.concat([Buffer.from(head(length ? `Content-Length: ${length}` : 'Transfer-Encoding: chunked')), bytes]));
  return s;
}

function filesOf(pid) {
  return readdirSync(`/proc/${pid}/fd`).flatMap((n) => {
    try { return [readlinkSync(`/proc/${pid}/fd/${n}`)]; } catch { return []; }
  }).filter((name) => name.startsWith(house.home));
}

const folderTimes = () => ['body', 'proxy']
  .map((n) => statSync(join(house.dir, 'gateway', n), { bigint: true }).mtimeNs);

// What the process alone has: the ring's pages are counted elsewhere.
const ownMemory = (pid) =>
  Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;

test('many slow clients: so many bodies as may be, in no file, the others get 503', async () => {
  const pid = await worker(), files = filesOf(pid), times = folderTimes(), before = ownMemory(pid);
  const sent = body(MIB), half = sent.subarray(0, MIB / 2);
  const clients = await Promise.all(Array.from({ length: 100 }, () => slowly(MIB, half)));
  const refused = () => clients.filter((s) => s.text.startsWith('HTTP/1.1 503'));
  await until(() => refused().length === 100 - MEMORY / MIB, 'the others are refused');
  assert.match(refused()[0].text, /\r\nretry-after: \d+\r\n/i);
  assert.ok(ownMemory(pid) - before < MEMORY + 8 * MIB, `${ownMemory(pid) - before} bytes more`);
  assert.deepEqual(filesOf(pid), files);
  assert.deepEqual(folderTimes(), times);
  const held = clients.filter((s) => !s.text);
  assert.equal(held.length, MEMORY / MIB);
  for (const s of held) s.write(sent.subarray(MIB / 2));
  await until(() => held.every((s) => s.text.startsWith('HTTP/1.1 200')), 'the held ones are served');
  for (const seen of upstream.requests) assert.ok(seen.raw.equals(sent));
  assert.deepEqual(filesOf(pid), files);
  assert.deepEqual(folderTimes(), times);
  for (const s of clients) s.destroy();
});

test('of unannounced length: refused once they do not fit, and the memory comes back', async () => {
  const pid = await worker();
  const before = ownMemory(pid);
  const part = inChunks(body(3 * MIB), 8000).subarray(0, 3 * MIB);
  const clients = await Promise.all(Array.from({ length: 30 }, () => slowly(0, part)));
  await until(() => clients.some((s) => s.text.startsWith('HTTP/1.1 503')), 'some are refused');
  assert.ok(ownMemory(pid) - before < MEMORY + 8 * MIB, `${ownMemory(pid) - before} bytes more`);
  for (const s of clients) s.destroy();
  await until(() => ownMemory(pid) - before < 24 * MIB, 'memory comes back');
  const t = await ask(house.gateway, house.key, CHAT, body(31 * MIB));
  assert.equal(t.status, 200, 'all of it can be used again');
  assert.equal(await worker(), pid);
});

test('open streams hold no memory for bodies: far more of them than bodies would fit', async () => {
  const pid = await worker(), before = ownMemory(pid), count = 2000;
  let left = 0;
  upstream.answer = async (x) => {
    await x.stream([event(chunk({ role: 'assistant', content: 'a' }))], { end: false });
    x.gone.then(() => left++);
  };
  const text = JSON.parse(body(20000));
  const sent = Buffer.from(JSON.stringify({ ...text, stream: true }));
  const clients = [];
  while (clients.length < count) {
    const some = await Promise.all(Array.from({ length: 100 }, (_, i) =>
      i % 2 ? slowly(sent.length, sent) : slowly(0, inChunks(sent, 8000))));
    await until(() => some.every((s) => s.text.includes('\ndata: ') || /^HTTP.1.1 [^2]/.test(s.text)), 'they stream');
    clients.push(...some);
  }
  assert.equal(clients.filter((s) => s.text.startsWith('HTTP/1.1 200')).length, count);
  const each = (ownMemory(pid) - before) / count;
  assert.ok(each < 36 * 1024, `${each} bytes of memory for each stream`);
  for (const s of clients) s.destroy();
  await until(() => left === count, 'all of them are ended at the provider');
  assert.equal(await worker(), pid);
});
