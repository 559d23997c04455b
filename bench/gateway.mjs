// The gateway benchmark: plain nginx and Safehouse in front of the same mock, in interleaved runs.
//
// A run measures, for each of the two:
//   unary    processor time of the gateway's processes per request (2 kB bodies, 1 kB answers) at 8
//            keep-alive connections that are never idle: the gateway is busy, as under full load
//   paced    the same at a fixed rate below that: each request wakes an idle gateway
//   event    processor time per SSE event, 500 paced streams, one event every 50 ms each
//   latency  p50 and p99 at one connection, less those without any gateway: what it adds
// in slices that alternate (one, other, other, one; the next run begins with the other), so that a
// machine that grows slower or faster meanwhile does so for both. With Safehouse, sealing is on,
// and the next slice waits until the sealer is idle; what sealer and store use until everything has
// been stored stands beside the gateway's time (all.*). A ratio is that of one run's pair; the
// figures are medians over the runs, with their spread.
//
//   BENCH_RUNS=7        interleaved runs
//   BENCH_QUICK=1       2 runs of a tenth: does it work, not how fast
//   BENCH_RATE=5000     of `paced`, requests a second
//   BENCH_SAFEHOUSE=nginx   a second plain nginx in Safehouse's place: the ratios then show how far
//                       from 1 noise alone takes them
//   BENCH_PIN=0         do not pin: otherwise, from two processors on, the client, the mock and the
//                       gateways share one processor, and the programs behind have the others.
//                       Wake-ups across processors cost up to twice as much on a virtual machine,
//                       and as they come and go they would be most of what is measured.
import { spawn, execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = path.dirname(fileURLToPath(import.meta.url));
const B = path.resolve(process.env.B || 'build');
const quick = Boolean(process.env.BENCH_QUICK);
const runs = Number(process.env.BENCH_RUNS || (quick ? 2 : 7));
const rate = Number(process.env.BENCH_RATE || 5000);
const plainOnly = process.env.BENCH_SAFEHOUSE === 'nginx';
const processors = readFileSync('/proc/self/status', 'utf8')
  .match(/^Cpus_allowed_list:\s*(\S+)/m)[1]
  .split(',').map((r) => r.split('-').map(Number))
  .flatMap(([from, to = from]) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
const pin = processors.length >= 2 && process.env.BENCH_PIN !== '0';
const NGINX = process.env.NGINX || '/usr/sbin/nginx';

const INTERVAL_MS = 50;
const size = quick
  ? { unary: 1000, warmup: 100, latency: 500, streams: 100, windowMs: 200 }
  : { unary: 5000, warmup: 300, latency: 5000, streams: 500, windowMs: 1500 };
// 21 intervals over the streams: their events then fall on as many different moments of the
// interval as there are streams. Over a whole number of seconds they would come in bursts, and a
// gateway that takes several events per wake-up looks cheaper than it is.
const rampMs = 21 * INTERVAL_MS;
// A batch is closed when it is a second old, then stored.
const settleMs = quick ? 100 : 2000;

const dir = mkdtempSync(path.join(tmpdir(), 'safehouse-bench-'));
chmodSync(dir, 0o711); // the programs' own users must be able to enter
const children = [];

function start(name, file, args, options = {}) {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  child.label = name;
  child.said = '';
  child.stderr.on('data', (d) => (child.said = (child.said + d).slice(-4000)));
  child.on('error', (e) => (child.said += e.message));
  children.push(child);
  return child;
}

const gone = (child) =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

async function stopAll() {
  for (const child of [...children].reverse()) {
    if (gone(child)) continue;
    const end = once(child, 'exit');
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 10000);
    await end;
    clearTimeout(late);
  }
  rmSync(dir, { recursive: true, force: true });
}

// Waits until `ready` gives something, or the child has ended, or time is up.
async function until(child, what, ready, limitMs = 30000) {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const value = await ready();
    if (value) return value;
    if (gone(child)) throw new Error(`${child.label} ended before ${what}: ${child.said}`);
    if (Date.now() > deadline)
      throw new Error(`${child.label}: no ${what} in ${limitMs / 1000} s: ${child.said}`);
    await sleep(20);
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.on('connect', () => (socket.destroy(), resolve(true)));
    socket.on('error', () => resolve(false));
  });
}

function childrenOf(pid) {
  return readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
    readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8')
      .split(' ').filter(Boolean).map(Number));
}

function cpuNs(pids) {
  let sum = 0;
  for (const pid of pids)
    for (const tid of readdirSync(`/proc/${pid}/task`))
      sum += Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[0]);
  return sum;
}

const front = String(processors.at(-1)); // the processor of all that speaks HTTP here
const rest = processors.slice(0, -1).join(',');

async function pinTo(cpu, pids) {
  if (!pin) return;
  for (const pid of pids) await run('taskset', ['-a', '-p', '-c', cpu, String(pid)]);
}

async function startUpstream() {
  const child = start('the mock upstream', path.join(B, 'bench/upstream'), [
    '--listen', '127.0.0.1:0', '--events', '400', '--interval-ms', String(INTERVAL_MS)]);
  let line = '';
  child.stdout.on('data', (d) => (line += d));
  const port = await until(child, 'port', () => /^port (\d+)\n/.exec(line)?.[1]);
  await pinTo(front, [child.pid]);
  return Number(port);
}

async function startPlain(name, upstream) {
  const own = mkdtempSync(path.join(dir, 'nginx-'));
  const port = await freePort();
  const conf = path.join(own, 'nginx.conf');
  writeFileSync(conf, readFileSync(path.join(here, 'nginx-plain.conf.in'), 'utf8')
    .replaceAll('@DIR@', own).replaceAll('@PORT@', String(port))
    .replaceAll('@UPSTREAM@', `127.0.0.1:${upstream}`));
  const child = start(name, NGINX, ['-p', own, '-e', path.join(own, 'error.log'), '-c', conf]);
  const pids = await until(child, 'worker', async () => {
    const workers = await answers(port) && childrenOf(child.pid);
    return workers && workers.length > 0 && [child.pid, ...workers];
  });
  await pinTo(front, pids);
  return { name, port, headers: [], gateway: pids, behind: [] };
}

async function startSafehouse(upstream) {
  const program = path.join(B, 'bin/safehouse');
  if (!existsSync(program)) throw new Error(`${program} is not built: make build`);
  const data = path.join(dir, 'safehouse');
  const passphrase = path.join(dir, 'passphrase');
  const config = path.join(dir, 'safehouse.yaml');
  const port = await freePort();
  writeFileSync(passphrase, 'a passphrase for a benchmark only\n', { mode: 0o600 });
  writeFileSync(config, 'gateway:\n  workers: 1\nunencrypted_swap: accept\n', { mode: 0o600 });
  await run(program, ['init', '--dir', data, '--passphrase-file', passphrase]);
  const child = start('safehouse', program, ['up', '--dir', data, '--config', config,
    '--passphrase-file', passphrase, '--listen', `127.0.0.1:${port}`,
    '--upstream', `http://127.0.0.1:${upstream}`]);
  child.stdout.resume();
  await until(child, 'run/ready', () => existsSync(path.join(data, 'run/ready')), 60000);
  const key = JSON.parse((await run(program, ['key', 'create', '--dir', data, '--json'])).stdout);
  const status = JSON.parse((await run(program, ['status', '--dir', data, '--json'])).stdout);
  const named = (name) => status.programs.filter((p) => p.name === name).map((p) => p.pid);
  const masters = named('gateway');
  const gateway = masters.flatMap((pid) => [pid, ...childrenOf(pid)]);
  if (gateway.length < 2)
    throw new Error(`status names no gateway with workers: ${JSON.stringify(status)}`);
  const behind = [...named('sealer'), ...named('store')];
  await pinTo(front, gateway);
  await pinTo(rest, [...behind, ...named('vault'), child.pid]);
  return { name: 'safehouse', port, headers: [`authorization: Bearer ${key.secret}`],
           gateway, behind };
}

async function load(mode, target, options) {
  const args = [mode, '--port', String(target.port)];
  for (const [k, v] of Object.entries(options)) args.push(`--${k}`, String(v));
  for (const h of target.headers) args.push('--header', h);
  if (target.gateway.length) args.push('--watch', `gateway=${target.gateway}`);
  const command = [path.join(B, 'bench/load'), ...args];
  if (pin) command.unshift('taskset', '-c', front);
  const child = start('bench-load', command[0], command.slice(1));
  let out = '';
  child.stdout.on('data', (d) => (out += d));
  await once(child, 'close');
  children.splice(children.indexOf(child), 1);
  if (child.exitCode !== 0) throw new Error(`load on ${target.name}: ${child.said}`);
  const result = JSON.parse(out);
  if (result.errors)
    throw new Error(`load on ${target.name}: ${result.errors} errors: ${out}${child.said}`);
  return result;
}

const requests = { connections: 8, requests: size.unary, warmup: size.warmup, body: 2048 };
const slices = {
  unary: (target) => load('unary', target, requests),
  paced: (target) => load('unary', target, { ...requests, rate }),
  event: (target) => load('stream', target,
    { streams: size.streams, 'ramp-ms': rampMs, 'window-ms': size.windowMs, body: 2048 }),
  latency: (target) => load('unary', target,
    { connections: 1, requests: size.latency, warmup: 200, body: 2048 }),
};

// Until the programs use less than a tenth of a processor.
async function idle(pids) {
  const deadline = Date.now() + 10000;
  for (let last = cpuNs(pids), now; pids.length > 0 && Date.now() < deadline; last = now) {
    await sleep(50);
    now = cpuNs(pids);
    if (now - last < 5e6) return;
  }
}

// The slices of one kind in the order given; what each target's own slices add up to.
async function measure(kind, order) {
  const sums = new Map();
  for (const t of order)
    sums.set(t, { cpu: 0, count: 0, total: 0, p50: [], p99: [], perSecond: [] });
  for (const t of order) {
    const r = await slices[kind](t);
    const s = sums.get(t);
    s.cpu += r.cpu.gateway_ns || 0;
    s.count += r.window_requests ?? r.window_events;
    s.total += r.total_requests ?? r.total_events;
    s.p50.push(r.p50_us);
    s.p99.push(r.p99_us);
    s.perSecond.push(r.window_requests / r.window_s);
    await idle(t.behind);
  }
  for (const s of sums.values()) s.each = s.cpu / s.count / 1000;
  return sums;
}

// Does `work`, which gives a count of requests or events, and adds what the programs behind the
// gateway used for each, from before the first until all is stored.
async function withBehind(pids, work) {
  const before = cpuNs(pids);
  const count = await work();
  if (pids.length > 0) await sleep(settleMs);
  return (cpuNs(pids) - before) / count / 1000;
}

const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;

const figures = new Map(); // name -> { unit, values }

function note(name, unit, value) {
  if (!figures.has(name)) figures.set(name, { unit, values: [] });
  figures.get(name).values.push(value);
}

async function oneRun(round, upstream, nginx, safehouse) {
  const direct = { name: 'direct', port: upstream, headers: [], gateway: [], behind: [] };
  const [one, other] = round % 2 ? [safehouse, nginx] : [nginx, safehouse];
  const order = [one, other, other, one];
  let unary, paced, event;
  const behindRequest = await withBehind(safehouse.behind, async () => {
    unary = await measure('unary', [...order, ...order]);
    paced = await measure('paced', order);
    return unary.get(safehouse).total + paced.get(safehouse).total;
  });
  const behindEvent = await withBehind(safehouse.behind, async () => {
    event = await measure('event', order);
    return event.get(safehouse).total;
  });
  const latency = await measure('latency', [direct, ...order, direct]);
  const added = (t, p) => mean(latency.get(t)[p]) - mean(latency.get(direct)[p]);
  const vs = (f) => f(safehouse) / f(nginx);
  note('gateway.unary.vs_nginx', 'ratio', vs((t) => unary.get(t).each));
  note('gateway.unary_paced.vs_nginx', 'ratio', vs((t) => paced.get(t).each));
  note('gateway.event.vs_nginx', 'ratio', vs((t) => event.get(t).each));
  note('gateway.added_p50.vs_nginx', 'ratio', vs((t) => added(t, 'p50')));
  note('gateway.added_p99.vs_nginx', 'ratio', vs((t) => added(t, 'p99')));
  for (const [prefix, t] of [['gateway', safehouse], ['nginx', nginx]]) {
    note(`${prefix}.unary_us`, 'us', unary.get(t).each);
    note(`${prefix}.unary_paced_us`, 'us', paced.get(t).each);
    note(`${prefix}.event_us`, 'us', event.get(t).each);
    note(`${prefix}.added_p50_us`, 'us', added(t, 'p50'));
    note(`${prefix}.added_p99_us`, 'us', added(t, 'p99'));
    note(`${prefix}.unary_per_s`, '1/s', mean(unary.get(t).perSecond));
  }
  note('all.unary_us', 'us', unary.get(safehouse).each + behindRequest);
  note('all.event_us', 'us', event.get(safehouse).each + behindEvent);
  note('direct.p50_us', 'us', mean(latency.get(direct).p50));
  note('direct.p99_us', 'us', mean(latency.get(direct).p99));
}

function report() {
  const shown = (v, unit) => v.toFixed(unit === 'ratio' ? 3 : unit === '1/s' ? 0 : 1);
  const width = Math.max(...[...figures.keys()].map((n) => n.length));
  console.log(`\n${'median of ' + runs}${' '.repeat(Math.max(1, width - 10))}  value  spread`);
  const lines = [];
  for (const [name, { unit, values }] of figures) {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
    const spread = `${shown(sorted[0], unit)}..${shown(sorted.at(-1), unit)}`;
    console.log(`${name.padEnd(width)} ${shown(middle, unit).padStart(7)}  ${spread} ${unit}`);
    lines.push(`${plainOnly ? 'noise' : 'bench'} ${name} ${shown(middle, unit)} ${unit}`);
  }
  console.log(`\n${lines.join('\n')}`);
}

async function main() {
  const upstream = await startUpstream();
  const nginx = await startPlain('nginx', upstream);
  const safehouse = plainOnly
    ? await startPlain('a second nginx', upstream) : await startSafehouse(upstream);
  if (plainOnly) console.log('A second plain nginx stands in for Safehouse: this shows the noise.');
  console.log(`${runs} interleaved runs, ${processors.length} processors (${cpus()[0].model}), ` +
    (pin ? 'pinned' : 'not pinned'));
  for (let i = 0; i < runs; i++) {
    await oneRun(i, upstream, nginx, safehouse);
    process.stderr.write(`run ${i + 1} of ${runs}\n`);
  }
  report();
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => stopAll().finally(() => process.exit(130)));
}
try {
  await main();
} catch (e) {
  console.error(`bench-gateway: ${e.message}`);
  process.exitCode = 1;
} finally {
  await stopAll();
}
