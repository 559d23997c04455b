// Faults by strace: a program of an installation is killed at a system call, or a call fails.
import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './installation.mjs';

let traces = 0;

// Runs `work` while strace has the program; gives its result and what strace wrote, after the program's
// end or `work`'s.
export async function traced(house, program, args, work) {
  const file = join(house.home, `trace-${traces++}`), pid = await house.pid(program);
  const s = spawn('strace', ['-f', '-qq', '-o', file, ...args, '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  s.stderr.on('data', (d) => (said += d));
  const ended = new Promise((done) => s.on('exit', done));
  await until(async () => {
    if (s.exitCode !== null) throw new Error(`strace: ${said}`);
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    return status.match(/TracerPid:\s*(\d+)/)?.[1] === String(s.pid);
  }, `strace at ${program}`);
  let result;
  try {
    result = await work();
  } finally {
    s.kill('SIGINT');
    await ended;
  }
  const lines = (await readFile(file, 'utf8')).split('\n');
  await rm(file);
  return { result, lines };
}

// The calls of a trace, each with how many of its name came up to it.
export function callsOf(lines) {
  const seen = {};
  return lines.map((line) => ({ name: line.match(/^\d+\s+(\w+)\(/)?.[1], line })).filter((c) => c.name)
    .map((c) => ({ ...c, when: (seen[c.name] = (seen[c.name] ?? 0) + 1) }));
}

// All of them with KILLS=all (make soak); else so many, evenly, with those that `must` picks.
export function sample(calls, count, must = () => false) {
  if (process.env.KILLS === 'all') return calls;
  const others = calls.filter((c) => !must(c));
  const some = new Set(Array.from({ length: count }, (_, i) => others[Math.floor((i + 0.5) * others.length / count)]));
  return calls.filter((c) => must(c) || some.has(c));
}

// Kills the program at that call of `work`; gives what `work` gave, and whether it died.
export async function killedAt(house, program, { name, when }, work) {
  const pid = await house.pid(program);
  const { result } = await traced(house, program, ['-e', `trace=${name}`, '-e', `inject=${name}:signal=KILL:when=${when}`], work);
  await until(async () => (await house.status()).vault?.locked === false, 'the vault again', 30000);
  return { result, died: pid !== await house.pid(program) };
}
