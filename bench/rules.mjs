// What each of the detector's rules costs: how many instructions the scan of ordinary text takes more with all rules
// than with all others, whose database is compiled anew for it. Callgrind counts, so the figures are exact and the
// same on a busy machine; wherever a rule has its cost, in the first stage's database, in the search for people's
// data and runs, or in the judgement of values, it is in them. A rule below 0 makes the others' database faster.
//   ONLY=ID,ID   only these rules
//   RULES=FILE   more rules (YAML), as if they were built in
// Prints a table and lines "bench detect.rule.ID PERCENT %"; exit code 1 when a rule slows the whole by more than 20 %.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chat } from './lib/chat.mjs';

const SLOWER = 20, SHOWN = 10;
const B = process.env.B ?? 'build', program = join(B, 'bench', 'rules');
const folder = mkdtempSync(join(B, 'bench', 'rules-'));
const own = process.env.RULES ? [process.env.RULES] : [];

// Half made chat, half the text that the dictionary is trained on: Chinese chats, English tool calls.
const corpus = 'src/codec/dictionary/corpus';
const sample = ['zh_chat.txt', 'en_tools.txt'].map((f) => readFileSync(join(corpus, f), 'utf8')).join('\n');
const text = join(folder, 'text');
writeFileSync(text, chat(9) + Array(4).fill(sample).join('\n'));

function instructions(i) {
  const [, n] = /^(?:totals|summary): (\d+)/m.exec(readFileSync(join(folder, `count.${i}`), 'latin1'));
  return Number(n);
}

try {
  const ids = execFileSync(program, ['compile', folder, ...own], { encoding: 'utf8' }).split('\n').filter(Boolean);
  const unknown = (process.env.ONLY ?? '').split(',').filter((id) => id && !ids.includes(id));
  if (unknown.length) throw new Error(`there is no rule ${unknown}`);
  execFileSync('valgrind', ['--quiet', '--tool=callgrind', '--collect-atstart=no', '--toggle-collect=scan_measured',
    '--dump-after=scan_measured', `--callgrind-out-file=${join(folder, 'count')}`, program, 'scan', folder, text, ...own],
  { stdio: ['ignore', 'ignore', 'inherit'] });
  const all = instructions(1), size = readFileSync(text).length;
  const costs = ids.map((id, i) => ({ id, n: all - instructions(i + 2), percent: (all / instructions(i + 2) - 1) * 100 }))
    .sort((a, b) => b.n - a.n);
  console.log(`${ids.length} rules; all of them: ${(all / size).toFixed(2)} instructions a byte of ${size}\n`);
  console.log('rule                                  a byte   slower');
  for (const { id, n, percent } of costs) console.log(`${id.padEnd(36)} ${(n / size).toFixed(4).padStart(7)} ${percent.toFixed(2).padStart(6)} %`);
  console.log();
  for (const { id, percent } of costs.slice(0, SHOWN)) console.log(`bench detect.rule.${id} ${percent.toFixed(2)} %`);
  console.log(`bench detect.rules.worst_percent ${costs[0].percent.toFixed(2)} %`);
  for (const { id, percent } of costs.filter((c) => c.percent > SLOWER)) {
    console.error(`rule ${id} slows the whole by ${percent.toFixed(1)} %; at most ${SLOWER} % are allowed: `
      + 'let its pattern, or a `find` of its own, begin with a few fixed characters');
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
