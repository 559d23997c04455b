// What opening costs. By the command line, end to end: `safehouse query --open` over BENCH_TURNS turns (2 000) of 16 kB, from
// the store's rows through the vault, which notes them in the ledger and unseals, to decompressed text on
// standard output. `open.mb_s` is text for each second of processor time that store, vault and command
// line used together: what one core opens. Then by the console (open=1): `open.http_mb_s` of the same turns and
// `open.http_cells_s` of as many with 100 bytes each, for each second of processor time of store, vault, console and
// its nginx together.
import OpenAI from '../test/scenario/node_modules/openai/index.mjs';
import { readFileSync, writeFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { Installation } from '../test/scenario/lib/installation.mjs';
import { Upstream, completion } from '../test/scenario/lib/upstream.mjs';

const turns = Number(process.env.BENCH_TURNS ?? 2000);
const TICK = 100; // of /proc/PID/stat, sysconf(_SC_CLK_TCK)
const words = readFileSync(new URL('../doc/ledger.md', import.meta.url), 'utf8').split(/\s+/);
const text = (n) => {
  let out = '';
  while (out.length < n) out += words[Math.floor(Math.random() * words.length)] + ' ';
  return out;
};
const cpuOf = (pid) => {
  const f = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(f[11]) + Number(f[12])) / TICK;
};
// The output's length.
const open = (house) => new Promise((done, failed) => {
  execFile(`${process.env.B ?? 'build'}/bin/safehouse`, ['query', '--dir', house.dir, '--open', '--reason',
    'benchmark', '--format', 'TabSeparated', 'SELECT body FROM turns'], { maxBuffer: 1 << 30, encoding: 'buffer' },
  (e, stdout) => (e ? failed(e) : done(stdout.length)));
});

// All of a program's processes.
const cpuOfAll = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
  .reduce((sum, child) => sum + cpuOf(child), cpuOf(pid));

const upstream = await Upstream.start();
const house = await Installation.start({ upstream: upstream.url, args: ['--console', '127.0.0.1:0'], env: { XDG_RUNTIME_DIR: '' },
  config: 'vault:\n  approval_above: 10000000\n' });
try {
  const log = async (apiKey, size) => {
    const client = new OpenAI({ apiKey, baseURL: `${house.gateway}/v1` });
    upstream.answer = (x) => x.json(completion(text(size)));
    for (let n = 0; n < turns; n += 20)
      await Promise.all(Array.from({ length: 20 }, (_, i) => client.chat.completions.create({
        model: 'gpt-4o-mini', user: `person ${(n + i) % 50}`, messages: [{ role: 'user', content: text(size) }] })));
  };
  await log(house.key, 8000);
  await house.stored(turns);
  const pids = [await house.pid('store'), await house.pid('vault')];
  const used = () => pids.reduce((sum, pid) => sum + cpuOf(pid), 0);
  for (let i = 0; i < 3; i++) {
    const before = used(), from = performance.now(), own = childrenCpu();
    const bytes = await open(house);
    const cpu = used() - before + childrenCpu() - own, wall = (performance.now() - from) / 1000;
    if (i === 0) continue;
    console.log(`bench open.mb_s ${(bytes / 1e6 / cpu).toFixed(1)} MB/s`);
    console.log(`bench open.wall_mb_s ${(bytes / 1e6 / wall).toFixed(1)} MB/s`);
  }
  await log(JSON.parse(await house.cli('key', 'create', '--project', 'small', '--json', '--dir', house.dir)).secret, 50);
  await house.stored(2 * turns);
  await throughConsole();
} finally {
  await house.destroy();
  await upstream.stop();
}

async function throughConsole() {
  const url = JSON.parse(readFileSync(join(house.dir, 'run', 'ready'), 'utf8')).console;
  writeFileSync(join(house.home, 'pw'), 'only for this benchmark\n', { mode: 0o600 });
  await house.cli('person', 'add', 'rea', '--role', 'reader', '--cells-per-hour', '10000000', '--password-file', join(house.home, 'pw'), '--dir', house.dir);
  const names = ['store', 'vault', 'console', 'front'];
  const pids = await Promise.all(names.map((name) => house.pid(name)));
  const used = () => pids.map(cpuOfAll);
  for (const [project, name, unit] of [['default', 'open.http_mb_s', 'MB/s'], ['small', 'open.http_cells_s', 'cells/s']])
    for (let i = 0; i < 3; i++) {
      const before = used(), from = performance.now();
      const r = await fetch(`${url}/?open=1&reason=benchmark`, { method: 'POST', body: `SELECT body FROM turns WHERE project = '${project}'`,
        headers: { authorization: `Basic ${Buffer.from('rea:only for this benchmark').toString('base64')}` } });
      const { length } = Buffer.from(await r.arrayBuffer());
      if (r.status !== 200 || Number(r.headers.get('x-safehouse-cells')) !== turns) throw new Error(`${r.status} ${r.headers.get('x-safehouse-cells')}`);
      const wall = (performance.now() - from) / 1000, each = used().map((s, k) => s - before[k]), cpu = each.reduce((a, b) => a + b);
      if (i === 0) continue; // signs in
      const amount = unit === 'MB/s' ? length / 1e6 : turns;
      console.log(`bench ${name} ${(amount / cpu).toFixed(1)} ${unit}`);
      console.log(`bench ${name.replace('http', 'http_wall')} ${(amount / wall).toFixed(1)} ${unit}`);
      console.log(`  of the processor time ${names.map((n, k) => `${n} ${Math.round((100 * each[k]) / cpu)} %`).join(', ')}`);
    }
}

// Of children that have ended, from /proc/self/stat: cutime, cstime.
function childrenCpu() {
  const f = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ');
  return (Number(f[13]) + Number(f[14])) / TICK;
}
