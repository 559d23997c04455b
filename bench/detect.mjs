// The detector beside secretlint's preset, on the same file, on one core, by processor time. They take
// turns, so that what else the machine does strikes both; the ratio is of the best of each.
//   conversations of ../shared, if they are there; and chat text made here, with keys planted in it
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const B = process.env.B ?? 'build', folder = join(B, 'bench');
const words = `the model answers a question about limits and how to write this function in the server please explain why
  it returns a value when the connection is closed because someone changed the settings and the test for version 3.11 fails
  请 解释 一下 这个 函数 是 如何 工作 的 为什么 返回 错误`.split(/\s+/);
let state = 7;
const next = (n) => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return (state >>> 8) % n; };
const alnum = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
function message() {
  let text = '';
  while (text.length < 15000) {
    text += `${words[next(words.length)]} `;
    if (next(30) === 0) text += '.\n\n';
    if (next(2000) === 0) text += `ghp_${Array.from({ length: 36 }, () => alnum[next(62)]).join('')} `;
  }
  return `${JSON.stringify({ messages: [{ role: 'user', content: text }] })}\n`;
}

mkdirSync(folder, { recursive: true });
const made = join(folder, 'chat.jsonl'), shared = '../shared/conversations/conversations.jsonl';
writeFileSync(made, Array.from({ length: 300 }, message).join(''));
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
