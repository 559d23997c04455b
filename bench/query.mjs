// The dashboard's queries (examples/grafana.json) for BENCH_DAYS (14) of the 60 days of BENCH_ROWS interactions
// (10^7), all projects, through the console over HTTP and of the engine directly, each on its own copy of the same rows, in turn, for 5 rounds after one
// that only warms up. `query.vs_engine` is the sum of the console's times by the engine's, the median of the
// rounds; `query.fixed_us` what the console adds to a statement that does nothing (SELECT 1, median of 200).
import { spawn, execFileSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import http from 'node:http';
import { performance } from 'node:perf_hooks';
import { Installation } from '../test/scenario/lib/installation.mjs';
import { dashboard } from '../test/scenario/lib/grafana.mjs';

const rows = Number(process.env.BENCH_ROWS ?? 10_000_000);
const ROUNDS = 5;
const TOOL = `${process.env.B ?? 'build'}/bench/query`;
const PASSWORD = 'correct horse battery staple';
const FROM = Date.UTC(2026, 8, 1) / 1000; // of the rows that TOOL makes
const days = Number(process.env.BENCH_DAYS ?? 14);
const queries = dashboard({ from: FROM, to: FROM + days * 86400,
  projects: Array.from({ length: 20 }, (_, i) => `project-${i}`) });
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

const home = mkdtempSync(join(tmpdir(), 'safehouse-bench-'));
const house = await Installation.start({ args: ['--console', '127.0.0.1:0'], env: { XDG_RUNTIME_DIR: '' } });
let engine;
try {
  writeFileSync(join(home, 'password'), PASSWORD + '\n', { mode: 0o600 });
  await house.cli('person', 'add', 'ana', '--password-file', join(home, 'password'), '--dir', house.dir);
  await house.cli('person', 'grant', 'ana', '--role', 'analyst', '--dir', house.dir);
  await house.stop();

  // The rows, twice. What root makes in the store's folder is the store's.
  const store = join(house.dir, 'store'), own = join(home, 'engine'), { uid, gid } = statSync(store);
  for (const f of readdirSync(store)) rmSync(join(store, f), { recursive: true });
  execFileSync(TOOL, ['fill', store, String(rows)], { stdio: 'inherit' });
  execFileSync('cp', ['-a', store, own]);
  execFileSync('chown', ['-R', `${uid}:${gid}`, store]);
  await house.up();
  const url = new URL(JSON.parse(readFileSync(join(house.dir, 'run', 'ready'), 'utf8')).console);

  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const authorization = `Basic ${Buffer.from(`ana:${PASSWORD}`).toString('base64')}`;
  // Microseconds from the request to the answer's last byte.
  const consoleTakes = (sql) => new Promise((done, fail) => {
    const from = performance.now();
    http.request(url, { agent, method: 'POST', path: '/?default_format=RowBinary', headers: { authorization } }, (r) => {
      let text = '';
      r.on('data', (d) => { if (r.statusCode !== 200) text += d; });
      r.on('end', () => (r.statusCode === 200 ? done((performance.now() - from) * 1000) : fail(new Error(`${sql}: ${text}`))));
    }).on('error', fail).end(sql);
  });
  // In a session of its own, as the store is: the scheduler shares by session where the kernel groups by it.
  engine = spawn(TOOL, ['ask', own], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  const answers = createInterface({ input: engine.stdout })[Symbol.asyncIterator]();
  const engineTakes = async (sql) => {
    engine.stdin.write(sql + '\n');
    const { value, done } = await answers.next();
    if (done) throw new Error(`the engine refused ${sql}`);
    return Number(value.split(' ')[0]);
  };

  const ratios = [];
  const each = queries.map(() => ({ console: [], engine: [] }));
  for (let round = 0; round <= ROUNDS; round++) {
    let ours = 0, theirs = 0;
    for (const [i, { sql }] of queries.entries()) {
      const first = (i + round) % 2 === 0; // neither always comes second
      let c = first ? await consoleTakes(sql) : 0;
      const e = await engineTakes(sql);
      if (!first) c = await consoleTakes(sql);
      ours += c;
      theirs += e;
      if (round > 0) { each[i].console.push(c); each[i].engine.push(e); }
    }
    if (round > 0) ratios.push(ours / theirs);
  }
  for (const [i, { view }] of queries.entries())
    console.log(`${view.padEnd(28)} ${(median(each[i].console) / 1000).toFixed(1).padStart(8)} ms, ` +
      `engine ${(median(each[i].engine) / 1000).toFixed(1).padStart(8)} ms`);
  const ones = [[], []];
  for (let i = 0; i < 200; i++) {
    ones[0].push(await consoleTakes('SELECT 1'));
    ones[1].push(await engineTakes('SELECT 1'));
  }
  console.log(`rounds: ${ratios.map((r) => r.toFixed(3)).join(' ')}`);
  console.log(`bench query.count ${queries.length} 1`);
  console.log(`bench query.sum_ms ${(each.reduce((s, x) => s + median(x.console), 0) / 1000).toFixed(0)} ms`);
  console.log(`bench query.vs_engine ${median(ratios).toFixed(3)} ratio`);
  console.log(`bench query.fixed_us ${(median(ones[0]) - median(ones[1])).toFixed(0)} us`);
} finally {
  engine?.stdin.end();
  await house.destroy();
  rmSync(home, { recursive: true, force: true });
}
