// safehouse audit against real servers and stand-ins: the verdicts and grades, the traps, the scope, the
// reports. Variants of each service are in auditvariants.test.mjs, hostile servers in audithostile.test.mjs, servers
// that are large to install (ClickHouse, PostgreSQL, MariaDB, ZooKeeper, ...) in test/audit, for `make test-audit`.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import http from 'node:http';
import { readFile, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { BIN, FAST, audits } from './lib/audits.mjs';
import { Servers, freePort } from './lib/servers.mjs';

const servers = new Servers();
const { dir, scopeOf, run, audit, table } = audits();
after(() => servers.stop());

async function redis(...args) {
  return servers.real((port, d) => ['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', d, ...args]);
}
const cli = (command, ...args) => {
  const r = spawnSync(command, args, { encoding: 'utf8' });
  assert.equal(r.status, 0, `${command}: ${r.stderr}`);
  return r.stdout;
};

test('Redis: open, with keys, with a password, limited', async () => {
  const limited = path.join(dir, 'acl');
  await writeFile(limited, 'user default on nopass +ping +get ~public:*\nuser admin on >x +@all ~*\n');
  const open = await redis();
  const full = await redis();
  cli('redis-cli', '-p', String(full), 'set', 'chat', 'hello');
  await table([
    ['open', open, 'open', 'F', 'redis'],
    ['with a key', full, 'open', 'F', 'redis'],
    ['password', await redis('--requirepass', 'secret'), 'auth-required', 'B', 'redis'],
    ['limited', await redis('--aclfile', limited), 'open-limited', 'C', 'redis'],
  ]);
});

test('Memcached, NATS, MQTT, etcd: open and locked', async () => {
  const mosquitto = async (text) => {
    const port = await freePort(), file = path.join(dir, `mosquitto${port}`);
    await writeFile(file, `listener ${port} 127.0.0.1\n${text}\n`);
    return servers.real(() => ['mosquitto', '-c', file], { port });
  };
  const etcd = async () => {
    const peer = await freePort();
    return servers.real((port, d) => ['etcd', '--data-dir', d, '--listen-client-urls', `http://127.0.0.1:${port}`,
      '--advertise-client-urls', `http://127.0.0.1:${port}`, '--listen-peer-urls', `http://127.0.0.1:${peer}`,
      '--initial-advertise-peer-urls', `http://127.0.0.1:${peer}`, '--initial-cluster', `default=http://127.0.0.1:${peer}`]);
  };
  const post = async (port, where, body) => {
    for (const end = Date.now() + 10000; ;) {
      const r = await fetch(`http://127.0.0.1:${port}${where}`, { method: 'POST', body: JSON.stringify(body) });
      if (r.ok) return;
      if (Date.now() > end) assert.fail(await r.text());
    }
  };
  const locked = await etcd();
  await post(locked, '/v3/auth/user/add', { name: 'root', password: 'x' });
  await post(locked, '/v3/auth/user/grant', { user: 'root', role: 'root' });
  await post(locked, '/v3/auth/enable', {});
  await table([
    ['memcached', await servers.real((p) => ['memcached', '-u', 'nobody', '-l', '127.0.0.1', '-p', String(p)]), 'open', 'D', 'memcached'],
    ['nats', await servers.real((p) => ['nats-server', '-a', '127.0.0.1', '-p', String(p)]), 'open', 'D', 'nats'],
    ['nats, password', await servers.real((p) => ['nats-server', '-a', '127.0.0.1', '-p', String(p), '--user', 'a', '--pass', 'b']), 'auth-required', 'B', 'nats'],
    ['mqtt', await mosquitto('allow_anonymous true'), 'open', 'D', 'mqtt'],
    ['mqtt, password', await mosquitto('allow_anonymous false'), 'auth-required', 'B', 'mqtt'],
    ['etcd', await etcd(), 'open', 'E', 'etcd'],
    ['etcd, roles on', locked, 'auth-required', 'B', 'etcd'],
  ]);
});

// Stand-ins: [service, open, locked], each as routes of a web server.
const json401 = [401, { error: 'unauthorized' }];
const WEB = [
  ['elasticsearch', { '/': [200, { tagline: 'You Know, for Search', version: { number: '8.1.0' } }], '/_cat/indices': [200, [{ index: 'chats', 'docs.count': '9' }]] }, 'E',
    { '/': [401, { error: 'security' }, { 'WWW-Authenticate': 'Basic realm="security"', 'X-elastic-product': 'Elasticsearch' }], '*': json401 }],
  ['couchdb', { '/': [200, { couchdb: 'Welcome', version: '3.3' }], '/_all_dbs': [200, ['a']], '/_session': [200, { ok: true, userCtx: { name: null, roles: ['_admin'] } }] }, 'F',
    { '/': [200, { couchdb: 'Welcome' }], '*': json401 }],
  ['docker', { '/_ping': [200, 'OK', { 'Api-Version': '1.43' }], '/version': [200, { ApiVersion: '1.43' }], '/containers/json': [200, []] }, 'F', null],
  ['ollama', { '/': [200, 'Ollama is running'], '/api/tags': [200, { models: [] }], '/api/version': [200, { version: '0.5' }] }, 'D',
    { '/': [200, 'Ollama is running'], '*': json401 }],
  ['openai-compatible', { '/v1/models': [200, { object: 'list', data: [{ id: 'm' }] }] }, 'D',
    { '/v1/models': [401, { error: { message: 'No api key passed in' } }] }],
  ['qdrant', { '/': [200, { title: 'qdrant - vector search engine', version: '1.9' }], '/collections': [200, { result: { collections: [{ name: 'c' }] } }] }, 'E',
    { '/': [200, { title: 'qdrant - vector search engine' }], '*': [403, 'Must provide an API key'] }],
  ['weaviate', { '/v1/meta': [200, { version: '1.2', modules: {} }], '/v1/schema': [200, { classes: [{ class: 'Chat' }] }] }, 'E',
    { '/v1/meta': [401, { error: [{ message: 'anonymous access not enabled' }] }], '*': json401 }],
  ['chroma', { '/api/v1/heartbeat': [410, 'The v1 API is deprecated. Please use /v2 apis'], '/api/v2/heartbeat': [200, { 'nanosecond heartbeat': 1 }],
    '/api/v2/tenants/default_tenant/databases/default_database/collections': [200, [{ id: 'x' }]] }, 'E',
    { '/api/v2/heartbeat': [200, { 'nanosecond heartbeat': 1 }], '*': json401 }],
  ['milvus', { '/v2/vectordb/collections/list': [200, { code: 0, data: ['c'] }] }, 'D',
    { '/v2/vectordb/collections/list': [200, '{"code":1800,"message":"auth check failure"}'] }],
  ['ray', { '/api/version': [200, { ray_version: '2.9' }], '/api/jobs/': [200, []] }, 'F', { '/api/version': [200, { ray_version: '2.9' }], '*': json401 }],
  ['mlflow', { '/ajax-api/2.0/mlflow/experiments/search': [200, { experiments: [{ name: 'Default' }] }] }, 'D',
    { '/ajax-api/2.0/mlflow/experiments/search': [401, 'You are not authenticated'] }],
  ['langfuse', { '/api/public/health': [200, { status: 'OK', version: '3.1' }], '/api/public/traces': [200, { data: [{ input: 'hi' }] }] }, 'E',
    { '/api/public/health': [200, { status: 'OK', version: '3.1' }], '*': json401 }],
  ['open-webui', { '/api/config': [200, { version: '0.4', features: { auth: false, enable_signup: true } }] }, 'E',
    { '/api/config': [200, { version: '0.4', features: { auth: true, enable_signup: false } }] }],
  ['minio', { '/': [200, '<ListAllMyBucketsResult></ListAllMyBucketsResult>', { Server: 'MinIO' }] }, 'D',
    { '/': [403, '<Error><Code>AccessDenied</Code></Error>', { Server: 'MinIO' }] }],
  ['grafana', { '/api/health': [200, { database: 'ok', version: '10' }], '/api/org': [200, { id: 1, name: 'Main Org.' }] }, 'D',
    { '/api/health': [200, { database: 'ok', version: '10' }], '*': json401 }],
  ['phoenix', { '/arize_phoenix_version': [200, '8.1.0'], '/v1/projects': [200, { data: [] }] }, 'D', { '/arize_phoenix_version': [200, '8.1.0'], '*': json401 }],
  ['litellm', { '/health/liveliness': [200, '"I\'m alive!"'], '/v1/models': [200, { data: [] }] }, 'D', { '/health/liveliness': [200, '"I\'m alive!"'], '*': json401 }],
];

test('web services in their open and their locked dialect', async () => {
  const rows = [];
  for (const [service, open, grade, locked] of WEB) {
    rows.push([`${service} open`, await servers.web(open), 'open', grade, service]);
    if (locked) rows.push([`${service} locked`, await servers.web(locked), 'auth-required', 'B', service]);
  }
  await table(rows);
});

const bytes = (hex) => Buffer.from(hex.replaceAll(' ', ''), 'hex');
// A reply of MongoDB to a request: OP_MSG that answers its request id.
function mongo(doc) {
  return (socket, request) => {
    const body = doc(request);
    const head = Buffer.alloc(21);
    head.writeInt32LE(21 + body.length, 0);
    head.writeInt32LE(77, 4);
    head.writeInt32LE(request.readInt32LE(4), 8);
    head.writeInt32LE(2013, 12);
    if (request.length > 20 && request.readInt32LE(12) === 2013) socket.write(Buffer.concat([head, body]));
    else socket.end();
  };
}
const bson = (...fields) => {
  const b = Buffer.concat([Buffer.alloc(4), ...fields, Buffer.from([0])]);
  b.writeInt32LE(b.length, 0);
  return b;
};
const OK = Buffer.from('\x10ok\0\x01\0\0\0', 'latin1');
const array = (name, doc) => Buffer.concat([Buffer.from(`\x04${name}\0`, 'latin1'), doc]);

test('wire protocols in their open and their locked dialect', async () => {
  const asked = (request, name) => request.includes(`${name}\0`);
  const open = mongo((q) => asked(q, 'getLog') ? bson(Buffer.from('\x10totalLinesWritten\0\x01\0\0\0', 'latin1'), OK)
    : asked(q, 'listDatabases') ? bson(array('databases', bson(Buffer.from('\x03' + '0\0', 'latin1'), bson())), OK) : bson(OK));
  // mongod --auth answers ok: 1 with an empty list to a stranger
  const locked = mongo((q) => asked(q, 'getLog') ? bson(Buffer.from('\x10code\0\x0d\0\0\0', 'latin1'))
    : asked(q, 'listDatabases') ? bson(array('databases', bson()), OK) : bson(OK));
  const native = (reply) => (s, d) => (d[0] === 0 && d.includes('default') ? s.write(reply) : s.end());
  const hello = Buffer.concat([Buffer.from('\x00\x0aClickHouse\x14\x08\xb1\xa9\x03\x0dAsia/Shanghai\x02vm\x01', 'latin1')]);
  await table([
    ['mongodb', await servers.tcp(open), 'open', 'F', 'mongodb'],
    ['mongodb with --auth: ok with an empty list', await servers.tcp(locked), 'auth-required', 'B', 'mongodb'],
    ['cassandra', await servers.tcp((s, d) => s.write(d[4] === 5 ? bytes('84000000 06 00000000') : d[4] === 1 ? bytes('84000000 02 00000000') : '')), 'open', 'E', 'cassandra'],
    ['cassandra, password', await servers.tcp((s, d) => s.write(d[4] === 5 ? bytes('84000000 06 00000000') : d[4] === 1 ? bytes('84000000 03 00000000') : '')), 'auth-required', 'B', 'cassandra'],
    ['kafka', await servers.tcp((s, d) => (d.length > 6 && d[5] === 0x12 ? s.write(bytes('0000000a 00000007 0000 00000000')) : d[5] === 3 && d[0] === 0 ? s.write(bytes('00000010 00000007 00000000 00000000 00000000')) : s.end())), 'open', 'D', 'kafka'],
    ['kafka, SASL', await servers.tcp((s, d) => (d.length > 6 && d[5] === 0x12 ? s.write(bytes('0000000a 00000007 0000 00000000')) : s.end())), 'auth-required', 'B', 'kafka'],
    ['clickhouse-native in another time zone', await servers.tcp(native(hello)), 'open', 'D', 'clickhouse-native'],
    ['clickhouse-native, password', await servers.tcp(native(Buffer.concat([bytes('02 c2000000'), Buffer.from('\x0dDB::Exception')]))), 'auth-required', 'B', 'clickhouse-native'],
  ]);
});

test('traps: liveness pages, pages for everything, echo servers', async () => {
  const SPA = [200, '<!doctype html><title>app</title>', { 'Content-Type': 'text/html' }];
  const clickhouse = { '/': [200, 'Ok.\n', { 'X-ClickHouse-Summary': '{}' }], '/ping': [200, 'Ok.\n'],
    '*': [401, 'Code: 194, e.displayText() = DB::Exception: Password required', { 'WWW-Authenticate': 'Basic realm="ClickHouse server HTTP API"' }] };
  const { hosts } = await audit([
    await servers.web({ '*': SPA }),
    await servers.tcp((s, d) => s.write(d)),
    await servers.web(clickhouse),
  ].sort((a, b) => a - b));
  assert.equal(hosts.filter((h) => h.verdict === 'open' || h.verdict === 'open-limited').length, 0, JSON.stringify(hosts, null, 1));
  assert.equal(hosts.find((h) => h.service === 'clickhouse').verdict, 'auth-required');
});

// A ClickHouse of today: answers by the statement, as one with these grants and that profile would.
async function modern(readonly, grants) {
  const s = http.createServer((req, res) => {
    let q = '';
    req.on('data', (d) => { q += d; });
    req.on('end', () => {
      const answers = [[/^SELECT 20250128/, '20250129\n'], [/^SHOW GRANTS/, grants], [/name = 'readonly'/, `${readonly}\n`], [/version\(\)/, '26.8.1.1\n']];
      const found = answers.find(([re]) => re.test(q));
      res.writeHead(req.method === 'GET' || found ? 200 : 404, { 'X-ClickHouse-Summary': '{}' });
      res.end(req.method === 'GET' ? 'Ok.\n' : found ? found[1] : 'Code: 60. DB::Exception: no such table');
    });
  });
  await new Promise((done) => s.listen(0, '127.0.0.1', done));
  after(() => { s.closeAllConnections(); s.close(); });
  return s.address().port;
}

test('ClickHouse: what a stranger may do is judged from grants and profile together', async () => {
  const ALL = 'GRANT ALL ON *.* TO default WITH GRANT OPTION\n', READS = 'GRANT SHOW, SELECT(a, INSERT) ON x.* TO default\nGRANT CREATE TEMPORARY TABLE ON *.* TO default\n';
  await table([
    ['all, may write', await modern(0, ALL), 'open', 'F', 'clickhouse'],
    ['all, but readonly = 1', await modern(1, ALL), 'open', 'D', 'clickhouse'],
    ['all, readonly = 2: table functions', await modern(2, ALL), 'open', 'F', 'clickhouse'],
    ['reading is granted, and nothing else', await modern(0, READS), 'open', 'D', 'clickhouse'],
    ['a source is granted', await modern(2, `${READS}GRANT READ ON URL TO default\n`), 'open', 'F', 'clickhouse'],
    ['a role, of which nothing is known', await modern(0, 'GRANT some TO default\n'), 'open', 'F', 'clickhouse'],
  ]);
});

test('security.txt of web hosts: there, expired, none; dates end no worker', async () => {
  const txt = (text, type = 'text/plain') => ({ '/.well-known/security.txt': [200, text, { 'Content-Type': type }], '*': [404, 'no'] });
  const ports = [
    await servers.web(txt('Contact: mailto:a@b.c\nExpires: 2099-01-01T00:00:00Z\n')),
    await servers.web(txt('Contact: mailto:a@b.c\nExpires: 2020-01-01T00:00:00Z\n')),
    await servers.web(txt('Contact: a@b.c\nExpires: 2099-01-01T00:00:00Z\n')),
    await servers.web(txt('<p>Contact: mailto:a@b.c', 'text/html')),
  ];
  const { hosts, findings } = await audit(ports);
  assert.ok(hosts.every((h) => h.reason.startsWith('a web server')), JSON.stringify(hosts.map((h) => h.reason)));
  assert.deepEqual(ports.map((p) => findings.find((f) => f.port === p && f.rule === 'check/security-txt')?.severity), [undefined, 'medium', 'low', 'info']);
});

test('the scope: mandatory, deny by default, on whose word', async () => {
  const cases = [
    ['', /nothing in it to probe/],
    ['127.0.0.1 99999\n', /line 1: .*no port/],
    ['127.0.0.1 1-70000\n', /no range/],
    ['10.0.0.0/8 22 # a, b, 2099-01-01\n', /wider than/],
    ['192.0.2.1 22\n', /owner, ticket and last day/],
    ['192.0.2.1 22 # ops, T-1, 2020-01-31\n', /its last day was 2020-01-31/],
    ['192.0.2.1 22 # ops, T-1, tomorrow\n', /is no day/],
    ['127.0.0.1 22\n256.0.0.1 22\n', /line 2: .*no address/],
    ['no-such-name.invalid 22 # ops, T-1, 2099-01-01\n', /has no address/],
  ];
  assert.equal((await run()).code, 2);
  for (const [text, why] of cases) {
    const r = await run('--scope', await scopeOf(text), '--authorised', 'ops, T-1');
    assert.equal(r.code, 2, text);
    assert.match(r.stderr, why);
  }
  const outside = await run('--scope', await scopeOf('192.0.2.1 22 # ops, T-1, 2099-01-01\n'));
  assert.equal(outside.code, 2);
  assert.match(outside.stderr, /--authorised/);
  // an exclusion wins, wherever it stands
  const open = await redis();
  const r = await run('--scope', await scopeOf(`127.0.0.1 ${open}\n127.0.0.2 ${open}\n!127.0.0.1\n`), '--json', ...FAST);
  assert.deepEqual(r.stdout.split('\n').filter((l) => l.includes('"host"')).map((l) => JSON.parse(l).address), ['127.0.0.2']);
});

test('every connection is to the scope: system calls, and the log', async () => {
  const open = await redis(), log = path.join(dir, 'connections');
  const scope = await scopeOf(`127.0.0.1 ${open}\n`);
  const trace = path.join(dir, 'trace');
  const child = spawn('strace', ['-f', '-e', 'trace=connect,sendto', '-o', trace, path.join(BIN, 'safehouse'), 'audit', '--scope', scope, '--log', log, ...FAST]);
  await new Promise((done) => child.on('exit', done));
  const connects = (await readFile(trace, 'utf8')).split('\n').filter((l) => l.includes('connect('));
  assert.ok(connects.length > 2);
  for (const l of connects) assert.match(l, new RegExp(`sin_port=htons\\(${open}\\), sin_addr=inet_addr\\("127\\.0\\.0\\.1"\\)`));
  const noted = (await readFile(log, 'utf8')).trim().split('\n').map((l) => JSON.parse(l));
  assert.equal(noted.length, connects.length);
  assert.ok(noted.every((n) => n.port === open && n.address === '127.0.0.1'));
});

test('reports: fingerprints stay, baseline, accepted, SARIF, files of mode 0600, exit codes', async () => {
  const open = await redis(), locked = await redis('--requirepass', 'x');
  const one = await audit([open, locked]), two = await audit([open, locked]);
  assert.equal(one.code, 1);
  assert.deepEqual(one.findings.map((f) => f.fingerprint), two.findings.map((f) => f.fingerprint));
  assert.equal((await audit([locked])).code, 0);
  assert.equal((await audit([locked])).lines.at(-1).verdicts['auth-required'], 1);

  const baseline = path.join(dir, 'earlier');
  await writeFile(baseline, one.stdout);
  const same = await audit([open, locked], '--baseline', baseline);
  assert.ok(same.findings.every((f) => f.state === 'unchanged'));
  const gone = await audit([locked], '--baseline', baseline);
  assert.equal(gone.lines.filter((l) => l.type === 'fixed').length, one.findings.length);

  const accepted = path.join(dir, 'accepted');
  const [worst] = one.findings;
  await writeFile(accepted, `# accepted\n${worst.fingerprint} 2099-01-01 test machine\n`);
  assert.equal((await audit([open, locked], '--accepted', accepted)).code, 0);
  await writeFile(accepted, `${worst.fingerprint} 2020-01-01 expired\n`);
  assert.equal((await audit([open, locked], '--accepted', accepted)).code, 1);
  await writeFile(accepted, 'nonsense\n');
  assert.equal((await audit([open, locked], '--accepted', accepted)).code, 2);

  const out = path.join(dir, 'report.sarif');
  const r = await run('--scope', one.scope, '--sarif', '--output', out, ...FAST);
  assert.equal(r.code, 1);
  assert.equal((await stat(out)).mode & 0o777, 0o600);
  const sarif = JSON.parse(await readFile(out, 'utf8'));
  assert.equal(sarif.version, '2.1.0');
  const [{ results, tool }] = sarif.runs;
  assert.equal(results.length, one.findings.length);
  for (const x of results) {
    assert.ok(tool.driver.rules.some((rule) => rule.id === x.ruleId));
    assert.equal(x.locations[0].physicalLocation.region.startLine, 1);
  }
  assert.match((await run('--scope', one.scope, '--explain', worst.fingerprint.slice(0, 8), ...FAST)).stdout, /"cvss": 9.8/);
  assert.equal((await audit([await freePort()])).hosts[0].verdict, 'closed');
});

test('runs that follow one another: kept, compared, and an alarm for what is new', async () => {
  const alarms = [];
  const hook = http.createServer((req, res) => {
    let body = '';
    req.on('data', (d) => { body += d; });
    req.on('end', () => { alarms.push(JSON.parse(body)); res.end(); });
  });
  await new Promise((done) => hook.listen(0, '127.0.0.1', done));
  after(() => { hook.closeAllConnections(); hook.close(); });
  const folder = path.join(dir, 'kept'), url = path.join(dir, 'hook');
  await writeFile(url, `http://127.0.0.1:${hook.address().port}/alarm?token=x\n`);
  const open = await redis(), later = await freePort();
  const scope = await scopeOf(`127.0.0.1 ${open} ${later}\n`);
  const once = () => run('--scope', scope, '--keep', folder, '--webhook', url, '--json', ...FAST);
  const first = await once();
  assert.match(first.stderr, /audit: new, critical/);
  assert.equal(alarms.length, 1);
  const second = await once();
  assert.doesNotMatch(second.stderr, /audit: new/);
  assert.equal(alarms.length, 1);
  await servers.real((port) => ['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--save', ''], { port: later });
  await once();
  assert.equal(alarms.length, 2);
  assert.ok(alarms[1].findings.every((f) => f.port === later));
  assert.match(await readFile(path.join(folder, 'audit.prom'), 'utf8'), /findings\{severity="critical",state="new"\} 1\n/);
  assert.equal((await stat(path.join(folder, 'latest.jsonl'))).mode & 0o777, 0o600);
  assert.equal((await run('--scope', scope, '--watch', '5')).code, 2);
});

test('--watch: run after run by itself; what opens in between raises an alarm, and what closes is said to be fixed', async () => {
  const alarms = [];
  let heard;
  const hook = http.createServer((req, res) => {
    let body = '';
    req.on('data', (d) => { body += d; });
    req.on('end', () => { alarms.push(JSON.parse(body)); res.end(); heard?.(); });
  });
  await new Promise((done) => hook.listen(0, '127.0.0.1', done));
  const folder = path.join(dir, 'watched'), url = path.join(dir, 'watch-hook');
  await writeFile(url, `http://127.0.0.1:${hook.address().port}/\n`);
  const port = await freePort(), scope = await scopeOf(`127.0.0.1 ${port}\n`);
  const child = spawn(path.join(BIN, 'safehouse'), ['audit', '--scope', scope, '--keep', folder, '--webhook', url, '--watch', '1', '--json', ...FAST]);
  after(() => { child.kill(); hook.closeAllConnections(); hook.close(); });
  const runs = [];
  let rest = '', ended;
  child.stdout.on('data', (d) => {
    rest += d;
    for (let end; (end = rest.indexOf('\n')) >= 0; rest = rest.slice(end + 1)) {
      const o = JSON.parse(rest.slice(0, end));
      if (o.type === 'summary') { runs.push(o); ended?.(); }
    }
  });
  const until = async (question) => { while (!question()) await new Promise((done) => { ended = heard = done; }); };
  await until(() => runs.length >= 1);
  assert.equal(runs[0].verdicts.closed, 1);
  assert.equal(alarms.length, 0);
  await servers.real((p) => ['redis-server', '--port', String(p), '--bind', '127.0.0.1', '--save', ''], { port });
  await until(() => alarms.length >= 1);
  assert.ok(alarms[0].findings.every((f) => f.port === port && f.state === 'new'));
  const open = runs.length;
  await until(() => runs.length >= open + 2); // and again: it is as before, so there is no other alarm
  assert.equal(alarms.length, 1);
  cli('redis-cli', '-p', String(port), 'shutdown', 'nosave');
  await until(() => runs.at(-1).verdicts.closed === 1);
  assert.ok(runs.at(-1).fixed >= 1);
  child.kill();
  // each run is kept whole, as JSON Lines
  const kept = (await readdir(folder)).filter((f) => /^\d{8}T\d{6}Z-[0-9a-f]{8}\.jsonl$/.test(f));
  assert.ok(kept.length >= runs.length, `${kept}`);
  for (const f of kept) {
    const lines = (await readFile(path.join(folder, f), 'utf8')).trim().split('\n').map((l) => JSON.parse(l));
    assert.deepEqual([lines[0].type, lines.at(-1).type], ['run', 'summary']);
  }
  assert.match(await readFile(path.join(folder, 'audit.prom'), 'utf8'), /findings\{severity="critical",state="new"\} 0\n/);
});
