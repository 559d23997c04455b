// What opening costs, end to end: `safehouse query --open` over BENCH_TURNS turns (2 000) of 16 kB, from
// the store's rows through the vault, which notes them in the ledger and unseals, to decompressed text on
// standard output. `open.mb_s` is text for each second of processor time that store, vault and command
// line used together: what one core opens.
import OpenAI from '../test/scenario/node_modules/openai/index.mjs';
import { readFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
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

const upstream = await Upstream.start();
const house = await Installation.start({ upstream: upstream.url });
try {
  upstream.answer = (x) => x.json(completion(text(8000)));
  const client = new OpenAI({ apiKey: house.key, baseURL: `${house.gateway}/v1` });
  for (let n = 0; n < turns; n += 20)
    await Promise.all(Array.from({ length: 20 }, (_, i) => client.chat.completions.create({
      model: 'gpt-4o-mini', user: `person ${(n + i) % 50}`, messages: [{ role: 'user', content: text(8000) }] })));
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
} finally {
  await house.destroy();
  await upstream.stop();
}

// Of children that have ended, from /proc/self/stat: cutime, cstime.
function childrenCpu() {
  const f = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ');
  return (Number(f[13]) + Number(f[14])) / TICK;
}
