// The console under what a client may do to it: 1 000 idle connections, 1 000 that send slowly, 10 000
// attempts to sign in, and a result of 10^7 rows to a client that reads slowly and to one that reads all.
// Meanwhile a person's statements are answered and exchanges are logged; its memory stays bounded.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { Installation } from '../scenario/lib/installation.mjs';
import { Upstream, completion } from '../scenario/lib/upstream.mjs';

const IDLE = Number(process.env.IDLE ?? 1000), ATTEMPTS = Number(process.env.ATTEMPTS ?? 10000);
const ROWS = Number(process.env.ROWS ?? 10000000), LIMIT_MIB = 150;
const upstream = await Upstream.start();
upstream.answer = (x) => x.json(completion('answered'));
const house = await Installation.start({ upstream: upstream.url, args: ['--console', '127.0.0.1:0'],
  env: { XDG_RUNTIME_DIR: '' } });
const secret = `pw-${randomBytes(12).toString('base64url')}`;
const basic = (name, password) => `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
const mine = basic('ana', secret);
try {
  const { hostname, port } = new URL(JSON.parse(await readFile(join(house.dir, 'run', 'ready'), 'utf8')).console);
  await writeFile(join(house.home, 'pw'), secret + '\n', { mode: 0o600 });
  await house.cli('person', 'add', 'ana', '--role', 'analyst', '--password-file', join(house.home, 'pw'), '--dir', house.dir);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
  // A statement: {status, bytes}; `pace` ms between pieces, up to `stop` bytes.
  const ask = (sql, authorization = mine, pace = 0, stop = Infinity) => new Promise((done, fail) => {
    const q = http.request({ hostname, port, agent, method: 'POST', headers: { authorization } }, async (a) => {
      let bytes = 0;
      for await (const piece of a) {
        bytes += piece.length;
        if (pace) await new Promise((go) => setTimeout(go, pace));
        if (bytes >= stop) break;
      }
      done({ status: a.statusCode, bytes });
    });
    q.on('error', fail).end(sql);
  });
  let highest = 0;
  const rss = async () => {
    const pid = await house.pid('console');
    const now = Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
    highest = Math.max(highest, now);
    return now.toFixed(0);
  };
  const open = (text) => new Promise((go, no) => {
    const s = net.connect({ host: hostname, port }, () => (text && s.write(text), go(s)));
    s.on('error', no);
  });
  assert.equal((await ask('SELECT 1')).status, 200);
  console.log(`at the start: ${await rss()} MiB`);
  const idle = await Promise.all(Array.from({ length: IDLE }, () => open('')));
  const slow = await Promise.all(Array.from({ length: IDLE }, () => open('POST / HTTP/1.1\r\nHost: x\r\nX-A: ')));
  assert.equal((await ask('SELECT 1')).status, 200);
  console.log(`${IDLE} idle connections, ${IDLE} with half a head: ${await rss()} MiB`);
  for (const s of [...idle, ...slow]) s.destroy();
  const seen = {};
  for (let at = 0; at < ATTEMPTS; at += 100) {
    const all = await Promise.all(Array.from({ length: 100 }, (_, i) => ask('SELECT 1', basic(`p${(at + i) % 500}`, `wrong password ${at + i}`))));
    for (const r of all) seen[r.status] = (seen[r.status] ?? 0) + 1;
    if (at % 2000 === 0) assert.equal((await ask('SELECT 1')).status, 200, 'who is signed in goes on');
  }
  assert.ok(!seen[200] && seen[429] > ATTEMPTS / 2, JSON.stringify(seen));
  console.log(`${ATTEMPTS} attempts to sign in, by status: ${JSON.stringify(seen)}: ${await rss()} MiB`);
  const many = `SELECT a, b FROM (SELECT arrayJoin(range(${ROWS / 1000})) AS a) AS x, (SELECT arrayJoin(range(1000)) AS b) AS y`;
  const slowly = ask(many, mine, 20, 8 << 20), whole = ask(many);
  let logged = 0;
  for (let end = false; !end;) {
    const r = await fetch(`${house.gateway}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${house.key}` },
      body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: `n ${logged}` }] }) });
    assert.equal(r.status, 200);
    await r.text();
    logged++;
    await rss();
    end = await Promise.race([Promise.all([slowly, whole]).then(() => true), new Promise((go) => setTimeout(go, 200, false))]);
  }
  const { bytes } = await whole;
  assert.ok(bytes > ROWS * 8, `${bytes} bytes`);
  await house.stored(logged);
  console.log(`${ROWS} rows, ${(bytes / 2 ** 20).toFixed(0)} MiB, while ${logged} exchanges were logged; at most ${highest.toFixed(0)} MiB`);
  assert.ok(highest < LIMIT_MIB, `the console held ${highest} MiB`);
} finally {
  await house.destroy();
  await upstream.stop();
}
