// A network of the audit's own, for auditnet.test.mjs, which starts this in new network and mount namespaces
// (unshare -mn): servers here, the audit in a second network namespace behind a virtual cable, where every
// packet that leaves is read. Prints one JSON object: what the audit said and what it sent.
//   node auditnet.mjs ADDRESSES
// ADDRESSES addresses of 10.7.0.0/24 with 20 ports each; a fifth of them is 10.9.0.0/24, where packets vanish.
import { spawn, spawnSync } from 'node:child_process';
import dgram from 'node:dgram';
import net from 'node:net';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Servers } from './servers.mjs';

const BIN = process.env.SAFEHOUSE_BIN, TOOLS = process.env.TOOLS;
const addresses = Number(process.argv[2]);
const servers = new Servers();
const dir = await mkdtemp(path.join(tmpdir(), 'audit-net-'));
const HERE = '10.99.0.1', THERE = '10.99.0.2';

function sh(...command) {
  const r = spawnSync(command[0], command.slice(1), { encoding: 'utf8' });
  if (r.status !== 0) throw new Error(`${command.join(' ')}: ${r.stderr || r.error}`);
  return r.stdout;
}

// ---- the cable: cable1 is the audit's end ----

const holder = spawn('unshare', ['-n', 'sh', '-c', 'echo; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
await new Promise((done) => holder.stdout.once('data', done));
const inside = (...command) => ['nsenter', `--net=/proc/${holder.pid}/ns/net`, ...command];
for (const command of [
  ['ip', 'link', 'set', 'lo', 'up'],
  ['ip', 'link', 'add', 'cable0', 'type', 'veth', 'peer', 'name', 'cable1', 'netns', String(holder.pid)],
  ['ip', 'link', 'set', 'cable0', 'addrgenmode', 'none'],
  ['ip', 'addr', 'add', `${HERE}/24`, 'dev', 'cable0'],
  ['ip', 'addr', 'add', '10.7.0.1/24', 'dev', 'lo'],
  ['ip', '-6', 'addr', 'add', 'fd07::1/64', 'dev', 'lo', 'nodad'],
  ['ip', 'link', 'set', 'cable0', 'up'],
  ['ip', '-6', 'addr', 'add', 'fd99::1/64', 'dev', 'cable0', 'nodad'],
  ['ip', 'route', 'add', 'blackhole', '10.9.0.0/24'],
  inside('ip', 'link', 'set', 'lo', 'up'),
  inside('ip', 'link', 'set', 'cable1', 'addrgenmode', 'none'),
  inside('ip', 'link', 'set', 'cable1', 'up'),
  inside('ip', 'addr', 'add', `${THERE}/24`, 'dev', 'cable1'),
  inside('ip', '-6', 'addr', 'add', 'fd99::2/64', 'dev', 'cable1', 'nodad'),
  inside('ip', 'route', 'add', 'default', 'via', HERE),
  inside('ip', '-6', 'route', 'add', 'default', 'via', 'fd99::1'),
]) sh(...command);

// ---- servers, on every address at once ----

const listen = (port, each) => new Promise((done) => {
  const s = net.createServer((socket) => { socket.on('error', () => {}); each(socket); });
  s.listen(port, '::', 4096, done);
});
const page = (status, type, body, wait = 0) => (socket) => socket.once('data', () => setTimeout(() => socket.end(
  `HTTP/1.1 ${status} X\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`), wait));
const routes = (table) => (socket) => socket.once('data', (d) => {
  const at = String(d).split(' ')[1]?.split('?')[0];
  const [status, body] = table[at] ?? table['*'] ?? [404, 'no'];
  page(status, 'application/json', body)({ once: (_, f) => f(), end: (t) => socket.end(t) });
});

const EXPECTED = {}; // port: [verdict, grade, service]
async function real(port, verdict, grade, service, command) {
  EXPECTED[port] = [verdict, grade, service];
  await servers.real(command, { port });
}
async function own(port, verdict, grade, service, each) {
  EXPECTED[port] = [verdict, grade, service];
  await listen(port, each);
}
const redis = (...more) => (port, d) => ['redis-server', '--port', String(port), '--bind', '0.0.0.0', '::', '--protected-mode', 'no', '--save', '', '--dir', d, ...more];
const REFUSED = '{"error": {"message": "unauthorized"}}';
await real(6379, 'open', 'F', 'redis', redis());
await real(6380, 'auth-required', 'B', 'redis', redis('--requirepass', 'x'));
await real(11211, 'open', 'D', 'memcached', (p) => ['memcached', '-u', 'nobody', '-l', '0.0.0.0', '-p', String(p), '-c', '4096']);
await real(4222, 'open', 'D', 'nats', (p) => ['nats-server', '-a', '0.0.0.0', '-p', String(p)]);
await own(11434, 'open', 'D', 'ollama', routes({ '/': [200, 'Ollama is running'], '/api/tags': [200, '{"models":[]}'], '/api/version': [200, '{"version":"0.5"}'] }));
await own(8000, 'auth-required', 'B', 'openai-compatible', routes({ '/v1/models': [401, REFUSED] }));
await own(6333, 'auth-required', 'B', 'qdrant', routes({ '/': [200, '{"title":"qdrant - vector search engine","version":"1.9"}'], '*': [403, 'Must provide an API key'] }));
await own(9200, 'open', 'E', 'elasticsearch', routes({ '/': [200, '{"tagline":"You Know, for Search","version":{"number":"8.1.0"}}'], '/_cat/indices': [200, '[{"index":"chats"}]'] }));
await own(8123, 'auth-required', 'B', 'clickhouse', (socket) => socket.once('data', (d) => socket.end(/^GET \/(ping)? /.test(d)
  ? 'HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nContent-Length: 4\r\n\r\nOk.\n'
  : 'HTTP/1.1 401 X\r\nX-ClickHouse-Exception-Code: 194\r\nContent-Length: 33\r\n\r\nCode: 194. DB::Exception: password')));
await own(3000, 'unknown', 'C', '', page(200, 'text/html', '<!doctype html><title>an app</title>'));
await own(8080, 'unknown', 'C', '', page(404, 'text/plain', 'slow', 150)); // every page takes its time
await own(9999, 'unknown', 'B', '', () => {}); // accepts, and says nothing
const CLOSED = [2181, 2375, 3306, 5432, 8888, 9000, 9090, 27017];
for (const port of CLOSED) EXPECTED[port] = ['closed', 'A', ''];

// ---- a resolver that answers the first question of each kind with one address, later ones with another ----

const asked = [];
const resolver = dgram.createSocket('udp4', (q, from) => {
  const end = q.indexOf(0, 12) + 5, type = q.readUInt16BE(end - 4);
  const earlier = asked.includes(type);
  asked.push(type);
  const answer = type === 1 ? Buffer.from([10, 7, 0, earlier ? 250 : 1]) : null;
  const head = Buffer.from([q[0], q[1], 0x81, 0x80, 0, 1, 0, answer ? 1 : 0, 0, 0, 0, 0]);
  const record = answer ? Buffer.concat([Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]), answer]) : Buffer.alloc(0);
  resolver.send(Buffer.concat([head, q.subarray(12, end), record]), from.port, from.address);
});
await new Promise((done) => resolver.bind(53, HERE, done));
const resolv = path.join(dir, 'resolv.conf');
await writeFile(resolv, `nameserver ${HERE}\noptions timeout:2 attempts:2\n`);
sh('mount', '--bind', resolv, '/etc/resolv.conf');

// ---- the audit ----

async function audit(scopeText, ...args) {
  const scope = path.join(dir, 'scope'), used = path.join(dir, 'used');
  await writeFile(scope, scopeText);
  const reader = spawn(...split(inside(path.join(TOOLS, 'packets'))), { stdio: ['pipe', 'pipe', 'inherit'] });
  let packets = '';
  reader.stdout.on('data', (d) => { packets += d; });
  await new Promise((done) => reader.stdout.once('data', done));
  const child = spawn(...split(inside(path.join(TOOLS, 'measure'), used, path.join(BIN, 'safehouse'), 'audit', '--scope', scope,
    '--authorised', 'test, T-1', '--json', ...args)));
  let stdout = '', stderr = '';
  child.stdout.on('data', (d) => { stdout += d; });
  child.stderr.on('data', (d) => { stderr += d; });
  const code = await new Promise((done) => child.on('close', done));
  reader.stdin.end();
  await new Promise((done) => reader.on('close', done));
  const lines = stdout.split('\n').filter(Boolean).map((l) => JSON.parse(l));
  const sent = packets.trim().split('\n').slice(1).map((l) => JSON.parse(l));
  return { code, stderr, ...JSON.parse(await readFile(used, 'utf8')), summary: lines.at(-1),
    hosts: lines.filter((l) => l.type === 'host').map(({ address, port, verdict, grade, service, reason, seconds }) => ({ address, port, verdict, grade, service, reason, seconds })),
    dropped: sent.at(-1).dropped, sent: sent.slice(0, -1) };
}
const split = ([command, ...args]) => [command, args];

const TERMS = '# test, T-1, 2099-01-01\n', ports = Object.keys(EXPECTED).join(' ');
const vanishing = Math.floor(addresses / 5);
let many = '';
for (let i = 1; i <= addresses; i++) many += `10.${i <= vanishing ? 9 : 7}.0.${i} ${ports} ${TERMS}`;
const FAST = ['--rate', '5000', '--per-host', '16', '--workers', '64', '--timeout', '500'];
const result = { resolver: HERE, expected: EXPECTED, closed: CLOSED, vanishing, all: await audit(many, ...FAST) };
result.slow = await audit(`10.7.0.1 ${CLOSED.join(' ')} ${TERMS}`); // the ordinary rate: 5 a second
result.name = await audit(`db.example.org 6379 ${TERMS}fd07::1 6379 ${TERMS}!10.7.0.250\n`, ...FAST);
result.name.asked = asked;
await new Promise((done) => process.stdout.write(JSON.stringify(result), done));

holder.stdin.end();
await servers.stop();
await rm(dir, { recursive: true, force: true });
process.exit(0);
