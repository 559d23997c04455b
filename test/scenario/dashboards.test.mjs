// The library of dashboard queries: every view is there, documented, and on the Grafana dashboard, whose
// queries the store answers.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import OpenAI from 'openai';
import { Installation } from './lib/installation.mjs';
import { Upstream, completion } from './lib/upstream.mjs';
import { dashboard } from './lib/grafana.mjs';

let upstream, house;
test.before(async () => {
  upstream = await Upstream.start();
  house = await Installation.start({ upstream: upstream.url });
  upstream.answer = (x) => x.json(completion('hello'));
  const client = new OpenAI({ apiKey: house.key, baseURL: `${house.gateway}/v1`, maxRetries: 0 });
  const messages = [{ role: 'user', content: 'my mail is someone@example.org' }];
  await client.chat.completions.create({ model: 'gpt-4o-mini', messages });
  await client.chat.completions.create({ model: 'gpt-4o-mini', messages, user: 'other' });
  await house.stored(2);
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const now = Math.floor(Date.now() / 1000);
const queries = dashboard({ from: now - 32 * 86400, to: now + 86400, projects: ['default'] });

test('every view is documented and on the dashboard', async () => {
  const views = (await house.cli('query', '--dir', house.dir, '--format', 'TabSeparated', 'SHOW TABLES')).split('\n')
    .filter((t) => t.startsWith('dash_')).sort();
  const text = await readFile(new URL('../../doc/dashboards.md', import.meta.url), 'utf8');
  assert.ok(views.length >= 28, `${views.length} views`);
  assert.deepEqual([...text.matchAll(/^\| `(dash_\w+)` \| .+ \|$/gm)].map((m) => m[1]).sort(), views);
  assert.deepEqual(queries.map((q) => q.view).filter((v) => v.startsWith('dash_')).sort(), views);
});

// Views of what has not happened in this installation.
const EMPTY = ['dash_errors', 'dash_refusals', 'dash_leaks', 'dash_first_token', 'dash_first_token_by_model', 'dash_output_speed'];

test('the dashboard is answered', async () => {
  for (const { view, sql } of queries) {
    const r = await house.cliResult('query', '--dir', house.dir, '--format', 'JSONEachRow', sql);
    assert.equal(r.code, 0, `${view}: ${r.stderr}`);
    assert.equal(r.stdout === '', EMPTY.includes(view), `${view}: ${r.stdout || 'nothing'}`);
  }
});

test('the numbers are those of the log', async () => {
  const [row] = await house.rows('SELECT sum(requests) AS n, sum(complete) AS c FROM dash_requests');
  assert.deepEqual([Number(row.n), Number(row.c)], [2, 2]);
  const [people] = await house.rows('SELECT subjects, conversations FROM dash_active');
  assert.deepEqual([Number(people.subjects), Number(people.conversations)], [2, 2]);
});
