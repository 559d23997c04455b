// The audit in a network of its own: verdicts of many pairs and how long they take, and that no packet leaves
// which does not belong to a connection to the scope. AUDIT_ADDRESSES (20 pairs each) is 6 here, and 50 in
// `make test-audit`.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import { before, test } from 'node:test';

const BIN = path.resolve(process.env.SAFEHOUSE_BIN ?? 'build/bin');
const TOOLS = path.dirname(process.env.SAFEHOUSE_SCAN ?? path.join(BIN, '..', 'test', 'tools', 'scan'));
const ADDRESSES = Number(process.env.AUDIT_ADDRESSES ?? 6);
const root = process.getuid() === 0 ? [] : ['-r'];
const able = spawnSync('unshare', [...root, '-mn', 'ip', 'link', 'add', 'cable0', 'type', 'veth'], { encoding: 'utf8' });
const skip = able.status === 0 ? false : `no network of its own can be made here: ${able.stderr}`;

let result;
before(async () => {
  if (skip) return;
  const child = spawn('unshare', [...root, '-mn', process.execPath, path.join(import.meta.dirname, 'lib/auditnet.mjs'), String(ADDRESSES)],
    { env: { ...process.env, SAFEHOUSE_BIN: BIN, TOOLS }, stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (d) => { out += d; });
  assert.equal(await new Promise((done) => child.on('close', done)), 0);
  result = JSON.parse(out);
});

// What was sent is DNS of the command line, ARP and neighbour discovery on the cable, and TCP to the scope.
function onlyTo(run, pairs, dns) {
  const scope = new Set(pairs);
  const strange = run.sent.filter((p) => !(p.interface === 'cable1' && (p.protocol === 'arp' || (p.protocol === 'icmp6' && p.to !== '')
    || (dns && p.protocol === 'udp' && p.to === result.resolver && p.port === 53)
    || (p.protocol === 'tcp' && scope.has(`${p.to} ${p.port}`)))));
  assert.deepEqual(strange, []);
  assert.equal(run.dropped, 0);
  const reached = new Set(run.sent.filter((p) => p.protocol === 'tcp').map((p) => `${p.to} ${p.port}`));
  assert.deepEqual([...scope].filter((p) => !reached.has(p)), []);
}

test(`${20 * ADDRESSES} pairs: each verdict as expected, in under a minute`, { skip }, () => {
  const { all, expected, vanishing } = result;
  console.log(`${all.hosts.length} pairs in ${all.seconds} s, ${all.cpu_seconds} s of processor, ${all.rss_kib} KiB at most in a process`);
  assert.equal(all.hosts.length, 20 * ADDRESSES, all.stderr);
  const wrong = all.hosts.filter((h) => {
    const [verdict, grade, service] = h.address.startsWith('10.9.') ? ['filtered', 'A', ''] : expected[h.port];
    return h.verdict !== verdict || h.grade !== grade || h.service !== service;
  });
  assert.deepEqual(wrong, []);
  assert.equal(all.summary.verdicts.filtered, 20 * vanishing);
  assert.equal(all.code, 1);
  assert.ok(all.seconds < 60, `${all.seconds} s`);
  assert.ok(all.rss_kib < 64 << 10, `${all.rss_kib} KiB`);
});

test('every packet goes to the scope', { skip }, () => {
  const { all } = result;
  onlyTo(all, all.hosts.map((h) => `${h.address} ${h.port}`), false);
});

test('without flags it keeps to five connections a second', { skip }, () => {
  const { slow, closed } = result;
  onlyTo(slow, closed.map((port) => `10.7.0.1 ${port}`), false);
  // a connection for each pair, the first at once
  assert.ok(slow.seconds >= (closed.length - 1) / 5, `${slow.seconds} s`);
});

test('a name is asked for once and stays what it was: a resolver that changes its mind changes nothing', { skip }, () => {
  const { name } = result;
  onlyTo(name, ['10.7.0.1 6379', 'fd07::1 6379'], true);
  assert.deepEqual([...name.asked].sort(), [1, 28]);
  assert.deepEqual(name.hosts.map((h) => [h.address, h.verdict]).sort(), [['10.7.0.1', 'open'], ['fd07::1', 'open']]);
});
