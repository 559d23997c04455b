// The programs of a benchmark: starting and ending them, waiting for them, what the kernel says of
// them. Everything that was started is ended by stopAll, in reverse order.
import { spawn, execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

export const run = promisify(execFile);

export const processors = readFileSync('/proc/self/status', 'utf8')
  .match(/^Cpus_allowed_list:\s*(\S+)/m)[1]
  .split(',').map((r) => r.split('-').map(Number))
  .flatMap(([from, to = from]) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
export const pinned = processors.length >= 2 && process.env.BENCH_PIN !== '0';
export const front = String(processors.at(-1)); // the processor of all that speaks HTTP here
export const rest = processors.slice(0, -1).join(',');

// Programs with a user of their own must be able to enter it.
export const dir = mkdtempSync(path.join(tmpdir(), 'safehouse-bench-'));
chmodSync(dir, 0o711);

const children = [];

export function start(name, file, args, options = {}) {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
  child.label = name;
  child.said = '';
  child.stderr.on('data', (d) => (child.said = (child.said + d).slice(-4000)));
  child.stdin.on('error', () => {});
  child.on('error', (e) => (child.said += e.message));
  children.push(child);
  return child;
}

export const gone = (child) =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

export async function stop(child) {
  const at = children.indexOf(child);
  if (at >= 0) children.splice(at, 1);
  if (gone(child)) return;
  const end = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 15000);
  await end;
  clearTimeout(late);
}

export async function stopAll() {
  while (children.length > 0) await stop(children.at(-1));
  rmSync(dir, { recursive: true, force: true });
}

// Waits until `ready` gives something, or the child has ended, or time is up.
export async function until(child, what, ready, limitMs = 30000) {
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

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

export function answers(port) {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.on('connect', () => (socket.destroy(), resolve(true)));
    socket.on('error', () => resolve(false));
  });
}

export function childrenOf(pid) {
  return readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
    readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8')
      .split(' ').filter(Boolean).map(Number));
}

export function cpuNs(pids) {
  let sum = 0;
  for (const pid of pids)
    for (const tid of readdirSync(`/proc/${pid}/task`))
      sum += Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[0]);
  return sum;
}

export const pageFaults = (pids) => pids.reduce((sum, pid) =>
  sum + Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')[7]), 0);

// Until the programs use less than a tenth of a processor, three times in a row: on a busy machine
// they may just not have had their turn.
export async function idle(pids, limitMs = 60000) {
  const deadline = Date.now() + limitMs;
  let calm = 0;
  for (let last = cpuNs(pids), now; pids.length > 0 && Date.now() < deadline; last = now) {
    await sleep(50);
    now = cpuNs(pids);
    calm = now - last < 5e6 ? calm + 1 : 0;
    if (calm === 3) return;
  }
}

export async function pinTo(cpu, pids) {
  if (!pinned) return;
  for (const pid of pids) await run('taskset', ['-a', '-p', '-c', cpu, String(pid)]);
}
