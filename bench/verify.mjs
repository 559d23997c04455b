// How fast `safehouse verify` goes through a stopped installation of BENCH_ROWS rows (10^6): turns with
// envelopes of 400 bytes and interactions, from the store's start to its end, twice after once
// for the files to be in memory.
import { performance } from 'node:perf_hooks';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';

const B = process.env.B ?? 'build';
const rows = Number(process.env.BENCH_ROWS ?? 1000000);
const home = mkdtempSync(join(tmpdir(), 'safehouse-bench-'));
const D = join(home, 'D');
const run = (file, ...args) => execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
try {
  chmodSync(home, 0o711);
  writeFileSync(join(home, 'pass'), 'correct horse battery staple\n', { mode: 0o600 });
  run(`${B}/bin/safehouse`, 'init', '--dir', D, '--passphrase-file', join(home, 'pass'));
  run(`${B}/test/tools/fill`, D, String(rows / 2), '400');
  for (let i = 0; i < 3; i++) {
    const from = performance.now();
    const said = JSON.parse(run(`${B}/bin/safehouse`, 'verify', '--dir', D, '--json'));
    const ms = performance.now() - from;
    if (said.result !== 'clean' || said.rows !== rows) throw new Error(JSON.stringify(said));
    if (i === 0) continue; // the files were not in memory
    console.log(`bench verify.rows_s ${(rows / ms * 1000).toFixed(0)} 1/s`);
  }
} finally {
  rmSync(home, { recursive: true, force: true });
}
