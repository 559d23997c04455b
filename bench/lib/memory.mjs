// What a gateway holds in memory and on disk.
//
// Memory is the sum over its processes of what each alone has resident, plus its part of what it
// shares (Pss in /proc/PID/smaps), so shared pages count once. The ring is another matter: gateway
// and sealer share its pages, and pages of a memory file live on when nobody has them mapped. So
// its mappings are left out of that sum, and all that the file has resident is added (st_blocks).
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import path from 'node:path';

const RING = /memfd:safehouse-ring/;

function pssKb(pid) {
  let sum = 0, ring = false;
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) ring = RING.test(line);
    const pss = /^Pss:\s+(\d+) kB/.exec(line);
    if (pss && !ring) sum += Number(pss[1]);
  }
  return sum;
}

function openFiles(pid) {
  return readdirSync(`/proc/${pid}/fd`).flatMap((n) => {
    const at = `/proc/${pid}/fd/${n}`;
    try {
      return [{ at, name: readlinkSync(at) }];
    } catch {
      return []; // closed meanwhile
    }
  });
}

function ringKb(pids) {
  for (const pid of pids)
    for (const f of openFiles(pid))
      if (RING.test(f.name)) return statSync(f.at).blocks / 2;
  return 0;
}

export function memoryMb(target) {
  const ring = ringKb(target.gateway);
  const own = target.gateway.reduce((sum, pid) => sum + pssKb(pid), 0);
  return { all: (own + ring) / 1024, ring: ring / 1024 };
}

// Every file under the folder with the moment of its last change; a folder's own changes when a file
// comes or goes, so one that was there for a moment only shows too.
function traces(folder, found = []) {
  const { mtimeNs } = statSync(folder, { bigint: true });
  found.push(`${folder} ${mtimeNs}`);
  for (const e of readdirSync(folder, { withFileTypes: true })) {
    const at = path.join(folder, e.name);
    if (e.isDirectory()) traces(at, found);
    else if (e.isFile()) found.push(`${at} ${statSync(at, { bigint: true }).mtimeNs}`);
  }
  return found;
}

function written(pids) {
  return pids.reduce((sum, pid) => sum +
    Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))[1]), 0);
}

// Does `work`, in which `bytes` of bodies come, and throws if the gateway meanwhile changed anything
// in its folder, had a file of it open, or wrote more than a hundredth of that to a disk: the table
// of what keys have used is a mapped file, whose pages count when they are written to.
export async function withoutFiles(target, bytes, work) {
  const before = { traces: traces(target.folder), written: written(target.gateway) };
  const open = new Set();
  const watch = setInterval(() => {
    for (const pid of target.gateway)
      for (const f of openFiles(pid))
        if (f.name.startsWith(target.folder) && !f.name.endsWith('/error.log')) open.add(f.name);
  }, 20);
  const result = await work().finally(() => clearInterval(watch));
  const after = traces(target.folder).filter((t) => !before.traces.includes(t));
  const wrote = written(target.gateway) - before.written;
  if (after.length > 0 || wrote > bytes / 100 || open.size > 0)
    throw new Error(`${target.name} wrote to files: ${wrote} bytes, ` +
                    [...after, ...open].slice(0, 5).join(', '));
  return result;
}
