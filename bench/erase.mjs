// Erasing a person with one row and one with a million (ROWS=1000000), several persons of one row each and
// then the one with all the rows.
//   bench erase.one_ms, erase.million_ms              from the vault's hearing of it to the receipt
//   bench erase.command_one_ms, .command_million_ms   the whole of `safehouse subject erase`, its proof too
import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Installation, until } from '../test/scenario/lib/installation.mjs';
import { Upstream } from '../test/scenario/lib/upstream.mjs';

const run = promisify(execFile);
const rows = Number(process.env.ROWS ?? 1000000);
const upstream = await Upstream.start();
const house = await Installation.start({ upstream: upstream.url });
const names = ['one-1', 'one-2', 'one-3', 'one-4', 'one-5', 'million'];
for (const user of names) {
  const r = await fetch(`${house.gateway}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o-mini', user, messages: [{ role: 'user', content: 'hello' }] }) });
  await r.text();
}
await house.stored(names.length);
const id = JSON.parse(await house.cli('subject', 'find', 'million', '--dir', house.dir, '--json')).ids[0].id;
await house.stop();
const store = join(house.dir, 'store'), owner = await stat(store);
await run(join(process.env.B ?? 'build', 'bench', 'erase_rows'), [store, id, String(rows)]);
await run('chown', ['-R', `${owner.uid}:${owner.gid}`, store]);
await house.up();
const [{ n }] = await house.rows(`SELECT count() AS n FROM turns WHERE subject = '${id}'`);
if (Number(n) !== rows + 1) throw new Error(`${n} rows`);
const times = {}, vault = {};
for (const name of names) {
  const since = performance.now();
  await house.cli('subject', 'erase', name, '--dir', house.dir, '--reason', 'bench', '--json');
  times[name] = performance.now() - since;
  const said = await until(() => [...house.stderr.matchAll(/erasure-answered.*?us\D+(\d+)/g)][names.indexOf(name)], 'the log');
  vault[name] = Number(said[1]) / 1000;
}
const middle = (of) => names.slice(0, 5).map((name) => of[name]).sort((a, b) => a - b)[2];
console.log(`bench erase.one_ms ${middle(vault).toFixed(1)} ms`);
console.log(`bench erase.million_ms ${vault.million.toFixed(1)} ms`);
console.log(`bench erase.command_one_ms ${middle(times).toFixed(1)} ms`);
console.log(`bench erase.command_million_ms ${times.million.toFixed(1)} ms`);
await house.destroy();
await upstream.stop();
