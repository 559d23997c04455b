// The audit of servers that want something of it: answers without an end, lengths that are lies, depth, drips, floods,
// handshakes that never end, redirects, and texts that would command a terminal or turn around what is read. Time and
// memory are bounded, whatever comes; and what is printed is ASCII in every report.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import zlib from 'node:zlib';
import { spawn } from 'node:child_process';
import { after, test } from 'node:test';
import { BIN, audits } from './lib/audits.mjs';
import { Servers } from './lib/servers.mjs';

const MEASURE = path.join(path.dirname(process.env.SAFEHOUSE_SCAN ?? path.join(BIN, '..', 'test', 'tools', 'scan')), 'measure');
const servers = new Servers();
const { dir, scopeOf } = audits();
after(() => servers.stop());

// Looks at all of these at once; what it took is measured from outside.
async function look(targets, ...args) {
  const scope = await scopeOf(`127.0.0.1 ${Object.values(targets).join(' ')}\n`), used = path.join(dir, 'used');
  const child = spawn(MEASURE, [used, path.join(BIN, 'safehouse'), 'audit', '--scope', scope, '--rate', '5000', '--per-host', '64', '--workers', '64', '--timeout', '300', ...args]);
  let stdout = '', stderr = '';
  child.stdout.on('data', (d) => { stdout += d; });
  child.stderr.on('data', (d) => { stderr += d; });
  const [code] = await once(child, 'close');
  const lines = args.includes('--json') ? stdout.trim().split('\n').map((l) => JSON.parse(l)) : [];
  return { code, stdout, stderr, ...JSON.parse(await readFile(used, 'utf8')), lines, findings: lines.filter((l) => l.type === 'finding'),
    hosts: Object.fromEntries(Object.entries(targets).map(([name, port]) => [name, lines.find((l) => l.type === 'host' && l.port === port)])) };
}

// A host of which nothing could be found out because the program that asks died, or was ended.
const died = (h) => !h || /died|took too long/.test(h.reason);
function bounded(r, targets) {
  const slowest = Object.entries(r.hosts).map(([name, h]) => [h?.seconds, name]).sort((x, y) => y[0] - x[0]).slice(0, 3);
  console.log(`${Object.keys(targets).length} servers: ${r.seconds} s, ${r.cpu_seconds} s of processor, ${r.rss_kib} KiB at most in a process; slowest ${JSON.stringify(slowest)}`);
  assert.deepEqual(Object.entries(r.hosts).filter(([, h]) => died(h)).map(([name, h]) => [name, h?.reason]), []);
  assert.ok(r.seconds < 30, `${r.seconds} s`);
  assert.ok(r.cpu_seconds < 20, `${r.cpu_seconds} s of processor`);
  assert.ok(r.rss_kib < 48 << 10, `${r.rss_kib} KiB`);
  // 3: of a pair nothing is known
  assert.ok([0, 1, 3].includes(r.code), r.stderr);
}

const flood = (piece) => (s) => {
  const more = () => { while (!s.destroyed && s.write(piece)); s.once('drain', more); };
  more();
};
const drip = (text, ms = 20) => (s) => {
  let i = 0;
  const t = setInterval(() => (s.destroyed ? clearInterval(t) : s.write(text[i++ % text.length])), ms);
};
const b = (text) => Buffer.from(text, 'latin1');

test('web servers without an end: bodies, headers, chunks, interim answers, depth, drips', async () => {
  const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';
  const deep = '['.repeat(60000);
  const targets = {
    'a body without an end': await servers.tcp(flood(b(`${head}\r\n${'x'.repeat(65000)}`))),
    'headers without an end': await servers.tcp((s) => { s.write('HTTP/1.1 200 OK\r\n'); flood(b(`X-${'a'.repeat(1000)}: b\r\n`))(s); }),
    'one header without an end': await servers.tcp((s) => { s.write('HTTP/1.1 200 OK\r\nX: '); flood(b('a'.repeat(65536)))(s); }),
    'chunks without an end': await servers.tcp((s) => { s.write(`${head}Transfer-Encoding: chunked\r\n\r\n`); flood(b('1\r\nx\r\n'.repeat(2000)))(s); }),
    'a chunk of 4 GiB': await servers.tcp((s) => s.write(`${head}Transfer-Encoding: chunked\r\n\r\nffffffff\r\n[`)),
    'chunks of negative size': await servers.tcp((s) => s.write(`${head}Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n`)),
    'a length of 10^30': await servers.tcp((s) => s.write(`${head}Content-Length: ${'9'.repeat(30)}\r\n\r\n[`)),
    'interim answers without an end': await servers.tcp(flood(b('HTTP/1.1 100 Continue\r\n\r\n'.repeat(100)))),
    'early hints without an end': await servers.tcp(flood(b(`HTTP/1.1 103 Early Hints\r\nLink: <${'x'.repeat(1000)}>\r\n\r\n`))),
    'HTTP/0.9': await servers.tcp((s) => s.end('<html>hello</html>')),
    'deep JSON for everything': await servers.web({ '*': [200, deep, { 'Content-Type': 'application/json' }] }),
    'a service, and deep JSON': await servers.web({ '/': [200, 'Ollama is running'], '*': [200, `{"models":${deep}`, { 'Content-Type': 'application/json' }] }),
    'a list that never ends': await servers.tcp((s, d) => (/^GET \/ /.test(d) ? s.end('HTTP/1.1 200 OK\r\n\r\nOllama is running') : (s.write(`${head}\r\n{"models":[`), flood(b('{"name":"x"},'.repeat(1000)))(s)))),
    'a page that unpacks to 100 MB': await servers.web({ '*': [200, 'x', { 'Content-Encoding': 'gzip' }] }),
    'a byte at a time': await servers.tcp(drip(`${head}Content-Length: 100000\r\n\r\n${'x'.repeat(1000)}`)),
    'headers a byte at a time': await servers.tcp(drip('HTTP/1.1 200 OK\r\nX: y\r\n')),
    'a reset after the headers': await servers.tcp((s) => s.write(`${head}Content-Length: 10\r\n\r\n[`, () => s.resetAndDestroy())),
    'a status of 20 digits': await servers.tcp((s) => s.end(`HTTP/1.1 ${'2'.repeat(20)} OK\r\n\r\nx`)),
    'bytes of zero': await servers.tcp(flood(Buffer.alloc(65536))),
    'redirects in a circle': await servers.web({ '*': [302, '', { Location: '/round/' }] }),
  };
  const bomb = zlib.gzipSync(Buffer.alloc(100 << 20));
  targets['a bomb'] = await servers.tcp((s) => s.end(Buffer.concat([b(`${head}Content-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`), bomb])));
  bounded(await look(targets, '--json'), targets);
});

test('protocols of bytes: lengths that are lies, floods, drips, half an answer', async () => {
  const mysql = (len, rest) => Buffer.concat([Buffer.from([len & 255, (len >> 8) & 255, len >> 16, 0]), b(rest)]);
  const greeting = mysql(60, '\x0a8.0\0\x01\0\0\0saltsalt\0\xff\xff\x21\x02\0\xff\xc1\x15\0\0\0\0\0\0\0\0\0\0saltsaltsalt\0mysql_na');
  const pg = (reply) => (s, d) => (d.length === 8 ? s.write('N') : d[0] === 0 ? reply(s) : 0);
  const mongo = (s, d) => { // every reply claims 2 GiB, and goes on
    const h = Buffer.alloc(21);
    h.writeUInt32LE(0x7fffffff, 0);
    if (d.length > 20) h.writeInt32LE(d.readInt32LE(4), 8);
    h.writeInt32LE(2013, 12);
    s.write(h);
    flood(b('\x04databases\0\xff\xff\xff\x7f'))(s);
  };
  const rows = mysql(1, '\x01');
  const targets = {
    'MySQL: a greeting of 16 MiB': await servers.tcp(() => {}, (s) => { s.write(mysql(0xffffff, '\x0a8.0\0')); flood(b('x'.repeat(65536)))(s); }),
    'MySQL: a greeting of nothing': await servers.tcp(() => {}, (s) => s.write(Buffer.concat([mysql(1, '\x0a'), mysql(0, ''), mysql(0, '')]))),
    'MySQL: asks for another way without an end': await servers.tcp((s) => s.write(mysql(2, '\xfex')), (s) => s.write(greeting)),
    'MySQL: databases without an end': await servers.tcp((s, d) => (d[4] === 3 ? flood(rows)(s) : s.write(mysql(7, '\0\0\0\x02\0\0\0'))), (s) => s.write(greeting)),
    'PostgreSQL: a message of 2 GiB': await servers.tcp(pg((s) => { s.write(b('R\x7f\xff\xff\xff\0\0\0\0')); flood(b('x'.repeat(65536)))(s); })),
    'PostgreSQL: a message of -1': await servers.tcp(pg((s) => s.write(b('R\xff\xff\xff\xff\0\0\0\0')))),
    'PostgreSQL: settings without an end': await servers.tcp(pg((s) => { s.write(b('R\0\0\0\x08\0\0\0\0')); flood(b('S\0\0\0\x0aserver\0'))(s); })),
    'PostgreSQL: a row of lies': await servers.tcp((s, d) => (d.length === 8 ? s.write('N') : d[0] === 0 ? s.write(b('R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I')) : s.write(b('D\0\0\0\x0c\0\x01\x7f\xff\xff\xffabZ\0\0\0\x05I')))),
    'MongoDB: documents of 2 GiB': await servers.tcp(mongo),
    'Redis: a bulk of 9 EB': await servers.tcp((s, d) => (String(d).includes('PING') ? s.write('+PONG\r\n') : (s.write('$9223372036854775807\r\nredis_version:'), flood(b('7'.repeat(65536)))(s)))),
    'Redis: keys beyond counting': await servers.tcp((s, d) => (String(d).includes('PING') ? s.write('+PONG\r\n') : String(d).includes('INFO') ? s.write('$20\r\nredis_version:7.0.1\r\n') : s.write(`:${'9'.repeat(400)}\r\n`))),
    'Memcached: items without an end': await servers.tcp((s, d) => (String(d).startsWith('version') ? s.write('VERSION 1.6\r\n') : (s.write('STAT pid 1\r\n'), flood(b('STAT curr_items 99999999999999999999999\r\n'.repeat(500)))(s)))),
    'Memcached: a binary body of 4 GiB': await servers.tcp((s, d) => (d[0] === 0x80 ? s.write(b('\x81\x0b\0\0\0\0\0\0\xff\xff\xff\xff' + '\0'.repeat(12) + '1.6')) : s.end())),
    'NATS: information without an end': await servers.tcp(() => {}, (s) => { s.write('INFO {"version":"'); flood(b('x'.repeat(65536)))(s); }),
    'AMQP: a name of 4 GiB': await servers.tcp((s, d) => (String(d).startsWith('AMQP') ? s.write(b('\x01\0\0\xff\xff\xff\xff\0\x0a\0\x0a\0\x09\xff\xff\xff\xff\x07versionS\xff\xff\xff\xffx')) : s.end())),
    'Cassandra: a body of 2 GiB': await servers.tcp((s) => { s.write(b('\x84\0\0\0\x06\x7f\xff\xff\xff')); flood(b('x'.repeat(65536)))(s); }),
    'Kafka: 2^31 topics': await servers.tcp((s, d) => (d[5] === 0x12 ? s.write(b('\x7f\xff\xff\xff\0\0\0\x07\0\0\x7f\xff\xff\xff')) : d[5] === 3 ? s.write(b('\x7f\xff\xff\xff\0\0\0\x07\x7f\xff\xff\xff')) : s.end())),
    'ZooKeeper: a session of 2 GiB': await servers.tcp((s, d) => (String(d) === 'srvr' ? (s.write('Zookeeper version: '), flood(b('3'.repeat(65536)))(s)) : s.write(b('\x7f\xff\xff\xff' + '\xff'.repeat(37))))),
    'MQTT: a length that goes on': await servers.tcp((s, d) => (d[0] === 0x10 ? s.write(b('\x20\xff\xff\xff\xff\xff')) : s.end())),
    'ClickHouse: a name of 2^63': await servers.tcp((s, d) => (d[0] === 0 ? (s.write(b('\0\xff\xff\xff\xff\xff\xff\xff\xff\x7fClickHouse')), flood(b('x'.repeat(65536)))(s)) : s.end())),
    'ClickHouse: an exception that nests without an end': await servers.tcp((s, d) => (d[0] === 0 ? flood(b('\x02\xc2\0\0\0\x0dDB::Exception\x01x\x01y\x01'))(s) : s.end())),
    'a byte at a time, by itself': await servers.tcp(() => {}, drip('\0', 20)),
    'answers a byte at a time': await servers.tcp(drip('+PONG\r\n', 50)),
    'half closed at once': await servers.tcp(() => {}, (s) => s.end()),
    'half closed, and then a flood': await servers.tcp((s) => flood(b('y'.repeat(65536)))(s), (s) => s.write('x')),
    'a reset at once': await servers.tcp(() => {}, (s) => s.resetAndDestroy()),
    'a reset at the first byte': await servers.tcp((s) => s.resetAndDestroy()),
  };
  bounded(await look(targets, '--json'), targets);
});

test('TLS: handshakes that never end, records that are lies, and floods under it', async () => {
  const pair = await servers.pair();
  const record = (type, len, rest = '') => Buffer.concat([Buffer.from([type, 3, 3, len >> 8, len & 255]), b(rest)]);
  const alert = b('\x15\x03\x03\0\x02\x02\x28');
  const hello = (s, d) => d[0] === 0x16; // a client's
  const after_ = (then) => (s, d) => (hello(s, d) ? then(s) : s.write(alert));
  const over = (each) => servers.tcp(() => {}, (socket) => socket.once('data', (d) => { // to clear text it says that it wants TLS
    if (d[0] !== 0x16) { socket.end(alert); return; }
    socket.pause();
    socket.unshift(d);
    const s = new tls.TLSSocket(socket, { isServer: true, key: pair.key, cert: pair.cert });
    s.on('error', () => {});
    s.once('data', () => each(s));
  }));
  const targets = {
    'a handshake that stops': await servers.tcp(after_(() => {})),
    'a handshake a byte at a time': await servers.tcp(after_(drip(record(22, 16000, '\x02\0\x3e\0').toString('latin1')))),
    'a handshake message of 16 MiB': await servers.tcp(after_((s) => flood(record(22, 4, '\x02\xff\xff\xff'))(s))),
    'empty records without an end': await servers.tcp(after_(flood(record(22, 0)))),
    'warnings without an end': await servers.tcp(after_(flood(b('\x15\x03\x03\0\x02\x01\x5a'.repeat(100))))),
    'a record of 64 KiB': await servers.tcp(after_((s) => { s.write(record(22, 65535)); flood(b('x'.repeat(65536)))(s); })),
    'clear text in place of it': await servers.tcp(after_(flood(b('HTTP/1.1 200 OK\r\n')))),
    'a body without an end under it': await over((s) => { s.write('HTTP/1.1 200 OK\r\n\r\n'); flood(b('x'.repeat(65536)))(s); }),
    'drips under it': await over(drip('HTTP/1.1 200 OK\r\nX: y\r\n')),
    'silence under it': await over(() => {}),
    'an end without a word': await over((s) => s.end()),
    'a reset under it': await over((s) => s.on('error', () => {}).destroy()),
  };
  bounded(await look(targets, '--json'), targets);
});

// What a terminal, a reader of JSON or a browser could be made to do.
const ODD = '\x1b[2J\x1b]8;;http://evil.example/\x07link\x1b]8;;\x07\x07\b\x7f\x9b31m\u009b31m\u202Egnp.exe\u2066\u200f\u2028<script>alert(1)</script>\ufeff\0end';

test('texts that command: in versions, names, errors, headers, certificates, security.txt; no report repeats them', async () => {
  const utf8 = Buffer.from(ODD), odd = utf8.toString('latin1');
  const web = (status, headers, body) => servers.tcp((s) => s.end(Buffer.concat([b(`HTTP/1.1 ${status} X\r\n${headers.map((h) => `${h}\r\n`).join('')}\r\n`), Buffer.isBuffer(body) ? body : Buffer.from(body)])));
  const json = (o) => Buffer.from(JSON.stringify(o));
  const hello = Buffer.concat([b('\0\x0aClickHouse\x15\x08\xb1\xa9\x03'), Buffer.from([utf8.length]), utf8, b('\x02vm\x01')]);
  const targets = {
    'Redis\' version': await servers.tcp((s, d) => (String(d).includes('PING') ? s.write('+PONG\r\n') : String(d).includes('INFO') ? s.write(Buffer.concat([b('$99\r\nredis_version:'), utf8, b('\r\n')])) : s.write('-ERR unknown command\r\n'))),
    'MySQL\'s version': await servers.tcp((s) => s.end(), (s) => s.write(Buffer.concat([Buffer.from([utf8.length + 20, 0, 0, 0, 10]), Buffer.from(ODD.replace('\0', '')), b('\0' + 'x'.repeat(40))]))),
    'PostgreSQL\'s database count': await servers.tcp((s, d) => (d.length === 8 ? s.write('N') : d[0] === 0 ? s.write(b('R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I')) : s.write(Buffer.concat([b('D'), Buffer.from([0, 0, 0, utf8.length + 10, 0, 1, 0, 0, 0, utf8.length]), utf8, b('Z\0\0\0\x05I')])))),
    'NATS\' version': await servers.tcp((s) => s.write('+OK\r\nPONG\r\n'), (s) => s.write(Buffer.concat([b('INFO {"version":"'), utf8, b('"}\r\n')]))),
    'Memcached\'s version': await servers.tcp((s, d) => s.write(String(d).startsWith('version') ? Buffer.concat([b('VERSION '), utf8, b('\r\n')]) : 'STAT pid 1\r\n')),
    'ZooKeeper\'s version': await servers.tcp((s, d) => (String(d) === 'srvr' ? s.write(Buffer.concat([b('Zookeeper version: '), utf8, b('\nNode count: 1\n')])) : s.end())),
    'ClickHouse\'s time zone': await servers.tcp((s, d) => (d[0] === 0 && d.includes('default') ? s.write(hello) : s.end())),
    'Ollama\'s version, escaped in JSON': await servers.web({ '/': [200, 'Ollama is running'], '/api/tags': [200, { models: [{ name: ODD }] }], '/api/version': [200, { version: ODD }] }),
    'Grafana\'s version': await servers.web({ '/api/health': [200, { database: 'ok', version: ODD }], '/api/org': [200, { name: ODD }] }),
    'InfluxDB\'s header': await web(200, ['Content-Length: 2', `X-Influxdb-Version: ${odd.replaceAll(/[\r\n\0]/g, '')}`], '{}'),
    'Docker\'s header': await web(200, ['Content-Length: 2', `Api-Version: ${odd.replaceAll(/[\r\n\0]/g, '')}`], '[]'),
    'a status line': await servers.tcp((s) => s.end(Buffer.concat([b('HTTP/1.1 404 '), utf8, b('\r\nContent-Length: 0\r\n\r\n')]))),
    'a banner': await servers.tcp(() => {}, (s) => s.write(utf8)),
    'security.txt': await servers.web({ '/.well-known/security.txt': [200, `Contact: mailto:a@b.c\nExpires: 2020-01-01T00:00:00Z${ODD}\n`], '*': [404, 'no'] }),
    'security.txt, and its date': await servers.web({ '/.well-known/security.txt': [200, `Contact: mailto:${ODD}\nExpires: 2020-01-01T00:00:00Z\n`], '*': [404, 'no'] }),
    'ClickHouse\'s answers': await servers.web({ '/ping': [200, 'Ok.\n'], '/': (req) => (req.method === 'GET' ? [200, 'Ok.\n', { 'X-ClickHouse-Summary': '{}' }] : [200, (r, q) => (q.includes('20250128') ? '20250129\n' : `${ODD}\n7\n`)]) }),
  };
  const certificate = await odd_certificate();
  targets['a certificate\'s names'] = await servers.web({ '*': [401, { error: ODD }] }, { tls: certificate });
  const plain = await look(targets), lines = await look(targets, '--json'), sarif = await look(targets, '--sarif');
  for (const [name, r] of Object.entries({ plain, lines, sarif })) {
    assert.ok([0, 1].includes(r.code), `${name}: ${r.stderr}`);
    assert.match(r.stdout, /redis/);
    // ASCII alone, and of the control characters the line's end
    assert.doesNotMatch(r.stdout + r.stderr, /[^\n -~]/, name);
  }
  const all = JSON.stringify([lines.lines, JSON.parse(sarif.stdout)]);
  assert.doesNotMatch(all, /\\u00|\\u20|\\x1b|\\n|\\b/);
  // what they are is said all the same
  assert.deepEqual(['Redis\' version', 'Ollama\'s version, escaped in JSON', 'ClickHouse\'s time zone', 'a certificate\'s names'].map((n) => lines.hosts[n].verdict),
    ['open', 'open', 'open', 'auth-required']);
  assert.match(lines.hosts['Redis\' version'].version, /\[2J/);
});

async function odd_certificate() {
  const { spawnSync } = await import('node:child_process');
  const keyFile = path.join(dir, 'odd.key'), certFile = path.join(dir, 'odd.pem');
  const r = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-utf8',
    '-subj', `/CN=\x1b[2J\u202Eevil/O=\x1b]0;x\x07`, '-keyout', keyFile, '-out', certFile], { encoding: 'utf8' });
  assert.equal(r.status, 0, r.stderr);
  return { key: await readFile(keyFile), cert: await readFile(certFile) };
}

test('a redirect to another host is not followed, whatever asks for it', async () => {
  let reached = 0;
  const other = net.createServer((s) => { reached++; s.destroy(); });
  await new Promise((done) => other.listen(0, '127.0.0.1', done));
  after(() => other.close());
  const to = `http://127.0.0.1:${other.address().port}/`;
  const targets = {};
  for (const status of [301, 302, 303, 307, 308])
    targets[status] = await servers.web({ '*': [status, '', { Location: to, Refresh: `0; url=${to}`, 'Alt-Svc': `h2=":${other.address().port}"` }] });
  const r = await look(targets, '--json');
  assert.equal(reached, 0);
  assert.ok(Object.values(r.hosts).every((h) => h.verdict === 'unknown'), JSON.stringify(Object.values(r.hosts).map((h) => h.reason)));
});
