// What must be gone after an erasure, and where it is looked for: files, and the memory of programs.
import { execFile } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BIN } from './installation.mjs';

const run = promisify(execFile);
const SCAN = process.env.SAFEHOUSE_SCAN ?? join(BIN, '..', 'test', 'tools', 'scan');

// A folder may go while a running installation is looked through.
export async function files(dir) {
  const out = [];
  const entries = await readdir(dir, { withFileTypes: true }).catch((e) => {
    if (e.code !== 'ENOENT') throw e;
    return [];
  });
  for (const e of entries) {
    const path = join(dir, e.name);
    if (e.isDirectory()) out.push(...(await files(path)));
    else if (e.isFile()) out.push(path);
  }
  return out;
}

// Every 12 bytes of what must be gone: as they are, in hex, in base64 at each alignment.
function patterns(secrets) {
  const all = new Set();
  const windows = (b) => {
    for (let i = 0; i + 12 <= b.length; i++) all.add(b.subarray(i, i + 12).toString('hex'));
  };
  for (const s of secrets) {
    windows(s);
    windows(Buffer.from(s.toString('hex')));
    for (let shift = 0; shift < 3; shift++) {
      const text = Buffer.concat([Buffer.alloc(shift), s]).toString('base64').replace(/=+$/, '');
      windows(Buffer.from(text.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + s.length) * 8) / 6))));
    }
  }
  return [...all];
}

let lists = 0;
// Where it was found, a line each; '' if nowhere.
export async function hits(house, secrets, paths) {
  const list = join(house.home, `patterns-${lists++}`);
  await writeFile(list, patterns(secrets).join('\n') + '\n');
  return run(SCAN, [list, ...paths], { maxBuffer: 1 << 26, encoding: 'latin1' })
    .then(() => '', (e) => e.stdout || e.message);
}

// The row of a subject in SQLite's file, from its public key to its sealed name.
export function keysOf(file, id) {
  const raw = Buffer.from(id.replaceAll('-', ''), 'hex');
  for (let at = file.indexOf(raw); at >= 0; at = file.indexOf(raw, at + 1))
    if (file.subarray(at - 20, at).includes(Buffer.from('2c4c812c', 'hex')))
      return file.subarray(at + 16, at + 16 + 32 + 80 + 32 + 40);
  throw new Error('no row');
}

// The secret itself, from a copy of the vault's folder of before.
export async function secretOf(house, folder, id) {
  const { stdout } = await run(join(SCAN, '..', 'subjectkey'), [folder, house.passphraseFile, id]);
  return Buffer.from(stdout.trim(), 'hex');
}

// Every process of the installation: {pid, name}, the supervisor first, each program's own children after it.
export async function programs(house) {
  const out = [];
  const walk = async (pid) => {
    const [name] = (await readFile(`/proc/${pid}/cmdline`, 'latin1')).split('\0');
    out.push({ pid, name: `${name.split('/').pop()} ${pid}` });
    for (const task of await readdir(`/proc/${pid}/task`))
      for (const kid of (await readFile(`/proc/${pid}/task/${task}/children`, 'utf8')).trim().split(' ').filter(Boolean))
        await walk(Number(kid));
  };
  await walk(house.process.pid);
  return out;
}

// What of it is in the memory of these processes, what they keep out of their cores included.
export const inMemory = (house, secrets, pids) => hits(house, secrets, pids.map((pid) => `pid:${pid}`));

// What of it is in a core of this process.
export async function inCore(house, secrets, pid) {
  const path = join(house.home, 'core');
  await run('gcore', ['-o', path, String(pid)]);
  const found = await hits(house, secrets, [`${path}.${pid}`]);
  await rm(`${path}.${pid}`);
  return found;
}
