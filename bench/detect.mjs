// The detector beside secretlint's preset, on the same file, on one core, by processor time. They take
// turns, so that what else the machine does strikes both; the ratio is of the best of each.
//   conversations of ../shared, if they are there; and chat text made here, with keys planted in it
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chat } from './lib/chat.mjs';

const B = process.env.B ?? 'build', folder = join(B, 'bench');

mkdirSync(folder, { recursive: true });
const made = join(folder, 'chat.jsonl'), shared = '../shared/conversations/conversations.jsonl';
writeFileSync(made, chat(300));
const run = (program, ...args) => execFileSync(program, args, { encoding: 'utf8' });
for (const [name, path] of [['', made], ['conversations_', shared]].filter(([, path]) => existsSync(path))) {
  const ours = {}, theirs = [];
  for (let turn = 0; turn < 3; turn++) {
    for (const [, what, value] of run(join(folder, 'detect'), path).matchAll(/^bench detect\.(\w+) ([\d.]+)/gm))
      ours[what] = what === 'start_ms' ? Math.min(ours[what] ?? Infinity, value) : Math.max(ours[what] ?? 0, value);
    theirs.push(Number(run('node', 'bench/secretlint/run.mjs', path).split(' ')[0]));
  }
  const best = Math.max(...theirs);
  if (!name) for (const what of ['start_ms', 'dense_mb_s', 'text_mb_s']) console.log(`bench detect.${what} ${ours[what]} ${what === 'start_ms' ? 'ms' : 'MB/s'}`);
  for (const what of ['regex_mb_s', 'mb_s']) console.log(`bench detect.${name}${what} ${ours[what]} MB/s`);
  console.log(`bench detect.${name}secretlint_mb_s ${best} MB/s`);
  console.log(`bench detect.${name}vs_secretlint ${(ours.mb_s / best).toFixed(1)} times`);
}
