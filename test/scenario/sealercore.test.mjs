// With a core of the sealer and the database, nothing sealed more than a second earlier opens.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { Installation, BIN, until } from './lib/installation.mjs';
import { Upstream } from './lib/upstream.mjs';

const run = promisify(execFile);
const COREOPEN = join(process.env.SAFEHOUSE_SCAN ?? join(BIN, '..', 'test', 'tools', 'scan'), '..', 'coreopen');

test('the attempt would find a key that is there', async () => {
  await run(COREOPEN, ['--self-test']);
});

test('a core of the sealer opens nothing', { timeout: 300000 }, async () => {
  const upstream = await Upstream.start();
  const house = await Installation.start({ upstream: upstream.url });
  try {
    const client = new OpenAI({ apiKey: house.key, baseURL: `${house.gateway}/v1` });
    for (let i = 0; i < 10; i++)
      await client.chat.completions.create({
        model: 'gpt-4o-mini', user: `person ${i % 2}`, messages: [{ role: 'user', content: `question ${i}` }],
      });
    await house.stored(10);
    const end = Date.now() + 1000;
    await until(() => Date.now() > end, 'a second');
    const core = join(house.home, 'core');
    const pid = await house.pid('sealer');
    await run('gcore', ['-o', core, String(pid)]);
    const keys = await house.rows('SELECT hex(id) AS id, hex(wrapped) AS wrapped FROM data_keys');
    const cells = await house.rows('SELECT body FROM turns');
    assert.equal(cells.length, 10);
    await writeFile(join(house.home, 'rows'), [
      ...keys.map((k) => `key ${k.id} ${k.wrapped}`),
      ...cells.map((c) => `cell ${c.body.slice('shx1.'.length)}`), '',
    ].join('\n'));
    const { stdout } = await run(COREOPEN, [`${core}.${pid}`, join(house.home, 'rows')]);
    assert.match(stdout, /^\d{3,} windows tried against \d+ keys and 10 records/);
  } finally {
    await house.destroy();
    await upstream.stop();
  }
});
