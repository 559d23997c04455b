// What the gateway refuses, and in which words: OpenAI's error shape for people, a closed door for
// every request whose framing two parsers could read differently (RFC 9112).
import test from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import { Installation } from './lib/installation.mjs';
import { Upstream } from './lib/upstream.mjs';

let upstream, house;
test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({
    upstream: upstream.url, config: 'gateway:\n  max_body: 65536\n',
  });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

// Sends bytes as they are and gives {status, body} of the first answer.
function send(text) {
  const { hostname, port } = new URL(house.gateway);
  return new Promise((done) => {
    const s = net.connect(Number(port), hostname, () => s.write(text));
    let got = '';
    const finish = () => {
      s.destroy();
      const head = got.indexOf('\r\n\r\n');
      done({ status: Number(got.slice(9, 12)), head: got.slice(0, head), body: got.slice(head + 4) });
    };
    s.on('data', (d) => {
      got += d;
      const head = got.indexOf('\r\n\r\n');
      const length = /content-length: (\d+)/i.exec(got.slice(0, head));
      if (head > 0 && length && got.length >= head + 4 + Number(length[1])) finish();
    });
    s.on('close', finish);
    s.on('error', finish);
  });
}

const post = (headers, body, path = '/v1/chat/completions') =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${body}`;
const auth = () => `Authorization: Bearer ${house.key}\r\nContent-Type: application/json\r\n`;
const withLength = (body) => `${auth()}Content-Length: ${Buffer.byteLength(body)}`;
const GOOD = '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}';

async function refused(text, status, code) {
  const before = upstream.requests.length;
  const r = await send(text);
  assert.equal(r.status, status, r.head);
  const { error } = JSON.parse(r.body);
  assert.equal(typeof error.message, 'string');
  assert.ok(error.message.length > 10);
  assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type']);
  if (code) assert.equal(error.code, code);
  assert.equal(upstream.requests.length, before, 'nothing went to the provider');
  return r;
}

test('unknown, malformed and missing keys', async () => {
  for (const key of ['sh-aaaaaaaaaaaa-' + 'A'.repeat(43), 'sk-proj-abc', house.key.slice(0, -1) + '!'])
    await refused(post(`Authorization: Bearer ${key}\r\nContent-Length: ${GOOD.length}`, GOOD), 401, 'invalid_api_key');
  for (const header of ['', 'Authorization: Bearer \r\n'])
    await refused(post(`${header}Content-Length: ${GOOD.length}`, GOOD), 401, 'missing_api_key');
  const r = await send(post(`x-api-key: ${house.key}\r\nContent-Length: ${GOOD.length}`, GOOD));
  assert.equal(r.status, 200);
});

test('a revoked key stops', async () => {
  const key = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--json'));
  const ask = () => send(post(`Authorization: Bearer ${key.secret}\r\nContent-Length: ${GOOD.length}`, GOOD));
  assert.equal((await ask()).status, 200);
  await house.cli('key', 'revoke', key.id, '--dir', house.dir);
  assert.equal((await ask()).status, 401);
});

test('bad JSON', async () => {
  for (const body of ['{', '[]', '{"a":1,}', '{"a":01}', '{"a":"\u0001"}', '{"a":"\\x"}', 'null', '{"a":1}{}', GOOD.slice(0, -1)])
    await refused(post(withLength(body), body), 400);
});

test('too large, by length and by chunks', async () => {
  await refused(post(`${auth()}Content-Length: 65537`, ''), 413);
  const big = `10001\r\n${'x'.repeat(0x10001)}\r\n0\r\n\r\n`;
  await refused(post(`${auth()}Transfer-Encoding: chunked`, big), 413);
});

test('unknown paths and methods', async () => {
  await refused(post(withLength(GOOD), GOOD, '/v1/nothing'), 404);
  await refused(post(withLength(GOOD), GOOD, '/'), 404);
  await refused(`GET /v1/chat/completions HTTP/1.1\r\nHost: x\r\n${auth()}\r\n`, 405);
});

test('ambiguous framing', async () => {
  const shapes = [
    `${auth()}Content-Length: ${GOOD.length}\r\nContent-Length: ${GOOD.length + 1}`,
    `${auth()}Content-Length: ${GOOD.length}\r\nContent-Length: ${GOOD.length}`,
    `${auth()}Content-Length: 3\r\nTransfer-Encoding: chunked`,
    `${auth()}Transfer-Encoding: chunked\r\nContent-Length: 3`,
    `${auth()}Content-Length : ${GOOD.length}`,
    `${auth()}Transfer-Encoding: gzip, chunked`,
    `${auth()}Transfer-Encoding: xchunked`,
    `${auth()}Content-Length: +${GOOD.length}`,
    `${auth()}Content-Length: ${GOOD.length}\r\n X: folded`,
  ];
  for (const headers of shapes) {
    const before = upstream.requests.length;
    const r = await send(post(headers, GOOD));
    assert.ok([400, 501].includes(r.status), `${r.status} for ${headers.slice(auth().length)}`);
    assert.equal(upstream.requests.length, before);
  }
});

test('an upstream that does not answer is a JSON 502', async () => {
  upstream.answer = (x) => x.socket.destroy();
  const r = await send(post(withLength(GOOD), GOOD));
  assert.equal(r.status, 502);
  assert.ok(JSON.parse(r.body).error.message);
});
