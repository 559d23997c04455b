// What SQL can and cannot reach.
import test from 'node:test';
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { Installation } from './lib/installation.mjs';
import { Upstream, completion } from './lib/upstream.mjs';

let upstream, house;
test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ upstream: upstream.url });
  upstream.answer = (x) => x.json(completion('quote " tab \t comma, line\nbreak 中文'));
  const client = new OpenAI({ apiKey: house.key, baseURL: `${house.gateway}/v1` });
  await client.chat.completions.create({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'secret-prompt' }] });
  await house.stored(1);
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const query = (...args) => house.cliResult('query', '--dir', house.dir, ...args);

test('the formats', async () => {
  for (const format of ['TabSeparated', 'JSON', 'JSONEachRow', 'CSV', 'Pretty']) {
    const r = await query('--format', format, 'SELECT model, count() AS n FROM interactions GROUP BY model');
    assert.equal(r.code, 0, r.stderr);
    assert.match(r.stdout, /gpt-4o-mini/);
  }
});

test('content is sealed until it is opened, in every format', async () => {
  for (const format of ['TabSeparated', 'JSON', 'JSONEachRow', 'CSV', 'Pretty']) {
    const sealed = await query('--format', format, 'SELECT body FROM turns');
    assert.match(sealed.stdout, /shx1\./);
    assert.doesNotMatch(sealed.stdout, /secret-prompt/);
    const opened = await query('--format', format, '--open', '--reason', 'a test', 'SELECT body FROM turns');
    assert.equal(opened.code, 0, opened.stderr);
    assert.match(opened.stdout, /secret-prompt/);
    assert.doesNotMatch(opened.stdout, /shx1\./);
  }
  const [row] = await house.rows('SELECT body FROM turns', '--open', '--reason', 'a test');
  assert.equal(JSON.parse(row.body).answer.choices[0].message.content, 'quote " tab \t comma, line\nbreak 中文');
});

test('opening needs a reason and an unlocked vault', async () => {
  assert.notEqual((await query('--open', 'SELECT body FROM turns')).code, 0);
  await house.cli('lock', '--dir', house.dir);
  const r = await query('--open', '--reason', 'x', 'SELECT body FROM turns');
  assert.equal(r.code, 3);
  assert.doesNotMatch(r.stdout, /secret-prompt/);
  await house.cli('unlock', '--dir', house.dir, '--passphrase-file', house.passphraseFile);
  assert.match((await query('--open', '--reason', 'x', 'SELECT body FROM turns')).stdout, /secret-prompt/);
});

const REFUSED = [
  "SELECT * FROM file('/etc/passwd')",
  "SELECT * FROM file('/etc/passwd', 'LineAsString')",
  "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
  "SELECT * FROM remote('127.0.0.1', system.one)",
  "SELECT * FROM s3('http://127.0.0.1:1/b/k')",
  'SELECT * FROM executable(\'id\', \'TSV\', \'a String\')',
  'SELECT * FROM system.tables',
  'SELECT * FROM `system`.`tables`',
  'SELECT * FROM "system"."settings"',
  'SELECT * FROM information_schema.tables',
  'SELECT 1; SELECT 2',
  'DROP TABLE turns',
  'INSERT INTO turns SELECT * FROM turns',
  'ALTER TABLE turns DELETE WHERE 1',
  "SELECT 1 INTO OUTFILE '/tmp/x'",
  'SELECT * FROM interactions SETTINGS readonly = 0',
  'SET readonly = 0',
  "WITH x AS (SELECT * FROM file('/etc/passwd')) SELECT * FROM x",
  "SELECT (SELECT count() FROM url('http://127.0.0.1:1/', 'LineAsString'))",
  "SELECT 1 UNION ALL SELECT 2 FROM fi/**/le('/etc/passwd')",
  "SELECT count() FROM interactions JOIN file('/etc/passwd', 'LineAsString', 'a String') AS f ON 1 = 1",
  "SELECT * FROM interactions, numbers(10)",
  "CREATE TABLE x ENGINE = Memory AS SELECT 1",
  "SYSTEM SHUTDOWN",
  "KILL QUERY WHERE 1",
  "DESCRIBE TABLE url('http://127.0.0.1:1/')",
  "EXPLAIN SELECT * FROM file('/etc/passwd')",
  "SELECT file('/etc/passwd')",
];
for (const sql of REFUSED)
  test(`refused: ${sql}`, async () => {
    const r = await query('--format', 'TabSeparated', sql);
    assert.notEqual(r.code, 0, r.stdout);
    assert.equal(r.stdout, '');
    assert.match(r.stderr, /^safehouse: /);
    assert.doesNotMatch(r.stderr, /root:x:0/);
  });
