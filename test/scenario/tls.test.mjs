// Providers over TLS: each attempt under its own name, to a certificate that is checked; a credential
// never goes to anybody else. The names and their authority exist in a mount namespace of this test
// only, which needs root.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ask } from './lib/client.mjs';
import { completion } from './lib/upstream.mjs';

const run = promisify(execFile);
const NAMES = ['one.test', 'two.test', 'wrong.test', 'self.test', 'old.test'];
let home, house, able = true;
const servers = {};

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const file = (name) => join(home, name);
async function authority() {
  await run('openssl', ['req', '-x509', ...EC, '-keyout', file('ca.key'), '-out', file('ca.pem'), '-days', '2', '-subj', '/CN=test authority']);
}
// A certificate for `subject`, of the authority or (self) of its own; days < 0: it is over.
async function certificate(name, subject, { self = false, days = 2 } = {}) {
  const key = file(`${name}.key`), request = file(`${name}.csr`), out = file(`${name}.pem`);
  await writeFile(file(`${name}.ext`), `subjectAltName=DNS:${subject}\n`);
  await run('openssl', ['req', ...EC, '-keyout', key, '-out', request, '-subj', `/CN=${subject}`]);
  const by = self ? ['-signkey', key] : ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial'];
  await run('openssl', ['x509', '-req', '-in', request, '-out', out, '-days', String(days), '-extfile', file(`${name}.ext`), ...by]);
  return { key: await readFile(key), cert: await readFile(out) };
}

// A provider under TLS; what it was asked, and under which name.
async function serve(name, pair) {
  const it = { requests: [], names: [], status: 200 };
  it.server = https.createServer(pair, (req, res) => {
    it.requests.push({ headers: req.headers, servername: req.socket.servername });
    req.resume().on('end', () => {
      const text = JSON.stringify(it.status === 200 ? completion(name) : { error: { message: 'no' } });
      res.writeHead(it.status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text);
    });
  });
  await new Promise((go) => it.server.listen(0, '127.0.0.1', go));
  it.port = it.server.address().port;
  servers[name] = it;
}

test.before(async () => {
  home = await mkdtemp(join(tmpdir(), 'safehouse-names-'));
  await chmod(home, 0o755);
  able = await run('unshare', ['-m', 'true']).then(() => true, () => false);
  if (!able) return;
  await authority();
  await serve('one.test', await certificate('one.test', 'one.test'));
  await serve('two.test', await certificate('two.test', 'two.test'));
  await serve('wrong.test', await certificate('wrong.test', 'one.test'));
  await serve('self.test', await certificate('self.test', 'self.test', { self: true }));
  await serve('old.test', await certificate('old.test', 'old.test', { days: -1 }));
  await writeFile(file('hosts'), `127.0.0.1 localhost ${NAMES.join(' ')}\n`);

  const bin = process.env.SAFEHOUSE_BIN ?? new URL('../../build/bin', import.meta.url).pathname;
  await writeFile(file('safehouse'), `#!/bin/sh
[ "$1" = up ] || exec '${bin}/safehouse' "$@"
exec unshare -m sh -c 'mount --bind "$0/ca.pem" /etc/ssl/certs/ca-certificates.crt &&
  mount --bind "$0/hosts" /etc/hosts && exec "$@"' '${home}' '${bin}/safehouse' "$@"
`, { mode: 0o755 });
  process.env.SAFEHOUSE_BIN = home;
  const { Installation } = await import('./lib/installation.mjs');
  const routes = NAMES.map((n) => `  - {model: ${n}, providers: [{name: ${n}}]}`);
  house = await Installation.start({
    env: Object.fromEntries(NAMES.map((n, i) => [`TLS_KEY_${i}`, `sk-${n}-key`])),
    config: `
providers:
${NAMES.map((n, i) => `  ${n}: {url: 'https://${n}:${servers[n].port}', keys: [{env: TLS_KEY_${i}}], eject_after: 0}`).join('\n')}
routes:
${routes.join('\n')}
  - {model: chain, providers: [{name: one.test}], fallback: [wrong.test, two.test]}
`,
  });
});
test.after(async () => {
  await house?.destroy();
  for (const { server } of Object.values(servers)) {
    server.closeAllConnections();
    server.close();
  }
  await rm(home, { recursive: true, force: true });
});

const chat = (model) => ask(house.gateway, house.key, '/v1/chat/completions', { model, messages: [] });

test('each provider under its own name, with its own key, also after another one failed', async (t) => {
  if (!able) return t.skip('needs a mount namespace');
  for (const name of ['one.test', 'two.test', 'one.test']) {
    assert.equal(JSON.parse((await chat(name)).text).choices[0].message.content, name);
    const { headers, servername } = servers[name].requests.at(-1);
    assert.deepEqual([servername, headers.host, headers.authorization], [name, `${name}:${servers[name].port}`, `Bearer sk-${name}-key`]);
  }
  servers['one.test'].status = 500;
  assert.equal(JSON.parse((await chat('chain')).text).choices[0].message.content, 'two.test');
  servers['one.test'].status = 200;
  const { headers, servername } = servers['two.test'].requests.at(-1);
  assert.deepEqual([servername, headers.host, headers.authorization], ['two.test', `two.test:${servers['two.test'].port}`, 'Bearer sk-two.test-key']);
});

test('a certificate of another name, of nobody, or of the past: a 502, and nothing was said', async (t) => {
  if (!able) return t.skip('needs a mount namespace');
  for (const name of ['wrong.test', 'self.test', 'old.test']) {
    const answer = await chat(name);
    assert.equal(answer.status, 502, answer.text);
    assert.equal(JSON.parse(answer.text).error.code, 'bad_gateway');
    assert.equal(servers[name].requests.length, 0, name);
  }
});
