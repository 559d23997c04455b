// kill -9 of each program in turn under a steady load of streams: what a client received is in the
// log exactly once, whole or, where it was received in part, as cut with at least those bytes.
import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { readFile, readdir } from 'node:fs/promises';
import { Installation, until } from './lib/installation.mjs';
import { Upstream, chunk, event } from './lib/upstream.mjs';

const ROUNDS = Number(process.env.DEATH_ROUNDS ?? 80); // kills: each of the four programs 20 times
const STREAMS = 12; // under way at any time

let upstream, house;
test.before(async () => {
  upstream = await Upstream.start();
  upstream.answer = async (x) => {
    const words = x.body.messages[0].content.split(' ').map((w, i) => `${w}-${i} `);
    await x.stream([
      event(chunk({ role: 'assistant', content: '' })),
      ...words.map((content) => event(chunk({ content }))),
      event(chunk({}, { finish: 'stop' })), event('[DONE]'),
    ], { gap: 8 });
  };
  house = await Installation.start({ upstream: upstream.url });
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const received = new Map(); // interaction id -> {prompt, text, done}
let failures = 0; // requests that got no answer at all
let asked = 0;

// Resolves to what was received of it, or null.
function one() {
  const prompt = `question ${asked++} ${'word '.repeat(20)}`.trim();
  return new Promise((done) => {
    const req = http.request(`${house.gateway}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${house.key}` }, agent: false,
    }, (res) => {
      const it = { prompt, text: '', done: false, status: res.statusCode };
      if (res.statusCode === 200) received.set(res.headers['x-safehouse-id'], it);
      else failures++;
      let rest = '';
      res.setEncoding('utf8');
      res.on('data', (d) => {
        const lines = (rest + d).split('\n');
        rest = lines.pop();
        for (const line of lines) {
          if (line === 'data: [DONE]') it.done = true;
          else if (line.startsWith('data: '))
            it.text += JSON.parse(line.slice(6)).choices?.[0]?.delta?.content ?? '';
        }
      });
      res.on('close', () => done(it));
      res.on('error', () => {});
    });
    req.on('error', () => { failures++; done(null); });
    req.end(JSON.stringify({ model: 'gpt-4o-mini', stream: true, messages: [{ role: 'user', content: prompt }] }));
  });
}

async function workersOf(pid) {
  const kids = [];
  for (const p of await readdir('/proc')) {
    if (!/^\d+$/.test(p)) continue;
    const stat = await readFile(`/proc/${p}/stat`, 'utf8').catch(() => '');
    const after = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(after[1]) === pid) kids.push(Number(p));
  }
  return kids;
}

async function victim(name) {
  const pid = await house.pid(name);
  return name === 'gateway' ? (await workersOf(pid))[0] : pid;
}

// Asks until a whole answer comes and every program runs: the service is back.
async function backWithin(ms, name) {
  const end = Date.now() + ms;
  await until(async () => (await one())?.done, `answers after the death of ${name}`, ms);
  await until(async () => (await house.status()).programs?.every((p) => p.state === 'running'),
    `${name} running again`, Math.max(1, end - Date.now()));
}

test(`${ROUNDS} deaths`, { timeout: 240000 }, async () => {
  let going = true;
  const load = Array.from({ length: STREAMS }, async () => {
    while (going) await one();
  });
  try {
    const names = ['gateway', 'sealer', 'store', 'vault'];
    for (let round = 0; round < ROUNDS; round++) {
      const name = names[round % names.length];
      const begun = received.size;
      await until(() => received.size > begun + 4, 'load under way');
      process.kill(await victim(name), 'SIGKILL');
      await backWithin(2000, name);
    }
  } finally {
    going = false; // or the load would outlive a failure
    await Promise.all(load);
  }

  const ids = [...received.keys()];
  assert.ok(ids.length > ROUNDS * 4);
  await until(async () => {
    const r = await house.cliResult('query', '--dir', house.dir, '--format', 'TabSeparated',
      'SELECT count() FROM interactions');
    return r.code === 0 && Number(r.stdout) >= ids.length;
  }, `${ids.length} interactions in the log`, 20000).catch(() => {});

  const counts = new Map((await house.rows('SELECT id, count() AS n FROM interactions GROUP BY id'))
    .map((r) => [r.id, Number(r.n)]));
  const turns = new Map((await house.rows('SELECT id, count() AS n FROM turns GROUP BY id'))
    .map((r) => [r.id, Number(r.n)]));
  const missing = ids.filter((id) => !counts.has(id) || !turns.has(id));
  assert.deepEqual(missing, [], `${missing.length} of ${ids.length} missing`);
  assert.deepEqual([...counts].filter(([, n]) => n !== 1), [], 'none twice');
  assert.deepEqual([...turns].filter(([, n]) => n !== 1), [], 'no turn twice');

  // Whole answers are whole, parts are there with at least the bytes that were received.
  const bodies = await house.rows('SELECT id, body FROM turns', '--open', '--reason', 'test');
  for (const { id, body } of bodies) {
    const it = received.get(id);
    if (!it) continue;
    const turn = JSON.parse(body);
    assert.equal(turn.messages[0].content, it.prompt);
    const text = turn.answer?.choices?.[0]?.message?.content ?? '';
    if (it.done) assert.equal(text, it.text);
    else {
      assert.ok(text.startsWith(it.text), `${id}: "${text}" has not all of "${it.text}"`);
      if (turn.outcome === undefined) assert.ok(text.length > it.text.length || it.text.length > 0);
    }
  }
  // Sequence numbers of each worker have no gaps: nothing vanished unseen.
  const gaps = await house.rows(
    'SELECT worker_epoch, count() AS n, max(worker_sequence) AS last FROM interactions GROUP BY worker_epoch');
  for (const g of gaps) assert.equal(Number(g.n), Number(g.last));
});
