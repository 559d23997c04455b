// The gateway benchmark: plain nginx, Safehouse and the Portkey gateway in front of the same mock, in
// interleaved runs. With Safehouse everything is on: keys with limits, the log, sealing.
//
// A run measures, for each:
//   unary    processor time of the gateway's processes per request (2 kB bodies, 1 kB answers) at 8
//            keep-alive connections that are never idle: the gateway is busy, as under full load;
//            the same for bodies of 16 kB, 150 kB and 1 MB, while the gateway's files are watched:
//            no body may ever lie in one
//   paced    2 kB at a fixed rate below that: each request wakes an idle gateway (not Portkey)
//   event    processor time per SSE event, 500 paced streams, one event every 50 ms each
//   latency  p50 and p99 at one connection, less those without any gateway: what it adds
// in slices that alternate (one, other, Portkey, other, one; the next run begins with the other), so
// that a machine that grows slower or faster meanwhile does so for all. The next slice waits until
// the sealer is idle; what sealer and store use until everything has been stored stands beside the
// gateway's time (all.*). A ratio is that of one run's pair; the figures are medians over the runs,
// with their spread. After the runs, once, with gateways of their own:
//   rss      memory with 1 000 and 10 000 streams open, each after a request of 2 kB and 4 kB of
//            answer (lib/memory.mjs says how). A process may need two descriptors a stream, so there
//            are two workers, and Portkey's one process has 1 000 only.
//
//   mask     for projects that block or mask (doc/policy.md), with a gateway of their own: processor time
//            a request of 2 kB and 150 kB, against nginx with the same bodies. `inspect` has the detector
//            on and a project without such classes, `block` looks and finds nothing, `mask` has one value
//            to mask in each body; `mask_event` is its streams.
//
//   BENCH_RUNS=7        interleaved runs at most
//   BENCH_SECONDS=200   no further run begins that would end later: the whole is to take less than six minutes
//   BENCH_QUICK=1       2 runs of a tenth: does it work, not how fast
//   BENCH_ONLY=a,b      of unary, sizes, paced, event, latency, rss, mask; all of them unless given
//   BENCH_RATE=5000     of `paced`, requests a second
//   BENCH_PEERS=nginx   without Portkey, which is installed from npm on first use
//   BENCH_SAFEHOUSE=nginx   a second plain nginx in Safehouse's place: the ratios then show how far
//                       from 1 noise alone takes them
//   BENCH_PIN=0         do not pin: otherwise, from two processors on, the client, the mock and the
//                       gateways share one processor, and the programs behind have the others.
//                       Wake-ups across processors cost up to twice as much on a virtual machine,
//                       and as they come and go they would be most of what is measured.
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { mean, note, report } from './lib/figures.mjs';
import { startPlain, startPortkey, startSafehouse, startUpstream } from './lib/gateways.mjs';
import { hold, load, measure } from './lib/load.mjs';
import { memoryMb, withoutFiles } from './lib/memory.mjs';
import { cpuNs, idle, pinned, processors, stop, stopAll } from './lib/processes.mjs';

const quick = Boolean(process.env.BENCH_QUICK);
const runs = Number(process.env.BENCH_RUNS || (quick ? 2 : 7));
const seconds = Number(process.env.BENCH_SECONDS || 200);
const POLICY = { runs: 2, seconds: 60 };
const rate = Number(process.env.BENCH_RATE || 5000);
const only = process.env.BENCH_ONLY?.split(',');
const wanted = (kind) => !only || only.includes(kind);
const plainOnly = process.env.BENCH_SAFEHOUSE === 'nginx';
const withPortkey = (process.env.BENCH_PEERS ?? 'nginx,portkey').includes('portkey');

const INTERVAL_MS = 50;
const tenth = (n) => (quick ? Math.ceil(n / 10) : n);
const streams = { streams: quick ? 100 : 500, 'window-ms': quick ? 200 : 1500 };
// 21 intervals over the streams: their events then fall on as many different moments of the
// interval as there are streams. Over a whole number of seconds they would come in bursts, and a
// gateway that takes several events per wake-up looks cheaper than it is.
streams['ramp-ms'] = 21 * INTERVAL_MS;
// A batch is closed when it is a second old, then stored.
const settleMs = quick ? 100 : 2000;

// name of the figure's end -> bytes, requests of a slice, and of one of Portkey's
const SMALL = { end: '', body: 2048, requests: 5000, portkey: 400 };
const LARGE = [
  { end: '_16k', body: 16 << 10, requests: 1500, portkey: 200 },
  { end: '_150k', body: 150 << 10, requests: 300, portkey: 60 },
  { end: '_1m', body: 1 << 20, requests: 60, portkey: 30 },
];

const RSS_STREAMS = { '1k': 1000, '10k': 10000 };
const RSS_EVENTS = 20; // of about 200 bytes
const RSS_WORKERS = 2;

// What the targets of a run are; `order` begins with the other of two in every second run.
function lineUp(round, targets) {
  const { nginx, safehouse, portkey } = targets;
  const [one, other] = round % 2 ? [safehouse, nginx] : [nginx, safehouse];
  return { ...targets, pair: [one, other, other, one],
           order: [one, other, ...(portkey ? [portkey] : []), other, one] };
}

const requests = (size, { portkey }) => (target) => load('unary', target, {
  connections: 8, body: size.body,
  warmup: tenth(target === portkey ? 40 : Math.min(300, size.requests / 2)),
  requests: tenth(target === portkey ? size.portkey : size.requests) });

// Does `work`, which gives a count of requests or events, and adds what the programs behind the
// gateway used for each, from before the first until all is stored.
async function withBehind(pids, work) {
  const before = cpuNs(pids);
  const count = await work();
  if (pids.length > 0) await sleep(settleMs);
  return (cpuNs(pids) - before) / count / 1000;
}

const named = ({ nginx, safehouse, portkey }) =>
  [['gateway', safehouse], ['nginx', nginx], ['portkey', portkey]].filter(([, t]) => t);

// The ratio to nginx, and how many times less than Portkey.
function noteRatios(kind, sums, it) {
  note(`gateway.${kind}.vs_nginx`, 'ratio', sums.get(it.safehouse).each / sums.get(it.nginx).each);
  if (sums.has(it.portkey))
    note(`gateway.${kind}.vs_portkey`, 'ratio',
      sums.get(it.portkey).each / sums.get(it.safehouse).each);
}

function noteEach(kind, sums, it) {
  for (const [prefix, t] of named(it))
    if (sums.has(t)) note(`${prefix}.${kind}_us`, 'us', sums.get(t).each);
}

async function unary(it) {
  let sums;
  const behind = await withBehind(it.safehouse.behind, async () => {
    sums = await measure(requests(SMALL, it), [...it.order, ...it.pair]);
    return sums.get(it.safehouse).total;
  });
  noteRatios('unary', sums, it);
  noteEach('unary', sums, it);
  for (const [prefix, t] of named(it))
    note(`${prefix}.unary_per_s`, '1/s', mean(sums.get(t).perSecond));
  note('all.unary_us', 'us', sums.get(it.safehouse).each + behind);
}

// What a byte of 1 MB costs, over what one of 150 kB costs; both above what 2 kB cost.
function linearity(cost) {
  const perByte = (i) => (cost[i] - cost[0]) / (LARGE[i - 1].body - SMALL.body);
  return perByte(LARGE.length) / perByte(LARGE.length - 1);
}

// Large bodies. Page faults stand beside the times, as some machines take a hundred times longer for
// one than others do.
async function sizes(it) {
  const cost = new Map([[it.safehouse, []], [it.nginx, []]]);
  for (const size of [SMALL, ...LARGE]) {
    const slice = requests(size, it);
    const sums = await measure((target) => size === SMALL || target === it.portkey
      ? slice(target)
      : withoutFiles(target, size.body * tenth(size.requests), () => slice(target)), it.order);
    for (const [t, list] of cost) list.push(sums.get(t).each);
    if (size === SMALL) continue;
    noteRatios(`unary${size.end}`, sums, it);
    noteEach(`unary${size.end}`, sums, it);
    for (const [prefix, t] of named(it))
      if (cost.has(t)) note(`${prefix}.unary${size.end}_faults`, 'each', sums.get(t).faults);
  }
  for (const [prefix, t] of named(it))
    if (cost.has(t)) note(`${prefix}.large.linearity`, 'ratio', linearity(cost.get(t)));
}

async function paced(it) {
  const slice = (target) => load('unary', target, {
    connections: 8, body: SMALL.body, warmup: tenth(300), requests: tenth(5000), rate });
  const sums = await measure(slice, it.pair);
  noteRatios('unary_paced', sums, it);
  noteEach('unary_paced', sums, it);
}

async function event(it) {
  let sums;
  const behind = await withBehind(it.safehouse.behind, async () => {
    sums = await measure((target) => load('stream', target, { ...streams, body: 2048 }), it.order);
    return sums.get(it.safehouse).total;
  });
  noteRatios('event', sums, it);
  noteEach('event', sums, it);
  note('all.event_us', 'us', sums.get(it.safehouse).each + behind);
}

async function latency(it) {
  const slice = (target) => load('unary', target, { connections: 1, body: 2048, warmup: tenth(200),
    requests: tenth(target === it.portkey ? 400 : 5000) });
  const sums = await measure(slice, [it.direct, ...it.order, it.direct]);
  const added = (t, p) => mean(sums.get(t)[p]) - mean(sums.get(it.direct)[p]);
  for (const p of ['p50', 'p99']) {
    note(`gateway.added_${p}.vs_nginx`, 'ratio', added(it.safehouse, p) / added(it.nginx, p));
    for (const [prefix, t] of named(it)) note(`${prefix}.added_${p}_us`, 'us', added(t, p));
    note(`direct.${p}_us`, 'us', mean(sums.get(it.direct)[p]));
  }
}

const kinds = { unary, sizes, paced, event, latency };

// Gives how many runs there were, at least one.
async function repeat(count, limit, run) {
  const begin = Date.now();
  for (let i = 0; i < count; i++) {
    const mean = i && (Date.now() - begin) / i;
    if (i && Date.now() - begin + mean > limit * 1000) return i;
    await run(i);
    process.stderr.write(`run ${i + 1} of ${count}\n`);
  }
  return count;
}

async function oneRun(round, targets) {
  const it = lineUp(round, targets);
  for (const [kind, work] of Object.entries(kinds)) if (wanted(kind)) await work(it);
}

// The streams' first halves come from an upstream of their own, which then says nothing more.
async function rss() {
  const upstream = await startUpstream({ events: RSS_EVENTS, 'interval-ms': 100, hold: 'yes' });
  const kinds = [['gateway', () => plainOnly ? startPlain('a second nginx', upstream, RSS_WORKERS)
                                             : startSafehouse('safehouse', upstream, RSS_WORKERS)],
                 ['nginx', () => startPlain('nginx', upstream, RSS_WORKERS)]];
  if (withPortkey) kinds.push(['portkey', () => startPortkey('portkey', upstream)]);
  for (const [prefix, begin] of kinds) {
    const target = await begin();
    note(`${prefix}.rss_idle_mb`, 'MB', memoryMb(target).all);
    for (const [end, count] of Object.entries(RSS_STREAMS)) {
      if (prefix === 'portkey' && count > 1000) continue;
      const ramp = prefix === 'portkey' ? 10 * count : count; // ms; Portkey is slow to begin one
      const m = await hold(target, { streams: count, body: 2048, hold: RSS_EVENTS,
        'ramp-ms': ramp, 'patience-ms': 60000 }, () => memoryMb(target));
      note(`${prefix}.rss_${end}_streams_mb`, 'MB', m.all);
      if (m.ring > 0) note(`${prefix}.rss_${end}_streams_ring_mb`, 'MB', m.ring);
      await idle(target.behind);
    }
    await stop(target.child);
  }
  await stop(upstream.child);
}

const POLICIES = `
detect:
  enabled: true
  projects:
    block: {classes: {github-token: block, private-key: block, email: block}}
    mask: {classes: {github-token: mask, private-key: mask, email: mask}}
`;
const SECRET = 'the token is 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ZFG49K';

async function policies() {
  const upstream = await startUpstream({ events: 400, 'interval-ms': INTERVAL_MS });
  const nginx = await startPlain('nginx', upstream, 1);
  const inspect = await startSafehouse('safehouse', upstream, 1, POLICIES);
  const block = await inspect.withProject('block'), mask = await inspect.withProject('mask');
  const order = [nginx, inspect, block, mask, mask, block, inspect, nginx];
  const text = (target) => (target === mask || target === nginx ? { text: SECRET } : {});
  const noteAll = (end, sums) => {
    for (const [name, t] of [['inspect', inspect], ['block', block], ['mask', mask]]) {
      if (!sums.has(t)) continue;
      note(`gateway.${name}${end}.vs_nginx`, 'ratio', sums.get(t).each / sums.get(nginx).each);
      note(`gateway.${name}${end}_us`, 'us', sums.get(t).each);
    }
    note(`nginx.mask${end}_us`, 'us', sums.get(nginx).each);
  };
  await repeat(Math.min(runs, POLICY.runs), POLICY.seconds, async () => {
    for (const size of [SMALL, LARGE[1]])
      noteAll(size.end, await measure((target) => load('unary', target, { connections: 8,
        body: size.body, warmup: tenth(Math.min(300, size.requests / 2)),
        requests: tenth(size.requests), ...text(target) }), order));
    noteAll('_event', await measure((target) => load('stream', target,
      { ...streams, body: 2048, ...text(target) }), [nginx, mask, mask, nginx]));
  });
  for (const t of [inspect, nginx, upstream]) await stop(t.child);
}

// The kinds that take turns; gives how many runs there were.
async function interleaved() {
  const direct = await startUpstream({ events: 400, 'interval-ms': INTERVAL_MS });
  const nginx = await startPlain('nginx', direct, 1);
  const safehouse = await (plainOnly ? startPlain('a second nginx', direct, 1)
                                     : startSafehouse('safehouse', direct, 1));
  const portkey = withPortkey ? await startPortkey('portkey', direct) : undefined;
  const done = await repeat(runs, seconds, (i) => oneRun(i, { direct, nginx, safehouse, portkey }));
  for (const t of [portkey, safehouse, nginx, direct]) if (t) await stop(t.child);
  return done;
}

// What fails takes no other part's figures with it.
async function part(work) {
  try {
    return await work();
  } catch (e) {
    console.error(`bench-gateway: ${e.message}`);
    process.exitCode = 1;
  }
}

async function main() {
  console.log(`up to ${runs} interleaved runs, ${processors.length} processors (${cpus()[0].model}), ` +
    (pinned ? 'pinned' : 'not pinned'));
  if (plainOnly) console.log('A second plain nginx stands in for Safehouse: this shows the noise.');
  const done = Object.keys(kinds).some(wanted) ? await part(interleaved) : 1;
  if (wanted('rss')) await part(rss);
  if (wanted('mask') && !plainOnly) await part(policies);
  report(plainOnly ? 'noise' : 'bench', done ?? 'fewer');
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => stopAll().finally(() => process.exit(130)));
}
await part(main);
await stopAll();
