// How an installation is started, what it says, and what it refuses.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { Installation } from './lib/installation.mjs';
import { Upstream, completion } from './lib/upstream.mjs';

const run = promisify(execFile);
const ASK = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hello' }] };

const refusedStart = (options) =>
  Installation.start(options).then(() => assert.fail('it started'), (e) => e.message);

async function withInstallation(options, body) {
  const upstream = await Upstream.start();
  const house = await Installation.start({ upstream: upstream.url, ...options });
  try {
    await body(house, upstream);
  } finally {
    await house.destroy();
    await upstream.stop();
  }
}

test('not beyond loopback without TLS, unless a TLS proxy stands in front', async () => {
  const said = await refusedStart({ listen: '0.0.0.0:0', upstream: 'http://127.0.0.1:1' });
  assert.match(said, /ended with 2/);
  assert.match(said, /behind_tls_proxy/);
  await withInstallation({ listen: '0.0.0.0:0', config: 'behind_tls_proxy: true\n' }, async (house) => {
    assert.match(house.gateway, /^http:\/\/0\.0\.0\.0:\d+$/);
  });
});

test('TLS with a certificate', async () => {
  const home = await mkdtemp(join(tmpdir(), 'safehouse-tls-'));
  try {
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
      '-keyout', join(home, 'key.pem'), '-out', join(home, 'cert.pem'), '-days', '2', '-subj', '/CN=localhost',
      '-addext', 'subjectAltName=IP:127.0.0.1']);
    await chmod(join(home, 'key.pem'), 0o600);
    const config = `tls:\n  certificate: ${home}/cert.pem\n  key: ${home}/key.pem\n`;
    const ca = await readFile(join(home, 'cert.pem'));
    await withInstallation({ config, listen: '0.0.0.0:0' }, async (house, upstream) => {
      const url = new URL(house.gateway);
      assert.equal(url.protocol, 'https:');
      upstream.answer = (x) => x.json(completion('over TLS'));
      const body = await new Promise((done, fail) => {
        const req = https.request(`https://127.0.0.1:${url.port}/v1/chat/completions`, {
          method: 'POST', ca, headers: { authorization: `Bearer ${house.key}` },
        }, (res) => {
          let text = '';
          res.on('data', (d) => (text += d));
          res.on('end', () => done(text));
        });
        req.on('error', fail);
        req.end(JSON.stringify(ASK));
      });
      assert.deepEqual(JSON.parse(body), completion('over TLS'));
    });
    await writeFile(join(home, 'cert.pem'), 'no certificate\n');
    assert.match(await refusedStart({ config, upstream: 'http://127.0.0.1:1' }), /certificate/);
  } finally {
    await rm(home, { recursive: true });
  }
});

test('without an upstream there is a demo that says so', async () => {
  const house = await Installation.start({ env: { DEEPSEEK_API_KEY: '', OPENAI_API_KEY: '' } });
  try {
    assert.match(house.stdout, /demo/);
    const client = new OpenAI({ apiKey: house.key, baseURL: `${house.gateway}/v1` });
    const { data, response } = await client.chat.completions.create(ASK).withResponse();
    assert.match(data.choices[0].message.content, /demo/i);
    const parts = [];
    for await (const c of await client.chat.completions.create({ ...ASK, stream: true }))
      parts.push(c.choices[0]?.delta?.content ?? '');
    assert.match(parts.join(''), /demo/i);
    assert.ok((await client.models.list()).data.length > 0);
    const id = response.headers.get('x-safehouse-id');
    await house.stored(id);
    assert.deepEqual((await house.show(id)).request, ASK);
    assert.equal((await house.status()).upstream.demo, true);
  } finally {
    await house.destroy();
  }
});

test('a locked vault logs and does not open; unlocking reads what came meanwhile', async () => {
  await withInstallation({ locked: true }, async (house) => {
    assert.equal((await house.status()).vault.locked, true);
    const client = new OpenAI({ apiKey: house.key, baseURL: `${house.gateway}/v1` });
    const { response } = await client.chat.completions.create({ ...ASK, user: 'somebody' }).withResponse();
    const id = response.headers.get('x-safehouse-id');
    await house.stored(id);
    const locked = await house.cliResult('show', id, '--dir', house.dir, '--reason', 'test');
    assert.equal(locked.code, 3);
    assert.match(locked.stderr, /safehouse unlock/);
    const wrong = join(house.home, 'wrong');
    await writeFile(wrong, 'not the passphrase\n', { mode: 0o600 });
    assert.notEqual((await house.cliResult('unlock', '--dir', house.dir, '--passphrase-file', wrong)).code, 0);
    await house.cli('unlock', '--dir', house.dir, '--passphrase-file', house.passphraseFile);
    assert.deepEqual((await house.show(id)).request, { ...ASK, user: 'somebody' });
  });
});

test('stopping is orderly and starting again goes on', async () => {
  await withInstallation({}, async (house) => {
    const client = () => new OpenAI({ apiKey: house.key, baseURL: `${house.gateway}/v1` });
    await client().chat.completions.create(ASK);
    const second = await house.cliResult('up', '--dir', house.dir, '--listen', '127.0.0.1:0', '--upstream', 'http://127.0.0.1:1');
    assert.notEqual(second.code, 0);
    assert.match(second.stderr, /already/);
    assert.equal(await house.stop(), 0);
    await assert.rejects(access(join(house.dir, 'run', 'ready')));
    const off = await house.cliResult('query', '--dir', house.dir, 'SELECT 1');
    assert.equal(off.code, 3);
    assert.match(off.stderr, /safehouse up/);
    await house.up();
    await client().chat.completions.create(ASK);
    await house.stored(2);
  });
});

test('mistakes in the configuration are named by line, with the nearest word', async () => {
  const said = await refusedStart({ config: 'gateway:\n  max_bdy: 1MiB\n', upstream: 'http://127.0.0.1:1' });
  assert.match(said, /safehouse\.yaml:2:\d+: .*max_body/);
});
