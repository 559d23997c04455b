// The console through the real programs: ClickHouse's official client and plain HTTP. Who may see what, each
// format as the engine gives it, content opened in the stream, and what it refuses.
import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import zlib from 'node:zlib';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { createClient } from '@clickhouse/client';
import { native, rowBinary, unframe } from './lib/clickhouse.mjs';
import { BIN, Installation, until } from './lib/installation.mjs';
import { code, stepNow } from './lib/totp.mjs';
import { Upstream, completion } from './lib/upstream.mjs';

const run = promisify(execFile);
const CONTENT = 'said "so", \\ and\ta tab,\nа 你好 <b>\'x\'</b>';
const ABOVE = 60;
let upstream, house, url;
const secrets = {};

async function lines(...text) {
  const path = join(house.home, 'lines');
  await writeFile(path, text.join('\n') + '\n', { mode: 0o600 });
  return path;
}
const owner = (command, ...args) => house.cliResult(...command.split(' '), ...args, '--dir', house.dir);
const ok = (r) => assert.equal(r.code, 0, r.stderr);

test.before(async () => {
  upstream = await Upstream.start();
  upstream.answer = (x) => x.json(completion(CONTENT));
  house = await Installation.start({ upstream: upstream.url, config: `vault:\n  approval_above: ${ABOVE}\n`,
    args: ['--console', '127.0.0.1:0'], env: { XDG_RUNTIME_DIR: '' } });
  url = JSON.parse(await readFile(join(house.dir, 'run', 'ready'), 'utf8')).console;
  for (const [project, n] of [['default', 6], ['sales', 4]]) {
    const key = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--project', project, '--json'));
    const client = new OpenAI({ apiKey: key.secret, baseURL: `${house.gateway}/v1`, maxRetries: 0 });
    for (let i = 0; i < n; i++)
      await client.chat.completions.create({ model: 'gpt-4o-mini', user: `${project}-${i}`,
        messages: [{ role: 'user', content: `${project} ${i}: ${CONTENT}` }] });
  }
  await house.stored(10);
  for (const [name, ...grant] of [['adm', '--role', 'admin'], ['ana', '--role', 'analyst'], ['sal', '--role', 'analyst', '--project', 'sales'],
    ['rea', '--role', 'reader', '--project', 'default'], ['rob', '--role', 'reader', '--project', 'default', '--cells-per-hour', '3'],
    ['nob']]) {
    secrets[name] = `pw-${randomBytes(12).toString('base64url')}`;
    ok(await owner(`person add ${name}`, '--password-file', await lines(secrets[name])));
    if (grant.length) {
      const r = await owner(`person grant ${name}`, ...grant);
      const digest = /needed: ([0-9a-f]{64})/.exec(r.stderr)?.[1]; // a second admin confirms readers
      if (digest) ok(await owner(`approve ${digest}`, '--token-file', join(house.home, 'adm')));
      else ok(r);
      if (name === 'adm') ok(await owner('signin adm', '--password-file', await lines(secrets.adm), '--token-file', join(house.home, 'adm')));
    }
  }
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const basic = (name, password = secrets[name]) => `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
// A statement by plain HTTP: {status, headers, body (Buffer), text}.
async function ask(name, sql, params = {}, headers = {}) {
  const r = await fetch(`${url}/?${new URLSearchParams(params)}`, { method: 'POST', body: sql,
    headers: { ...(name ? { authorization: basic(name) } : {}), ...headers } });
  const body = Buffer.from(await r.arrayBuffer());
  return { status: r.status, headers: r.headers, body, text: body.toString() };
}
const client = (name, more = {}) => createClient({ url, username: name, password: secrets[name],
  log: { level: 127 }, ...more });
// The same statement by the command line: the engine's bytes.
const direct = async (format, sql) => (await run(join(BIN, 'safehouse'),
  ['query', '--dir', house.dir, '--format', format, sql], { encoding: 'buffer' })).stdout;

test('nobody gets in without a name and a password, and each way of naming them works', async () => {
  const none = await ask(null, 'SELECT 1');
  assert.equal(none.status, 401);
  assert.match(none.headers.get('www-authenticate'), /^Basic /);
  assert.match(none.text, /^Code: 194\. DB::Exception: .*\(REQUIRED_PASSWORD\)/);
  const wrong = await ask(null, 'SELECT 1', {}, { authorization: basic('ana', 'a wrong password') });
  assert.equal(wrong.status, 403);
  assert.equal(wrong.headers.get('x-clickhouse-exception-code'), '516');
  const unknown = await ask(null, 'SELECT 1', {}, { authorization: basic('nobody', 'a wrong password') });
  assert.equal(unknown.text.replace('nobody', 'ana'), wrong.text, 'who exists is not told');
  assert.equal((await ask('ana', 'SELECT 1')).text, '1\n');
  assert.equal((await ask(null, 'SELECT 1', { user: 'ana', password: secrets.ana })).text, '1\n');
  assert.equal((await ask(null, 'SELECT 1', {}, { 'x-clickhouse-user': 'ana', 'x-clickhouse-key': secrets.ana })).text, '1\n');
  assert.equal((await ask('ana', 'SELECT 1', { user: 'ana' })).status, 403, 'one way at a time');
  const { token } = JSON.parse((await owner('person token ana --label grafana --json')).stdout);
  assert.match(token, /^shm-/);
  assert.equal((await ask(null, 'SELECT 1', {}, { authorization: basic('ana', token) })).text, '1\n');
  assert.equal((await ask(null, 'SELECT 1', {}, { authorization: `Bearer ${token}` })).text, '1\n');
  assert.equal((await ask(null, 'SELECT 1', {}, { authorization: basic('rea', token) })).status, 403, "another's token");
  ok(await owner('person token ana --revoke grafana'));
  assert.equal((await ask(null, 'SELECT 1', {}, { authorization: basic('ana', token) })).status, 403, 'gone at once');
});

test('a person without a grant sees nothing, and a grant that is taken away is gone at the next request', async () => {
  const r = await ask('nob', 'SELECT count() FROM interactions');
  assert.equal(r.status, 403);
  assert.match(r.text, /Code: 497\. .*analyst or reader/);
  ok(await owner('person grant nob --role analyst'));
  assert.equal((await ask('nob', 'SELECT count() FROM interactions')).text, '10\n');
  ok(await owner('person ungrant nob --role analyst'));
  assert.equal((await ask('nob', 'SELECT count() FROM interactions')).status, 403);
  const changed = secrets.nob;
  secrets.nob = `pw-${randomBytes(12).toString('base64url')}`;
  ok(await owner('person password nob', '--password-file', await lines(secrets.nob)));
  const old = await ask(null, 'SELECT 1', {}, { authorization: basic('nob', changed) });
  assert.equal(old.headers.get('x-clickhouse-exception-code'), '516', 'the earlier password, remembered or not');
});

test('rows are those of the projects of the grants', async () => {
  assert.equal((await ask('ana', 'SELECT project, count() FROM interactions GROUP BY project ORDER BY project')).text,
    'default\t6\nsales\t4\n');
  assert.equal((await ask('sal', 'SELECT project, count() FROM interactions GROUP BY project')).text, 'sales\t4\n');
  assert.equal((await ask('rea', 'SELECT uniqExact(project), any(project) FROM turns')).text, '1\tdefault\n');
});

test('each format as the engine gives it', async () => {
  const sql = `SELECT id, project, toString(status) AS s, [1, 2] AS a, CAST(NULL AS Nullable(String)) AS n,
    'q"uo,\\'te\\t' AS t FROM interactions ORDER BY id`;
  for (const format of ['TabSeparated', 'TabSeparatedWithNamesAndTypes', 'CSV', 'CSVWithNames', 'JSONEachRow',
    'JSONCompactEachRow', 'JSONStringsEachRow', 'JSONColumns', 'Values', 'Vertical', 'Markdown', 'RowBinary', 'Native']) {
    const mine = await ask('ana', `${sql} FORMAT ${format}`);
    assert.equal(mine.status, 200, mine.text);
    assert.equal(mine.headers.get('x-clickhouse-format'), format);
    const engine = await direct(format, sql);
    assert.equal(mine.body.toString('latin1'), engine.toString('latin1'), format);
  }
  for (const format of ['JSON', 'JSONCompact']) { // these tell how long it took
    const [mine, engine] = [JSON.parse((await ask('ana', sql, { default_format: format })).text),
      JSON.parse(await direct(format, sql))];
    delete mine.statistics, delete engine.statistics;
    assert.deepEqual(mine, engine);
  }
  assert.equal((await ask('ana', 'SELECT 1 AS x', {}, { 'x-clickhouse-format': 'JSONEachRow' })).text, '{"x":1}\n');
  const unknown = await ask('ana', 'SELECT 1 FORMAT Parquet2');
  assert.equal(unknown.status, 404);
  assert.match(unknown.text, /UNKNOWN_FORMAT/);
});

test("ClickHouse's official client: ping, query, stream, parameters, errors, abort, compression", async () => {
  const c = client('ana');
  assert.deepEqual(await c.ping(), { success: true });
  assert.deepEqual(await c.ping({ select: true }), { success: true });
  const r = await c.query({ query: 'SELECT count() AS n FROM interactions', format: 'JSONEachRow' });
  assert.deepEqual((await r.json()).map((x) => Number(x.n)), [10]);
  assert.match(r.query_id, /^[0-9a-f-]{36}$/);
  assert.equal(r.response_headers['x-clickhouse-query-id'], r.query_id);
  const p = await c.query({ query: 'SELECT {s:String} AS s, {n:UInt32} + 1 AS n, {a:Array(String)} AS a',
    query_params: { s: "it's\ta 'string'\n\\", n: 41, a: ['x', "y'"] }, format: 'JSONEachRow' });
  assert.deepEqual(await p.json(), [{ s: "it's\ta 'string'\n\\", n: 42, a: ['x', "y'"] }]);
  let n = 0;
  const s = await c.query({ query: 'SELECT arrayJoin(range(400000)) AS n', format: 'JSONEachRow' });
  for await (const rows of s.stream()) n += rows.length;
  assert.equal(n, 400000);
  await assert.rejects(c.query({ query: 'SELECT nothing FROM turns' }), { code: '47', type: 'UNKNOWN_IDENTIFIER' });
  await assert.rejects(c.query({ query: 'SELECT 1 +' }), { code: '62', type: 'SYNTAX_ERROR' });
  await assert.rejects(c.insert({ table: 'turns', values: [{ a: 1 }], format: 'JSONEachRow' }));
  const end = new AbortController();
  const never = c.query({ query: 'SELECT count() FROM (SELECT arrayJoin(range(10000)) AS a) AS x, (SELECT arrayJoin(range(10000)) AS b) AS y, (SELECT arrayJoin(range(10000)) AS c) AS z',
    abort_signal: end.signal });
  setImmediate(() => end.abort());
  await assert.rejects(never, /abort/i);
  for (const compression of [{ response: true }, { request: true }, { response: true, request: true }]) {
    const z = client('ana', { compression });
    const text = await (await z.query({ query: 'SELECT arrayJoin(range(5))', format: 'CSV' })).text();
    assert.equal(text, '0\n1\n2\n3\n4\n');
    await z.close();
  }
  await c.close();
});

// Fails in one of its last blocks.
const LATE = `SELECT a, b, throwIf(b = 99 AND a = 60000, 'boom') FROM (SELECT arrayJoin(range(65536)) AS a) AS x,
  (SELECT arrayJoin(range(100)) AS b) AS y`;
test('an error in the midst of an answer is said in it, and the answer has no end', async () => {
  const c = client('ana');
  const r = await c.query({ query: LATE, format: 'JSONEachRow' });
  await assert.rejects(async () => {
    for await (const rows of r.stream()) void rows;
  }, (e) => e.code === '395' || /boom/.test(e.message));
  await c.close();
  const raw = await new Promise((done) => {
    const q = http.request(`${url}/`, { method: 'POST', headers: { authorization: basic('ana') } }, (a) => {
      let tail = '';
      a.on('data', (d) => (tail = (tail + d).slice(-600)));
      a.on('close', () => done({ complete: a.complete, tail, tag: a.headers['x-clickhouse-exception-tag'] }));
      a.on('error', () => {});
    });
    q.end(LATE);
  });
  assert.equal(raw.complete, false);
  assert.ok(raw.tail.endsWith(`${raw.tag}\r\n__exception__\r\n`), raw.tail);
});

test('codings of request and answer, and their limits', async () => {
  const sql = 'SELECT arrayJoin(range(3))';
  for (const [name, pack] of [['gzip', zlib.gzipSync], ['deflate', zlib.deflateSync]])
    assert.equal((await ask('ana', pack(sql), {}, { 'content-encoding': name })).text, '0\n1\n2\n');
  const bomb = await ask('ana', zlib.gzipSync(Buffer.alloc(64 << 20, 32)), {}, { 'content-encoding': 'gzip' });
  assert.equal(bomb.status, 413);
  assert.equal((await ask('ana', 'no gzip', {}, { 'content-encoding': 'gzip' })).status, 500);
  assert.equal((await ask('ana', sql, {}, { 'content-encoding': 'br' })).status, 501);
  assert.equal((await ask('ana', sql, { compress: 0 })).text, '0\n1\n2\n');
  const packed = await new Promise((done) => {
    const q = http.request(`${url}/?enable_http_compression=1`, { method: 'POST', headers: { authorization: basic('ana'),
      'accept-encoding': 'gzip' } }, (a) => {
      const all = [];
      a.on('data', (d) => all.push(d)).on('end', () => done({ a, body: Buffer.concat(all) }));
    });
    q.end('SELECT arrayJoin(range(100000))');
  });
  assert.equal(packed.a.headers['content-encoding'], 'gzip');
  assert.equal(zlib.gunzipSync(packed.body).toString().split('\n').length, 100001);
  assert.equal((await ask('ana', 'x'.repeat(2 << 20))).status, 413);
});

test("ClickHouse's own framing, of answer and request", async () => {
  const many = 'SELECT number, repeat(toString(number), 20) FROM system.numbers LIMIT 60000';
  const framed = await ask('ana', many, { compress: 1 });
  assert.equal(framed.headers.get('content-encoding'), null);
  const plain = unframe(framed.body);
  assert.ok(plain.frames > 20);
  assert.ok(plain.equals((await ask('ana', many)).body));
  // What comes framed goes back framed: the checksums are right both ways.
  const statement = await ask('ana', "SELECT 'SELECT 40 + 2'", { compress: 1, default_format: 'TabSeparatedRaw' });
  assert.equal((await ask('ana', statement.body, { decompress: 1 })).text, '42\n');
  assert.equal((await ask('ana', zlib.gzipSync(statement.body), { decompress: 1 }, { 'content-encoding': 'gzip' })).text, '42\n');
  statement.body[20] ^= 1;
  assert.equal((await ask('ana', statement.body, { decompress: 1 })).status, 500);
  assert.equal((await ask('ana', 'SELECT 1', { decompress: 1 })).status, 500);
  const wrong = await ask('ana', 'SELECT nope', { compress: 1 });
  assert.match(wrong.text, /^Code: 47\. DB::Exception/, 'an error is plain, as drivers read it too');
  const late = await new Promise((done) => {
    const q = http.request(`${url}/?compress=1`, { method: 'POST', headers: { authorization: basic('ana') } }, (a) => {
      const all = [];
      a.on('data', (d) => all.push(d));
      a.on('close', () => done({ complete: a.complete, body: Buffer.concat(all) }));
      a.on('error', () => {});
    });
    q.end(LATE);
  });
  assert.equal(late.complete, false);
  assert.match(unframe(late.body).toString('latin1').slice(-600), /__exception__\r\n$/);
});

test('what the JDBC driver of Metabase sends is answered as it reads it', async () => {
  const jdbc = async (sql, more = {}) => {
    const r = await ask('ana', sql, { query_id: 'cd4f2d9a-1818-42e0-914b-9d042310ea7a', compress: 1, ...more },
      { 'content-type': 'text/plain', 'x-clickhouse-format': 'RowBinaryWithNamesAndTypes', 'x-clickhouse-database': 'safehouse' });
    assert.equal(r.status, 200, `${sql}: ${r.text}`);
    assert.equal(r.headers.get('x-clickhouse-format'), 'RowBinaryWithNamesAndTypes');
    return rowBinary(unframe(r.body));
  };
  assert.match((await jdbc('SELECT version() as server_version', { wait_end_of_query: 1 })).rows[0][0], /^\d+\.\d+/);
  assert.deepEqual((await jdbc("SELECT name AS TABLE_SCHEM, '' AS TABLE_CATALOG FROM system.databases ORDER BY name")).rows,
    [['default', ''], ['safehouse', '']]);
  const tables = await jdbc(`SELECT '' AS TABLE_CAT, t.database AS TABLE_SCHEM, t.name AS TABLE_NAME, if(t.is_temporary = 1, concat('Temporary', t.engine), t.engine) AS TABLE_TYPE,
    t.comment AS REMARKS, CAST(null as Nullable(String)) AS TYPE_CAT, d.engine AS TYPE_SCHEM FROM system.tables t JOIN system.databases d ON system.tables.database = system.databases.name
    WHERE t.database LIKE 'safehouse' AND t.name LIKE '%' AND t.engine IN ('MergeTree', 'View')`);
  assert.ok(tables.rows.some((r) => r[2] === 'interactions' && r[3] === 'MergeTree'));
  const columns = await jdbc(`SELECT '' AS TABLE_CAT, database AS TABLE_SCHEM, table AS TABLE_NAME, name AS COLUMN_NAME, toInt32(1111) AS DATA_TYPE, type AS TYPE_NAME,
    toInt32(multiIf(character_octet_length IS NOT NULL, character_octet_length, system.columns.type == 'Bool', 1, numeric_precision IS NOT NULL, numeric_precision, 0)) AS COLUMN_SIZE,
    toInt32(position) AS ORDINAL_POSITION FROM system.columns WHERE TABLE_SCHEM ILIKE 'safehouse' AND TABLE_NAME ILIKE 'interactions' AND COLUMN_NAME ILIKE '%' ORDER BY TABLE_SCHEM, TABLE_NAME, ORDINAL_POSITION`);
  assert.ok(columns.rows.length > 30);
  const keys = await jdbc(`SELECT NULL::Nullable(String) AS TABLE_CAT, system.tables.database AS TABLE_SCHEM, system.tables.name AS TABLE_NAME, trim(c.1) AS COLUMN_NAME, CAST(c.2 AS Int16) AS KEY_SEQ, 'PRIMARY' AS PK_NAME
    FROM system.tables ARRAY JOIN arrayZip(splitByChar(',', primary_key), arrayEnumerate(splitByChar(',', primary_key))) as c
    WHERE system.tables.primary_key <> '' AND system.tables.database ILIKE 'safehouse' AND system.tables.name ILIKE 'interactions' ORDER BY COLUMN_NAME`);
  assert.ok(keys.rows.length > 1 && keys.rows.every((r) => r[5] === 'PRIMARY'));
  assert.deepEqual((await jdbc('SELECT count(*) FROM `safehouse`.`interactions`')).rows, [[10]]);
  assert.deepEqual((await jdbc('SELECT project, count() AS n, any(cost) FROM (SELECT project, NULL::Nullable(String) AS cost FROM interactions) GROUP BY project ORDER BY project')).rows,
    [['default', 6, null], ['sales', 4, null]]);
});

test('what the Go driver of Grafana and the Python driver of Superset send is answered as they read it', async () => {
  const hello = 'SELECT displayName(), version(), revision(), timezone()';
  for (const compress of [0, 1]) {
    const go = (sql, more = {}, name = 'ana') => ask(null, sql, { client_protocol_version: 54460, database: 'safehouse', default_format: 'Native',
      ...(compress ? { compress } : {}), ...more }, { 'x-clickhouse-user': name, 'x-clickhouse-key': secrets[name], 'x-clickhouse-ssl-certificate-auth': 'off' });
    const read = async (r) => {
      assert.equal(r.status, 200, r.text);
      return native(compress ? unframe(r.body) : r.body, 54460);
    };
    const [[name, version, revision, zone]] = (await read(await go(hello))).rows;
    assert.deepEqual([name, zone], ['safehouse', 'UTC']);
    assert.ok(/^\d+\.\d+/.test(version) && revision > 54460);
    assert.deepEqual(await read(await go('SELECT 1')), { names: ['1'], rows: [[1]] });
    assert.deepEqual((await read(await go("SELECT CAST(project, 'String') AS p, count() AS n FROM interactions WHERE project = {p:String} GROUP BY p", { param_p: 'sales', max_execution_time: 60 }))).rows, [['sales', 4]]);
    assert.deepEqual((await read(await go('SELECT 1 WHERE 0'))).rows, []);
    const many = (await read(await go('SELECT number, toString(number) AS s FROM system.numbers LIMIT 200000'))).rows;
    assert.equal(many.length, 200000);
    assert.deepEqual(many[199999], [199999, '199999']);
    const opened = (await read(await go('SELECT concat(\'x\', body) AS text, 7 AS n FROM turns ORDER BY id', { open: 1, reason: 'see it' }, 'rea'))).rows;
    assert.equal(opened.filter((r) => r[0].includes('said ') && r[1] === 7).length, 6);
    assert.match((await go('SELECT nope')).text, /^Code: 47/);
  }
  // clickhouse-connect asks whether the version is understood.
  const probe = await ask('ana', 'SELECT 1 AS check FORMAT Native', { client_protocol_version: 54405, database: 'safehouse' });
  assert.equal(probe.body.subarray(8, 16).toString('latin1'), '\x01\x01\x05check');
  const settings = await ask('ana', 'SELECT name, value, readonly as readonly FROM system.settings LIMIT 10000 FORMAT Native', { client_protocol_version: 54405 });
  assert.ok(native(settings.body, 54405).rows.length > 500);
});

test('settings that change nothing or lower a limit are taken, all others refused', async () => {
  assert.equal((await ask('ana', 'SELECT 1', { wait_end_of_query: 1, send_progress_in_http_headers: 0, buffer_size: 4096,
    readonly: 1, session_id: 'x', max_execution_time: 5 })).text, '1\n');
  for (const [name, value] of [['readonly', '0'], ['allow_ddl', '1'], ['max_memory_usage_for_user', '0'], ['log_queries', '1'],
    ['http_write_exception_in_output_format', '1'], ['additional_table_filters', "{'turns':'1'}"], ['nothing', '1']]) {
    const r = await ask('ana', 'SELECT 1', { [name]: value });
    assert.match(r.text, new RegExp(`^Code: 164\\. .*'${name}'`), name);
  }
  const slow = await ask('ana', 'SELECT count() FROM (SELECT arrayJoin(range(10000)) AS a) AS x, (SELECT arrayJoin(range(10000)) AS b) AS y, (SELECT arrayJoin(range(10000)) AS c) AS z',
    { max_execution_time: 1 });
  assert.equal(slow.headers.get('x-clickhouse-exception-code'), '159');
  assert.equal(slow.status, 408);
  const many = await ask('ana', 'SELECT id FROM interactions', { max_result_rows: 3 });
  assert.equal(many.headers.get('x-clickhouse-exception-code'), '396');
});

test('what is told of an answer', async () => {
  const r = await ask('ana', 'SELECT id FROM interactions', { query_id: 'mine-1' });
  assert.equal(r.headers.get('x-clickhouse-query-id'), 'mine-1');
  assert.equal(r.headers.get('x-clickhouse-timezone'), 'UTC');
  assert.equal(r.headers.get('x-clickhouse-server-display-name'), 'safehouse');
  const summary = JSON.parse(r.headers.get('x-clickhouse-summary'));
  assert.equal(summary.result_rows, '10');
  assert.ok(Number(summary.read_rows) >= 10 && Number(summary.elapsed_ns) > 0, JSON.stringify(summary));
  for (const path of ['/ping', '/replicas_status', '/']) assert.equal(await (await fetch(url + path)).text(), 'Ok.\n');
  for (const path of ['/play', '/dashboard', '/interserver', '/api/v2']) assert.equal((await fetch(url + path)).status, 404);
  assert.equal((await fetch(`${url}/`, { method: 'PUT' })).status, 405);
});

// The texts of a statement's last column, opened, of each format.
const opened = { reason: 'a test', open: 1 };
const CELLS = 'SELECT body FROM turns ORDER BY id LIMIT 2';
function varints(body) { // RowBinary: strings one after the other
  const all = [];
  for (let at = 0; at < body.length;) {
    let n = 0;
    for (let shift = 0; ; shift += 7) {
      const b = body[at++];
      n += (b & 127) * 2 ** shift;
      if (b < 128) break;
    }
    all.push(body.subarray(at, (at += n)).toString());
  }
  return all;
}
const unescape = (s) => s.replace(/\\(.)/g, (_, c) => ({ b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', 0: '\0' })[c] ?? c);

test('open=1 opens sealed cells in each format, for a reason, and for readers alone', async () => {
  const json = await ask('rea', `${CELLS} FORMAT JSONEachRow`, opened);
  assert.equal(json.status, 200, json.text);
  assert.equal(json.headers.get('x-safehouse-cells'), '2');
  const texts = json.text.trim().split('\n').map((l) => JSON.parse(l).body);
  for (const t of texts) {
    const turn = JSON.parse(t);
    assert.match(turn.messages[0].content, /^default \d: /);
    assert.ok(turn.messages[0].content.endsWith(CONTENT));
  }
  const got = {
    JSON: (r) => JSON.parse(r.text).data.map((x) => x.body),
    JSONCompactEachRow: (r) => r.text.trim().split('\n').map((l) => JSON.parse(l)[0]),
    CSV: (r) => r.text.slice(1, -2).split('"\n"').map((s) => s.replaceAll('""', '"')),
    TabSeparated: (r) => r.text.trimEnd().split('\n').map(unescape),
    TabSeparatedRaw: (r) => r.text.trimEnd().split('\n'),
    Values: (r) => r.text.slice(2, -2).split("'),('").map(unescape),
    RowBinary: (r) => varints(r.body),
    RowBinaryWithNames: (r) => varints(r.body.subarray(1)).slice(1),
    RowBinaryWithNamesAndTypes: (r) => varints(r.body.subarray(1)).slice(2),
    Native: (r) => varints(r.body.subarray(2)).slice(2), // one block: columns, rows, name, type, data
  };
  for (const [format, read] of Object.entries(got)) {
    const r = await ask('rea', `${CELLS} FORMAT ${format}`, opened);
    assert.equal(r.status, 200, r.text);
    assert.deepEqual(read(r), texts, format);
    const sealed = await ask('rea', `${CELLS} FORMAT ${format}`);
    assert.ok(sealed.text.includes('shx1.') && !sealed.text.includes('said'), format);
  }
  const nested = await ask('rea', `SELECT [body, 'x'] AS a, map('k', body) AS m, toNullable(body) AS n, (body, 1) AS t FROM turns ORDER BY id LIMIT 1 FORMAT RowBinaryWithNamesAndTypes`, opened);
  assert.equal(nested.text.split(CONTENT.slice(0, 4)).length - 1, 2 * 4, 'question and answer, four times');
  assert.equal((await ask('rea', `${CELLS} FORMAT Parquet`, opened)).status >= 400, true);
  const noReason = await ask('rea', CELLS, { open: 1 });
  assert.match(noReason.text, /Code: 36\. .*reason/);
  assert.equal((await ask('rea', CELLS, { open: 1 }, { 'x-safehouse-reason': 'by header' })).status, 200);
  const analyst = await ask('ana', CELLS, opened);
  assert.equal(analyst.status, 403);
  assert.doesNotMatch(analyst.text, /said|shx1/);
  const ledger = await house.cliResult('status', '--dir', house.dir, '--json');
  assert.ok(JSON.parse(ledger.stdout).vault.openings >= 20);
});

test('above the threshold a second person has to approve; a quota is a quota', async () => {
  const sql = `SELECT body FROM turns AS t, (SELECT arrayJoin(range(11)) AS k) AS twice ORDER BY t.id, k FORMAT JSONEachRow`;
  const r = await ask('rob', `${CELLS}0 FORMAT JSONEachRow`, opened); // six cells, three an hour
  assert.equal(r.status, 429, r.text);
  assert.match(r.text, /Code: 201\. .*more than is left.*\(QUOTA_EXCEEDED\)/);
  const asked = await ask('rea', sql, opened);
  assert.equal(asked.status, 403, asked.text);
  const digest = /needed: ([0-9a-f]{64})/.exec(asked.text)?.[1];
  assert.ok(digest, asked.text);
  ok(await owner(`approve ${digest}`));
  const given = await ask('rea', sql, opened);
  assert.equal(given.status, 200, given.text);
  assert.equal(given.text.trim().split('\n').length, 66);
  assert.equal((await ask('rea', sql, opened)).status, 403, 'once');
});

test('a client that leaves cancels its statement', async () => {
  const heavy = 'SELECT count() FROM (SELECT arrayJoin(range(10000)) AS a) AS x, (SELECT arrayJoin(range(10000)) AS b) AS y, (SELECT arrayJoin(range(10000)) AS c) AS z';
  for (let i = 0; i < 12; i++) { // more than one person may run at once
    const end = new AbortController();
    const q = fetch(`${url}/`, { method: 'POST', body: heavy, headers: { authorization: basic('ana') }, signal: end.signal });
    setTimeout(() => end.abort(), 30);
    await assert.rejects(q);
  }
  await until(async () => (await ask('ana', 'SELECT 1')).text === '1\n', 'room for a statement');
});

test('many idle connections and slow clients hold nothing up', async () => {
  const { hostname, port } = new URL(url);
  const sockets = await Promise.all(Array.from({ length: 300 }, (_, i) => new Promise((go, no) => {
    const s = net.connect({ host: hostname, port }, () => {
      if (i % 3 === 1) s.write('POST / HTTP/1.1\r\nHost: x\r\n'); // a head that does not end
      if (i % 15 === 2) s.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\nSELECT'); // a body
      go(s);
    });
    s.on('error', no);
  })));
  assert.equal((await ask('ana', 'SELECT 1')).text, '1\n');
  for (const s of sockets) s.destroy();
  const slow = await new Promise((go) => { // reads nothing of a large answer
    const s = net.connect({ host: hostname, port }, () => {
      s.pause();
      s.write(`GET /?query=${encodeURIComponent('SELECT arrayJoin(range(20000000))')} HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic('ana')}\r\n\r\n`);
      go(s);
    });
  });
  for (let i = 0; i < 5; i++) assert.equal((await ask('sal', 'SELECT 1')).text, '1\n');
  const pid = await house.pid('console');
  const rss = Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))[1]);
  assert.ok(rss < 100 << 10, `the console holds ${rss} kB`);
  slow.destroy();
});

test('what was opened, and what people signed in with, stays in no file, no output and no memory', async () => {
  assert.match((await ask('rea', CELLS, opened)).text, /said/);
  const patterns = [...['said "so"', 'said \\"so\\"', 'said \\\\"so'], ...Object.values(secrets),
    ...Object.keys(secrets).map((name) => basic(name).slice('Basic '.length, -4))];
  const list = join(house.home, 'patterns'), output = join(house.home, 'output');
  await writeFile(list, patterns.join('\n') + '\n');
  const end = Date.now() + 1100; // a request's memory is overwritten when it ends, or a moment later
  await until(() => Date.now() > end, 'a second');
  const cores = [];
  const front = await house.pid('front');
  const workers = (await readFile(`/proc/${front}/task/${front}/children`, 'utf8')).trim().split(' ');
  for (const pid of [await house.pid('console'), front, ...workers]) {
    const path = join(house.home, 'core');
    await run('gcore', ['-o', path, String(pid)]);
    cores.push(`${path}.${pid}`);
  }
  await writeFile(output, house.stdout + house.stderr);
  const found = (...where) => run('grep', ['-rlaF', '-f', list, ...where]).then((r) => r.stdout, (e) => { if (e.code !== 1) throw e; return ''; });
  assert.match(await found(list), /patterns/);
  assert.equal(await found(output, house.dir), '');
  assert.equal(await found(...cores), '');
});

test('a code by time stands behind the name, and works once, also for whoever has seen it', async () => {
  const file = join(house.home, 'ana'), mine = (command, ...args) => owner(command, '--token-file', file, ...args);
  ok(await mine('signin ana', '--password-file', await lines(secrets.ana)));
  const { secret } = JSON.parse((await mine('person totp ana --make --json')).stdout), step = stepNow();
  ok(await mine('person totp ana --confirm', '--code-file', await lines(code(secret, step))));
  const sign = (name) => ask(null, 'SELECT 1', {}, { authorization: basic(name, secrets.ana) });
  assert.equal((await sign('ana')).status, 403, 'without a code');
  assert.equal((await sign(`ana+${code(secret, step)}`)).status, 403, 'with the one that was used to confirm');
  const next = `ana+${code(secret, step + 1)}`;
  assert.equal((await sign(next)).text, '1\n');
  assert.equal((await sign(next)).text, '1\n', 'what a client repeats is the session that it has');
  assert.equal((await mine('signin ana', '--password-file', await lines(secrets.ana, code(secret, step + 1)))).code, 2);
  process.kill(await house.pid('console'), 'SIGKILL'); // and with it what it remembers
  assert.equal((await until(async () => {
    const r = await sign(next).catch(() => null);
    return r && r.status !== 502 && r;
  }, 'the console again')).status, 403, 'nobody gets a second session for it');
  ok(await owner('person totp ana --remove'));
  assert.equal((await sign('ana')).text, '1\n');
});

test('console, its nginx and the store may die: the next request is answered again', async () => {
  for (const name of ['console', 'front', 'store', 'vault']) {
    process.kill(await house.pid(name), 'SIGKILL');
    if (name === 'vault') { // it has the passphrase from its file again
      await until(async () => (await house.status()).vault?.locked === false, 'the vault unlocked');
    }
    await until(async () => (await ask('ana', 'SELECT 1').catch(() => ({}))).text === '1\n', `after the ${name}'s death`, 30000);
  }
});

test('guessing passwords is throttled, and those who are signed in go on', async () => {
  assert.equal((await ask('ana', 'SELECT 1')).text, '1\n');
  const tried = await Promise.all(Array.from({ length: 60 }, (_, i) =>
    ask(null, 'SELECT 1', {}, { authorization: basic('sal', `not the password ${i}`) })));
  const seen = new Set(tried.map((r) => r.status));
  assert.ok(!seen.has(200) && seen.has(429), [...seen].join());
  assert.equal((await ask('ana', 'SELECT 1')).text, '1\n');
});

test('nothing of it is in a log or a file', async () => {
  const said = house.stderr + house.stdout;
  for (const secret of Object.values(secrets)) assert.ok(!said.includes(secret));
  assert.doesNotMatch(said, /said "|shx1|SELECT/);
  assert.doesNotMatch(said, /"signal":31/, 'no system call that the filter does not know');
});
