// An nginx of the user's own as the gateway: attached, with another server beside it, through deaths,
// reloads, and the end and return of either side.
import test, { before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { BIN, Installation, until } from './lib/installation.mjs';
import { NGINX, nginxConf, writeNginxConf } from './lib/nginx.mjs';
import { freePort } from './lib/servers.mjs';
import { Upstream, chunk, completion, event } from './lib/upstream.mjs';

const run = promisify(execFile);
const ASK = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hello' }] };

let upstream, house, nginx, gatewayPort, minePort;

const config = (provider, more = '') =>
  `gateway: {nginx: own, workers: 2${more}}\nproviders:\n  ${provider}: {url: '${upstream.url}'}\n`;
const file = () => nginxConf(house);
const workers = async () => (await house.status()).gateway.workers.map((w) => w.pid).sort();
const client = () => new OpenAI({ apiKey: house.key, baseURL: `http://127.0.0.1:${gatewayPort}/v1`, maxRetries: 0 });
const mine = () => fetch(`http://127.0.0.1:${minePort}/`).then((r) => r.text());
const probe = () => fetch(`http://127.0.0.1:${gatewayPort}/readyz`).then((r) => r.json());

async function attach() {
  const child = spawn(join(BIN, 'safehouse'), ['attach', '--dir', house.dir, '--', NGINX, '-c', file(), '-e', 'stderr'],
    { stdio: ['ignore', 'inherit', 'pipe'] });
  nginx = { child, said: '', ended: new Promise((done) => child.on('exit', done)) };
  child.stderr.on('data', (d) => (nginx.said += d));
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`nginx ended: ${nginx.said}`);
    return (await workers()).length === 2;
  }, 'two attached workers');
}

async function detach() {
  nginx.child.kill('SIGQUIT');
  await nginx.ended;
  await until(async () => (await workers()).length === 0, 'no workers');
}

before(async () => {
  upstream = await Upstream.start();
  [gatewayPort, minePort] = [await freePort(), await freePort()];
  house = await Installation.start({ config: config('one') });
  await writeNginxConf(house, gatewayPort, 2, `    server {
        listen 127.0.0.1:${minePort};
        location / { return 200 "mine"; }
    }
`);
});

after(async () => {
  nginx?.child.kill('SIGTERM');
  await nginx?.ended;
  await house?.destroy();
  await upstream?.stop();
});

test('everything but the gateway runs, and says what it waits for', async () => {
  assert.equal(house.gateway, null);
  const ready = JSON.parse(await readFile(join(house.dir, 'run', 'ready'), 'utf8'));
  assert.equal(ready.waits_for, 'safehouse attach');
  assert.match(house.stdout, /gateway +waits for your nginx: safehouse attach/);
  const status = await house.status();
  assert.deepEqual(status.programs.map((p) => p.name).sort(), ['sealer', 'store', 'vault']);
  assert.equal(status.gateway.listen, null);
  assert.match(await house.cli('status', '--dir', house.dir), /no nginx is attached/);
});

test('without being attached it does not start', async () => {
  await run(NGINX, ['-t', '-c', file()]); // the file alone is right
  const child = spawn(NGINX, ['-c', file(), '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (d) => (said += d));
  await new Promise((done) => child.on('close', done));
  assert.match(said, /start nginx with "safehouse attach"/);
});

test('a reload into it of an nginx that is not attached changes nothing', async () => {
  const other = join(house.home, 'other.conf');
  await writeFile(other, `daemon off;\npid ${house.home}/other.pid;\nevents {}\nhttp {\n    access_log off;\n` +
    `    server { listen 127.0.0.1:${minePort}; location / { return 200 "mine"; } }\n}\n`);
  const child = spawn(NGINX, ['-c', other, '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((done) => child.on('close', done));
  let said = '';
  child.stderr.on('data', (d) => (said += d));
  try {
    await until(() => mine().catch(() => null), 'it serves');
    await writeFile(other, (await readFile(file(), 'utf8')).replace('nginx.pid', 'other.pid'));
    child.kill('SIGHUP');
    await until(() => /start nginx with "safehouse attach"/.test(said), 'the refusal');
    assert.equal(await mine(), 'mine');
    assert.equal(child.exitCode, null);
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
});

test('attached: the official client works, and what it says is logged and shown', async () => {
  await attach();
  upstream.answer = (x) => x.json(completion('through your nginx'));
  const { data, response } = await client().chat.completions.create(ASK).withResponse();
  assert.equal(data.choices[0].message.content, 'through your nginx');
  const id = response.headers.get('x-safehouse-id');
  await house.stored(id);
  assert.match(JSON.stringify(await house.show(id)), /through your nginx/);
  assert.equal((await probe()).ready, true);
});

test('its other server answers', async () => {
  assert.equal(await mine(), 'mine');
});

test('its workers are confined like others', async () => {
  for (const w of (await house.status()).gateway.workers)
    assert.deepEqual([w.seccomp, w.no_new_privs], [2, 1]);
});

test('a killed worker is replaced', async () => {
  const before = await workers();
  process.kill(before[0], 'SIGKILL');
  await until(async () => {
    const now = await workers();
    return now.length === 2 && !now.includes(before[0]);
  }, 'another worker');
  await client().chat.completions.create(ASK);
  assert.equal(await mine(), 'mine');
});

test('a reload says when nginx must be reloaded, too, and then it has the new provider', async () => {
  await writeFile(join(house.home, 'safehouse.yaml'), config('two'));
  assert.match(await house.cli('reload', '--dir', house.dir), /reload your nginx now/);
  const before = await workers();
  nginx.child.kill('SIGHUP');
  await until(async () => {
    const now = await workers();
    return now.length === 2 && !now.some((pid) => before.includes(pid));
  }, 'new workers');
  const { response } = await client().chat.completions.create(ASK).withResponse();
  const id = response.headers.get('x-safehouse-id');
  await house.stored(id);
  assert.deepEqual(await house.rows(`SELECT provider FROM interactions WHERE id = '${id}'`), [{ provider: 'two' }]);
});

test('detached, the rest runs on; attached again, it serves', async () => {
  const pids = (await house.status()).programs.map((p) => p.pid);
  await detach();
  await assert.rejects(client().chat.completions.create(ASK));
  assert.deepEqual((await house.status()).programs.map((p) => p.pid), pids);
  await attach();
  await client().chat.completions.create(ASK);
});

test('when the rest stops, what is under way is logged, and no more is served', async () => {
  const count = async () => Number((await house.rows('SELECT count() AS n FROM interactions'))[0].n);
  await client().chat.completions.create(ASK);
  const { response } = await client().chat.completions.create({ ...ASK, stream: false }).withResponse();
  await house.stored(response.headers.get('x-safehouse-id'));
  const before = await count();
  let finish;
  upstream.answer = async (x) => {
    x.res.writeHead(200, { 'content-type': 'text/event-stream' });
    x.res.write(event(chunk({ role: 'assistant', content: 'slow ' })));
    await new Promise((go) => (finish = go));
    x.res.end(event(chunk({ content: 'end' }, { finish: 'stop' })) + event('[DONE]'));
  };
  const stream = await client().chat.completions.create({ ...ASK, stream: true });
  await until(() => finish, 'a stream under way');
  const stopped = house.stop();
  await until(async () => !(await probe()).ready, 'not ready any more');
  assert.deepEqual((await probe()).reasons, ['safehouse up has ended']);
  await assert.rejects(client().chat.completions.create(ASK), { status: 503 });
  assert.equal(await mine(), 'mine');
  finish();
  let text = '';
  for await (const part of stream) text += part.choices[0]?.delta?.content ?? '';
  assert.equal(text, 'slow end');
  assert.equal(await stopped, 0);

  await house.up();
  await until(async () => (await count()) === before + 1, 'the stream in the log');
  await assert.rejects(client().chat.completions.create(ASK), { status: 503 }); // still the one before
  nginx.child.kill('SIGQUIT');
  await nginx.ended;
  await attach();
  upstream.answer = (x) => x.json(completion('again'));
  await client().chat.completions.create(ASK);
});

test('workers that find no room do not start, and the others serve', async () => {
  await detach();
  const text = await readFile(file(), 'utf8');
  await writeFile(file(), text.replace('worker_processes 2;', 'worker_processes 12;'));
  const child = spawn(join(BIN, 'safehouse'), ['attach', '--dir', house.dir, '--', NGINX, '-c', file(), '-e', 'stderr'],
    { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (d) => (said += d));
  await until(async () => (await workers()).length === 10, 'as many as there is room for');
  await until(() => said.split('a worker cannot start').length === 3, 'two that say so');
  await client().chat.completions.create(ASK);
  child.kill('SIGQUIT');
  await new Promise((done) => child.on('exit', done));
  await writeFile(file(), text);
  await until(async () => (await workers()).length === 0, 'no workers');
  await attach();
});

test('a killed supervisor: no more is served either', async () => {
  house.process.kill('SIGKILL');
  await house.ended;
  await assert.rejects(client().chat.completions.create(ASK), { status: 503 });
  assert.equal(await mine(), 'mine');
});

test('only an installation that waits for it can be attached to', async () => {
  const other = await Installation.start({ upstream: upstream.url });
  try {
    const r = await other.cliResult('attach', '--dir', other.dir, '--', NGINX, '-v');
    assert.equal(r.code, 2);
    assert.match(r.stderr, /gateway.nginx: own/);
    if (process.getuid() === 0) {
      const who = ['setpriv', ['--reuid', '65534', '--regid', '65534', '--clear-groups', join(BIN, 'safehouse'),
        'attach', '--dir', other.dir, '--', NGINX, '-v']];
      const denied = await run(...who).then(() => ({ code: 0 }), (e) => e);
      assert.equal(denied.code, 2);
      assert.match(denied.stderr, /not yours|no installation/); // it cannot even see whether there is one
      assert.doesNotMatch(denied.stderr, /nginx version/);
    }
  } finally {
    await other.destroy();
  }
});
