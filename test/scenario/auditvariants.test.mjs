// The audit of services as they are found: old and new versions, behind proxies that ask first, below a path,
// under TLS, on IPv6, all on ports that are not theirs; and servers that answer everything to everybody.
import assert from 'node:assert/strict';
import tls from 'node:tls';
import { after, test } from 'node:test';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { audits } from './lib/audits.mjs';
import { Servers, freePort } from './lib/servers.mjs';

const servers = new Servers();
const a = audits();
after(() => servers.stop());

const LOGIN = '<!doctype html><form action="/login"><input name="user"><input type="password" name="password"></form>';
const SPA = '<!doctype html><title>app</title><div id="root"></div>';
const HTML = { 'Content-Type': 'text/html' };

// What a web server may answer to everything: [status, body, headers], verdict and grade.
const EVERYTHING = {
  '401 in JSON': [[401, { error: 'unauthorized' }], 'auth-required', 'B'],
  '401 in JSON with a detail': [[401, { detail: 'Not authenticated' }], 'auth-required', 'B'],
  '403': [[403, '<h1>Forbidden</h1>', HTML], 'auth-required', 'B'],
  '302 to a sign-in': [[302, '', { Location: '/login?next=%2F' }], 'auth-required', 'B'],
  '302 to a sign-in elsewhere': [[302, '', { Location: 'https://sso.example.org/oauth2/authorize' }], 'auth-required', 'B'],
  'a page with a sign-in': [[200, LOGIN, HTML], 'auth-required', 'B'],
  'a page with an app': [[200, SPA, HTML], 'unknown', 'C'],
  '"OK"': [[200, 'OK'], 'unknown', 'C'],
  'a JSON that says yes': [[200, { code: 0, status: 'success', version: '1', object: 'list', data: [], models: [], experiments: [] }], 'unknown', 'C'],
  'an empty list': [[200, []], 'unknown', 'C'],
  '404': [[404, { error: 'not found' }], 'unknown', 'C'],
  '500': [[500, 'no'], 'unknown', 'C'],
  'the request': [[200, (req, came) => `${req.method} ${req.url} ${JSON.stringify(req.headers)} ${came}`], 'unknown', 'C'],
  'the request in JSON': [[200, (req, came) => ({ method: req.method, path: req.url, version: req.httpVersion, headers: req.headers, data: [came], code: 0 })], 'unknown', 'C'],
};

test('a web server that answers the same to everything is no service, and proves nothing', async () => {
  const rows = [];
  for (const [name, [answer, verdict, grade]] of Object.entries(EVERYTHING))
    rows.push([name, await servers.web({ '*': answer }), verdict, grade, '']);
  await a.table(rows);
});

// What tells a service, without its proof.
const MARKS = {
  elasticsearch: { '/': [200, { tagline: 'You Know, for Search' }] },
  couchdb: { '/': [200, { couchdb: 'Welcome' }] },
  influxdb: { '/ping': [204, '', { 'X-Influxdb-Version': '1.8' }] },
  etcd: { '/version': [200, { etcdserver: '3.5.9' }] },
  qdrant: { '/': [200, { title: 'qdrant - vector search engine', version: '1.9' }] },
  weaviate: { '/v1': [200, { links: [{ href: '/v1/schema' }] }] },
  chroma: { '/api/v2/heartbeat': [200, { 'nanosecond heartbeat': 1 }] },
  minio: { '/': [400, 'x', { Server: 'MinIO' }], '/minio': [200, ''] },
  docker: { '/_ping': [200, 'OK', { 'Api-Version': '1.43' }] },
  'docker-registry': { '/v2/': [200, {}, { 'Docker-Distribution-Api-Version': 'registry/2.0' }] },
  ollama: { '/': [200, 'Ollama is running'] },
  litellm: { '/health/liveliness': [200, '"I\'m alive!"'] },
  'llama.cpp': { '/health': [200, { status: 'ok' }, { Server: 'llama.cpp' }] },
  jupyter: { '/api': [200, { version: '2.7.0' }] },
  ray: { '/api/version': [200, { version: '4', ray_version: '2.9.0' }] },
  langfuse: { '/api/public/health': [200, { status: 'OK', version: '3.1.0' }] },
  phoenix: { '/arize_phoenix_version': [200, '8.1.0'] },
  grafana: { '/api/health': [200, { database: 'ok', version: '11.0' }] },
  prometheus: { '/-/healthy': [200, 'Prometheus Server is Healthy.\n'] },
  'rabbitmq-management': { '/': [200, '<title>RabbitMQ Management</title>', HTML] },
};
const PROOFS = ['401 in JSON', '403', '302 to a sign-in', 'a page with a sign-in', '"OK"', '404'];

test('a service whose proof is refused in each way, or answered with something else', async () => {
  const rows = [];
  for (const [service, marks] of Object.entries(MARKS)) {
    if (service === 'minio') continue; // its mark is a header of every answer, its proof what GET / gives
    for (const name of PROOFS) {
      const [answer, verdict, grade] = EVERYTHING[name];
      const routes = { ...(marks['/'] ? {} : { '/': [200, SPA, HTML] }), ...marks, '*': answer };
      rows.push([`${service}: ${name}`, await servers.web(routes), verdict === 'unknown' ? 'unknown' : verdict, verdict === 'unknown' ? 'C' : grade, service]);
    }
  }
  await a.table(rows);
});

const no = [401, { error: 'unauthorized' }];
const LIST = { code: 0, data: ['c'] };
// [name, routes, verdict, grade, service]
const VERSIONS = [
  ['Elasticsearch 6 and 7, locked', { '*': [401, { error: { type: 'security_exception' } }, { 'WWW-Authenticate': 'Basic realm="security" charset="UTF-8"' }] }, 'auth-required', 'B', 'elasticsearch'],
  ['Elasticsearch, strangers see its version alone', { '/': [200, { tagline: 'You Know, for Search', version: { number: '8.11.0' } }], '*': [403, { error: 'security_exception' }] }, 'open-limited', 'C', 'elasticsearch'],
  ['Elasticsearch 1', { '/': [200, { status: 200, version: { number: '1.7.5' }, tagline: 'You Know, for Search' }], '/_cat/indices': [200, [{ index: 'x' }]] }, 'open', 'E', 'elasticsearch'],
  ['OpenSearch', { '/': [200, { version: { distribution: 'opensearch', number: '2.11.0' }, tagline: 'The OpenSearch Project: https://opensearch.org/' }], '/_cat/indices': [200, []] }, 'open', 'D', 'elasticsearch'],
  ['OpenSearch, locked', { '*': [401, 'Unauthorized', { 'WWW-Authenticate': 'Basic realm="OpenSearch Security"' }] }, 'auth-required', 'B', 'elasticsearch'],
  ['Open Distro, locked', { '*': [401, 'Unauthorized', { 'WWW-Authenticate': 'Basic realm="Open Distro Security"' }] }, 'auth-required', 'B', 'elasticsearch'],
  ['CouchDB that lets nobody see anything', { '*': [401, { error: 'unauthorized', reason: 'Authentication required.' }, { Server: 'CouchDB/3.3.3 (Erlang OTP/25)' }] }, 'auth-required', 'B', 'couchdb'],
  ['CouchDB 3', { '/': [200, { couchdb: 'Welcome', version: '3.3.3' }], '*': no }, 'auth-required', 'B', 'couchdb'],
  ['InfluxDB 2', { '/ping': [204, '', { 'X-Influxdb-Version': 'v2.7.4' }], '/': [200, SPA, HTML], '*': [401, { code: 'unauthorized' }] }, 'auth-required', 'B', 'influxdb'],
  ['etcd 3.3', { '/version': [200, { etcdserver: '3.3.27' }], '/v3beta/kv/range': [200, { header: { cluster_id: '1' } }] }, 'open', 'E', 'etcd'],
  ['etcd 3.2', { '/version': [200, { etcdserver: '3.2.32' }], '/v3alpha/kv/range': [200, { header: { cluster_id: '1' } }] }, 'open', 'E', 'etcd'],
  ['etcd 2', { '/version': [200, { etcdserver: '2.3.8' }], '/v2/keys/': [200, { action: 'get', node: { dir: true } }] }, 'open', 'E', 'etcd'],
  ['Chroma 0.4', { '/api/v1/heartbeat': [200, { 'nanosecond heartbeat': 1 }], '/api/v1/collections': [200, [{ name: 'x' }]] }, 'open', 'E', 'chroma'],
  ['Chroma 0.5, locked', { '/api/v1/heartbeat': [200, { 'nanosecond heartbeat': 1 }], '*': [403, { error: 'Forbidden' }] }, 'auth-required', 'B', 'chroma'],
  ['Chroma 1, empty', { '/api/v1/heartbeat': [410, { error: 'The v1 API is deprecated. Please use /v2 apis' }], '/api/v2/heartbeat': [200, { 'nanosecond heartbeat': 1 }], '/api/v2/tenants/default_tenant/databases/default_database/collections': [200, []] }, 'open', 'D', 'chroma'],
  ['Milvus 2.2', { '/v1/vector/collections': [200, LIST] }, 'open', 'D', 'milvus'],
  ['Milvus 2.4, locked', { '/v2/vectordb/collections/list': [401, { code: 1800, message: 'user hasn\'t authenticated' }] }, 'auth-required', 'B', 'milvus'],
  ['Weaviate, empty', { '/v1/meta': [200, { version: '1.25', modules: {} }], '/v1/schema': [200, { classes: [] }] }, 'open', 'D', 'weaviate'],
  ['Weaviate, meta alone', { '/v1/meta': [200, { version: '1.25', modules: {} }], '*': [401, { code: 401, message: 'anonymous access not enabled' }] }, 'open-limited', 'C', 'weaviate'],
  ['Qdrant with a key', { '/': [200, { title: 'qdrant - vector search engine', version: '1.13' }], '*': [401, 'Must provide an API key or an Authorization bearer token'] }, 'auth-required', 'B', 'qdrant'],
  ['MinIO\'s console', { '/': [200, SPA, { ...HTML, Server: 'MinIO Console' }], '/api/v1/session': [403, { message: 'invalid session' }, { Server: 'MinIO Console' }] }, 'auth-required', 'B', 'minio'],
  ['a bucket that anyone lists', { '/': [200, '<ListBucketResult><Name>logs</Name></ListBucketResult>', { Server: 'MinIO' }] }, 'open', 'E', 'minio'],
  ['Ollama, empty', { '/': [200, 'Ollama is running'], '/api/tags': [200, { models: [] }], '/api/version': [200, { version: '0.5.1' }] }, 'open', 'D', 'ollama'],
  ['vLLM', { '/v1/models': [200, { object: 'list', data: [{ id: 'm' }] }], '/version': [200, { version: '0.6' }], '/metrics': [200, '# TYPE vllm:x gauge\n'] }, 'open', 'D', 'openai-compatible'],
  ['vLLM with a key, whose metrics stay open', { '/v1/models': [401, { error: 'Unauthorized' }], '/metrics': [200, '# TYPE vllm:x gauge\nvllm:x 1\n'] }, 'open-limited', 'C', 'openai-compatible'],
  ['a FastAPI server of models with a key', { '/v1/models': [401, { detail: 'Not authenticated' }] }, 'auth-required', 'B', 'openai-compatible'],
  ['llama.cpp', { '/health': [200, { status: 'ok' }, { Server: 'llama.cpp' }], '/v1/models': [200, { object: 'list', data: [{ id: 'm' }] }], '/props': [200, { default_generation_settings: {} }] }, 'open', 'D', 'llama.cpp'],
  ['llama.cpp with a key', { '/health': [200, { status: 'ok' }, { Server: 'llama.cpp' }], '/v1/models': [200, { object: 'list', data: [{ id: 'm' }] }], '*': [401, { error: { message: 'Invalid API Key' } }] }, 'open-limited', 'D', 'llama.cpp'],
  ['LiteLLM with a master key', { '/health/liveliness': [200, '"I\'m alive!"'], '*': [401, { error: { message: 'Authentication Error' } }] }, 'auth-required', 'B', 'litellm'],
  ['Jupyter notebook 6 with a token', { '/': [302, '', { Location: '/login?next=%2Ftree', Server: 'TornadoServer/6.2' }], '/api': [200, { version: '6.4.12' }], '*': [403, { message: 'Forbidden' }] }, 'auth-required', 'B', 'jupyter'],
  ['Jupyter without a token', { '/': [302, '', { Location: '/lab?' }], '/api': [200, { version: '2.12.0' }], '/api/status': [200, { started: 'x', kernels: 0 }], '/api/contents': [200, { path: '' }] }, 'open', 'F', 'jupyter'],
  ['another application on Tornado', { '/': [200, SPA, { ...HTML, Server: 'TornadoServer/6.2' }], '/api': [404, 'x', { Server: 'TornadoServer/6.2' }] }, 'unknown', 'C', ''],
  ['Ray 2', { '/api/version': [200, { version: '4', ray_version: '2.9.0' }], '/api/jobs/': [200, []] }, 'open', 'F', 'ray'],
  ['Ray 1', { '/api/version': [200, { ray_version: '1.13.0' }], '/nodes': [200, { result: true, data: { summary: [] } }] }, 'open', 'D', 'ray'],
  ['Ray with a token', { '/api/version': [200, { ray_version: '2.52.0' }], '*': [401, 'Unauthorized'] }, 'auth-required', 'B', 'ray'],
  ['MLflow 1', { '/ajax-api/2.0/mlflow/experiments/list': [200, { experiments: [{ name: 'Default' }] }] }, 'open', 'D', 'mlflow'],
  ['Langfuse, locked', { '/api/public/health': [200, { status: 'OK', version: '2.80.0' }], '*': no }, 'auth-required', 'B', 'langfuse'],
  ['Open WebUI, anyone may sign up', { '/api/config': [200, { version: '0.5', features: { auth: true, enable_signup: true } }] }, 'open-limited', 'C', 'open-webui'],
  ['Grafana for strangers', { '/': [200, SPA, HTML], '/api/health': [200, { database: 'ok', version: '9.1' }], '/api/org': [200, { id: 1, name: 'Main Org.' }] }, 'open', 'D', 'grafana'],
  ['Prometheus with a password', { '*': [401, 'Unauthorized\n', { 'WWW-Authenticate': 'Basic' }] }, 'auth-required', 'B', ''],
  ['an exporter', { '/': [200, SPA, HTML], '/metrics': [200, '# HELP x y\n# TYPE x gauge\nx 1\n'] }, 'open', 'C', 'metrics'],
  ['a registry, locked', { '/v2/': [401, { errors: [] }, { 'Docker-Distribution-Api-Version': 'registry/2.0' }], '*': no }, 'auth-required', 'B', 'docker-registry'],
  ['a registry', { '/v2/': [200, {}, { 'Docker-Distribution-Api-Version': 'registry/2.0' }], '/v2/_catalog': [200, { repositories: [] }] }, 'open', 'D', 'docker-registry'],
  ['RabbitMQ\'s pages', { '/': [200, '<title>RabbitMQ Management</title>', HTML], '*': no }, 'auth-required', 'B', 'rabbitmq-management'],
];

test('old and new versions of each', async () => {
  const rows = [];
  for (const [name, routes, ...rest] of VERSIONS) rows.push([name, await servers.web(routes), ...rest]);
  const { hosts } = await a.table(rows);
  const version = (name) => hosts.find((h) => h.port === rows.find((r) => r[0] === name)[1]).version;
  assert.deepEqual(['Ollama, empty', 'Ray 2', 'OpenSearch', 'InfluxDB 2'].map(version), ['0.5.1', '2.9.0', '2.11.0', 'v2.7.4']);
});

// A ClickHouse that says Ok to GET, and this to a statement.
const clickhouse = (status, code, headers = {}) => ({ '/ping': [200, 'Ok.\n'], '*': (req) => (req.method === 'GET' ? [200, 'Ok.\n']
  : [status, `Code: ${code}. DB::Exception: no`, headers]) });

test('how ClickHouse refuses, from 1.1 to today', async () => {
  await a.table([
    ['a password is needed', await servers.web(clickhouse(401, 194, { 'WWW-Authenticate': 'Basic realm="ClickHouse server HTTP API"' })), 'auth-required', 'B', 'clickhouse'],
    ['no such user', await servers.web(clickhouse(500, 192)), 'auth-required', 'B', 'clickhouse'],
    ['a wrong password', await servers.web(clickhouse(500, 193)), 'auth-required', 'B', 'clickhouse'],
    ['another address', await servers.web(clickhouse(500, 195)), 'auth-required', 'B', 'clickhouse'],
    ['today', await servers.web(clickhouse(403, 516, { 'X-ClickHouse-Exception-Code': '516' })), 'auth-required', 'B', 'clickhouse'],
    ['its replicas\' port', await servers.web({ '/': [200, 'Ok.\n'], '/?': (req) => (req.method === 'GET' ? [200, 'Ok.\n'] : [500, 'Poco::Exception. Code: 1000, e.code() = 0, Not found: endpoint']), '/ping': [200, 'Ok.\n'] }), 'open-limited', 'C', 'clickhouse-interserver'],
    ['its replicas\' port, with credentials', await servers.web(clickhouse(401, 516)), 'auth-required', 'B', 'clickhouse'],
    ['"Ok." to everything', await servers.web({ '*': [200, 'Ok.\n'] }), 'unknown', 'C', 'clickhouse'],
    ['20250129 to everything', await servers.web({ '*': [200, '20250129\n'] }), 'unknown', 'C', ''],
  ]);
});

const OLLAMA = { '/': [200, 'Ollama is running'], '/api/tags': [200, { models: [] }] };
const below = (prefix, routes) => Object.fromEntries(Object.entries(routes).map(([k, v]) => [prefix + k, v]));

test('below a path, where the top sends there; and never to another host', async () => {
  let elsewhere = 0;
  const other = await servers.web({ '*': [200, () => { elsewhere++; return 'Ollama is running'; }] });
  const to = (where) => ({ '/': [302, '', { Location: where }] });
  await a.table([
    ['a path', await servers.web({ ...to('/ollama/'), ...below('/ollama', OLLAMA) }), 'open', 'D', 'ollama'],
    ['the same, with the server\'s name', await servers.web({ '/': (req) => [301, '', { Location: `http://${req.headers.host}/llm/` }], ...below('/llm', OLLAMA) }), 'open', 'D', 'ollama'],
    ['two, and a page', await servers.web({ ...to('/tools/jupyter/lab'), ...below('/tools/jupyter', { '/': [302, '', { Location: '/tools/jupyter/lab' }], '/api': [200, { version: '2.1' }], '/api/status': [200, { kernels: 0 }] }) }), 'open', 'F', 'jupyter'],
    ['a sign-in below', await servers.web({ ...to('/grafana/login'), ...below('/grafana', { '/': [302, '', { Location: '/grafana/login' }], '/api/health': [200, { database: 'ok' }], '/api/org': no }) }), 'auth-required', 'B', 'grafana'],
    ['another host', await servers.web(to(`http://127.0.0.1:${other}/x/`)), 'unknown', 'C', ''],
    ['another host without a scheme', await servers.web(to(`//127.0.0.1:${other}/x/`)), 'unknown', 'C', ''],
    ['this host by a longer name', await servers.web(to(`http://127.0.0.1:${other}1/x/`)), 'unknown', 'C', ''],
    ['up and out', await servers.web({ ...to('/a/../../'), '*': [404, 'no'] }), 'unknown', 'C', ''],
    ['ClickHouse below a path', await servers.web({ ...to('/ch/'), '/ch/': (req) => (req.method === 'GET' ? [200, 'Ok.\n', { 'X-ClickHouse-Summary': '{}' }] : [401, 'Code: 194. DB::Exception: Password required']), '*': [401, 'Code: 194. DB::Exception: Password required'] }), 'auth-required', 'B', 'clickhouse'],
  ]);
  assert.equal(elsewhere, 0);
});

test('TLS with a certificate of its own, and one that asks for the client\'s; IPv6', async () => {
  const { key, cert, keyFile, certFile } = await servers.pair();
  const mutual = (maxVersion) => ({ key, cert, ca: cert, requestCert: true, rejectUnauthorized: true, maxVersion });
  const redis = (...more) => servers.real((port, d) => ['redis-server', '--port', '0', '--tls-port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', d,
    '--tls-key-file', keyFile, '--tls-cert-file', certFile, '--tls-ca-cert-file', certFile, ...more]);
  const six = await servers.web(OLLAMA, { host: '::1' }), sixTls = await servers.web(OLLAMA, { host: '::1', tls: { key, cert } });
  const { hosts } = await a.table([
    ['Ollama by TLS', await servers.web(OLLAMA, { tls: { key, cert } }), 'open', 'D', 'ollama'],
    ['locked, by TLS 1.2', await servers.web({ '*': no }, { tls: { key, cert, maxVersion: 'TLSv1.2' } }), 'auth-required', 'B', ''],
    ['a client\'s certificate, TLS 1.3', await servers.web(OLLAMA, { tls: mutual('TLSv1.3') }), 'auth-required', 'B', ''],
    ['a client\'s certificate, TLS 1.2', await servers.web(OLLAMA, { tls: mutual('TLSv1.2') }), 'auth-required', 'B', ''],
    ['one that may be left out', await servers.web(OLLAMA, { tls: { ...mutual('TLSv1.3'), rejectUnauthorized: false } }), 'open', 'D', 'ollama'],
    ['Redis by TLS', await redis('--tls-auth-clients', 'no'), 'open', 'F', 'redis'],
    ['Redis by TLS with a password', await redis('--tls-auth-clients', 'no', '--requirepass', 'x'), 'auth-required', 'B', 'redis'],
    ['Redis that asks for a certificate', await redis(), 'auth-required', 'B', ''],
    ['Ollama on IPv6', `::1 ${six}`, 'open', 'D', 'ollama'],
    ['Ollama on IPv6 by TLS', `::1 ${sixTls}`, 'open', 'D', 'ollama'],
  ]);
  assert.deepEqual(hosts.filter((h) => h.tls).length, 9);
});

// ---- protocols of bytes ----

const bytes = (hex) => Buffer.from(hex.replaceAll(' ', ''), 'hex');
const packet = (sequence, ...parts) => {
  const body = Buffer.concat(parts.map((p) => Buffer.from(p, 'latin1')));
  const head = Buffer.alloc(4);
  head.writeUIntLE(body.length, 0, 3);
  head[3] = sequence;
  return Buffer.concat([head, body]);
};
// A MySQL whose users are { name: 'open' | 'tls' }: without a password, or so by TLS alone.
async function mysql(version, users) {
  const context = await servers.pair();
  const greeting = packet(0, '\x0a', `${version}\0`, '\x01\0\0\0', 'saltsalt\0', '\xff\xff', '\x21', '\x02\0', '\xff\xc1', '\x15', '\0'.repeat(10), 'saltsaltsalt\0', 'mysql_native_password\0');
  const talk = (socket, secure) => (d) => {
    if (!secure && d[0] === 32) { // half a response: TLS begins
      socket.removeAllListeners('data');
      socket.pause();
      if (d.length > 36) socket.unshift(d.subarray(36));
      const s = new tls.TLSSocket(socket, { isServer: true, key: context.key, cert: context.cert });
      s.on('error', () => {});
      s.on('data', talk(s, true));
      return;
    }
    if (d[4] === 3) { // SHOW DATABASES
      socket.write(Buffer.concat([packet(1, '\x01'), packet(2, '\x03def\0\0\0\x01d\0\x0c\x21\0\0\x01\0\0\xfd\0\0\0\0\0'), packet(3, '\xfe\0\0\0\0'), packet(4, '\x04chat'), packet(5, '\xfe\0\0\0\0')]));
      return;
    }
    if (d[4] === 1 && d.length === 5) { socket.end(); return; }
    const name = d.toString('latin1', 36, d.indexOf(0, 36)), how = users[name];
    socket.write(how === 'open' || (how === 'tls' && secure) ? packet(d[3] + 1, '\0\0\0\x02\0\0\0') : packet(d[3] + 1, '\xff\x15\x04#28000Access denied'));
  };
  return servers.tcp(() => {}, (socket) => { socket.write(greeting); socket.on('data', talk(socket, false)); });
}
// A PostgreSQL that trusts by TLS alone.
async function postgres() {
  const context = await servers.pair();
  const start = (socket, secure) => (d) => {
    if (d.length === 8) {
      socket.removeAllListeners('data');
      socket.write('S');
      const s = new tls.TLSSocket(socket, { isServer: true, key: context.key, cert: context.cert });
      s.on('error', () => {});
      s.on('data', start(s, true));
    } else if (d[0] === 0) {
      socket.write(Buffer.from(secure ? 'R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I' : 'R\0\0\0\x08\0\0\0\x05', 'latin1'));
      if (!secure) socket.end();
    } else {
      socket.write(Buffer.from('Z\0\0\0\x05I', 'latin1'));
    }
  };
  return servers.tcp(() => {}, (socket) => socket.on('data', start(socket, false)));
}

test('MySQL and PostgreSQL that let in by TLS alone, ClickHouse\'s own names, SASL, an old Redis', async () => {
  const acl = path.join(await servers.dir(), 'memcached'); // a folder that its user may enter
  await writeFile(acl, 'user:secret\n');
  const memcached = (...more) => servers.real((p) => ['memcached', '-u', 'nobody', '-l', '127.0.0.1', '-p', String(p), ...more]);
  // its binary protocol alone, and without a sign-in only the version
  const sasl = (s, d) => (d[0] !== 0x80 ? s.end() : s.write(d[1] === 0x0b ? bytes('81 0b 0000 00 00 0000 00000006 00000000 0000000000000000 312e362e3138')
    : bytes('81 10 0000 00 00 0020 00000000 00000000 0000000000000000')));
  await a.table([
    ['root by TLS alone', await mysql('8.0.36', { root: 'tls' }), 'open', 'F', 'mysql'],
    ['root', await mysql('5.5.62', { root: 'open' }), 'open', 'F', 'mysql'],
    ['the anonymous user', await mysql('5.1.73', { '': 'open' }), 'open', 'E', 'mysql'],
    ['nobody', await mysql('11.4.2-MariaDB', {}), 'auth-required', 'B', 'mysql'],
    ['ClickHouse\'s default', await mysql('24.8.1-ClickHouse', { default: 'open' }), 'open', 'E', 'mysql'],
    ['and not elsewhere', await mysql('8.4.0', { default: 'open' }), 'auth-required', 'B', 'mysql'],
    ['PostgreSQL with hostssl trust', await postgres(), 'open', 'D', 'postgresql'],
    ['Memcached with SASL', await servers.tcp(sasl), 'auth-required', 'B', 'memcached'],
    ['Memcached with a file of passwords', await memcached('-Y', acl), 'auth-required', 'B', 'memcached'],
    ['Redis 2.4 with a password', await servers.tcp((s) => s.write('-ERR operation not permitted\r\n')), 'auth-required', 'B', 'redis'],
  ]);
});
