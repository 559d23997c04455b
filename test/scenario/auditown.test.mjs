// The audit of this project's own gateway and console, in clear and under TLS: locked, graded so, and with a
// security.txt that can be relied on. The command that looks is an outsider's: it knows nothing of the installation.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { audits } from './lib/audits.mjs';
import { Installation } from './lib/installation.mjs';
import { Servers } from './lib/servers.mjs';
import { Upstream } from './lib/upstream.mjs';

const servers = new Servers(), upstream = await Upstream.start();
const a = audits();
const houses = [];
after(async () => {
  for (const h of houses) await h.destroy();
  await servers.stop();
  await upstream.stop();
});

async function install(config) {
  const house = await Installation.start({ upstream: upstream.url, config, args: ['--console', '127.0.0.1:0'], env: { XDG_RUNTIME_DIR: '' } });
  houses.push(house);
  const ready = JSON.parse(await readFile(path.join(house.dir, 'run', 'ready'), 'utf8'));
  return { gateway: Number(new URL(ready.gateway).port), console: Number(new URL(ready.console).port) };
}

test('gateway and console ask for a credential, in clear and under TLS; security.txt is there', async () => {
  const { keyFile, certFile } = await servers.pair();
  const clear = await install('gateway: {workers: 1}\n');
  const secure = await install(`gateway: {workers: 1}\ntls: {certificate: ${certFile}, key: ${keyFile}}\n`);
  const { code, hosts, findings, stderr } = await a.table([
    ['gateway', clear.gateway, 'auth-required', 'B', 'openai-compatible'],
    ['console', clear.console, 'auth-required', 'B', 'clickhouse'],
    ['gateway, TLS', secure.gateway, 'auth-required', 'B', 'openai-compatible'],
    ['console, TLS', secure.console, 'auth-required', 'B', 'clickhouse'],
  ]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(hosts.filter((h) => h.tls).map((h) => h.port).sort(), [secure.gateway, secure.console].sort());
  const rules = (port) => findings.filter((f) => f.port === port).map((f) => [f.rule, f.severity, f.detail]);
  // RFC 9116 wants https in a Contact, and a gateway in clear has no other address of its form
  assert.deepEqual(rules(clear.gateway).map(([rule, severity]) => [rule, severity]), [['check/security-txt', 'low']]);
  assert.match(rules(clear.gateway)[0][2], /no URI/);
  assert.deepEqual(rules(secure.gateway), []);
});
