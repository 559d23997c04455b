// bench/load against a target, and its slices: what a run consists of.
import { once } from 'node:events';
import path from 'node:path';
import { B } from './gateways.mjs';
import { front, idle, pageFaults, pinned, start, stop, until } from './processes.mjs';

function startLoad(mode, target, options) {
  const args = [mode, '--port', String(target.port)];
  for (const [k, v] of Object.entries(options)) args.push(`--${k}`, String(v));
  for (const h of target.headers) args.push('--header', h);
  if (target.gateway.length) args.push('--watch', `gateway=${target.gateway}`);
  const command = [path.join(B, 'bench/load'), ...args];
  if (pinned) command.unshift('taskset', '-c', front);
  const child = start(`load on ${target.name}`, command[0], command.slice(1));
  child.out = '';
  child.stdout.on('data', (d) => (child.out += d));
  return child;
}

function read(child) {
  const result = JSON.parse(child.out);
  if (result.errors)
    throw new Error(`${child.label}: ${result.errors} errors: ${child.out}${child.said}`);
  return result;
}

export async function load(mode, target, options) {
  const child = startLoad(mode, target, options);
  await once(child, 'close');
  await stop(child);
  if (child.exitCode !== 0) throw new Error(`${child.label}: ${child.said}`);
  return read(child);
}

// Opens the streams, waits until each has had its events, gives what `look` finds meanwhile.
export async function hold(target, options, look) {
  const child = startLoad('stream', target, options);
  await until(child, 'open streams', () => child.out.endsWith('\n'), 300000);
  read(child);
  const found = await look();
  child.stdin.end();
  await once(child, 'close');
  await stop(child);
  return found;
}

// Slices in the order given; what each target's own slices add up to. `slice` does one of them.
export async function measure(slice, order) {
  const sums = new Map();
  for (const t of order)
    sums.set(t, { cpu: 0, count: 0, total: 0, faults: 0, p50: [], p99: [], perSecond: [] });
  for (const t of order) {
    const before = pageFaults(t.gateway);
    const r = await slice(t);
    const s = sums.get(t);
    s.faults += pageFaults(t.gateway) - before;
    s.cpu += r.cpu.gateway_ns || 0;
    s.count += r.window_requests ?? r.window_events;
    s.total += r.total_requests ?? r.total_events;
    s.p50.push(r.p50_us);
    s.p99.push(r.p99_us);
    s.perSecond.push(r.window_requests / r.window_s);
    await idle(t.behind);
  }
  for (const s of sums.values()) {
    s.each = s.cpu / s.count / 1000;
    s.faults /= s.total;
  }
  return sums;
}
