// `make bench-detect-rules` fails on a rule that slows the whole by more than 20 %, names it, and lets others pass.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = new URL('../..', import.meta.url).pathname;
const RULE = (id, pattern, match) => `- id: ${id}\n  pattern: '${pattern}'\n  match: ['${match}']\n  clean: ['nothing']\n`;

function measure(rules, only) {
  const home = mkdtempSync(join(tmpdir(), 'rulecost-'));
  writeFileSync(join(home, 'rules.yaml'), rules);
  const r = spawnSync('node', ['bench/rules.mjs'], { cwd: ROOT, encoding: 'utf8', env: { ...process.env, ONLY: only, RULES: join(home, 'rules.yaml') } });
  rmSync(home, { recursive: true });
  return r;
}

test('a dear rule fails, a cheap one does not', () => {
  const rules = RULE('cheap', 'badge-[0-9]{4}', 'badge-1234') + RULE('dear', 'e', 'e');
  const both = measure(rules, 'cheap,dear,github-pat');
  assert.equal(both.status, 1, both.stderr);
  assert.match(both.stderr, /^rule dear slows the whole by \d+\.\d %; at most 20 % are allowed: /m);
  assert.doesNotMatch(both.stderr, /cheap|github/);
  const percent = (name) => Number(new RegExp(`^bench detect\\.${name} (-?[\\d.]+) %$`, 'm').exec(both.stdout)[1]);
  assert.ok(percent('rule.dear') > 20 && percent('rule.dear') === percent('rules.worst_percent'));
  assert.ok(percent('rule.cheap') < 1 && percent('rule.github-pat') < 5);
  // Counted, not timed: the same again.
  const cheap = measure(rules, 'cheap');
  assert.equal(cheap.status, 0, cheap.stderr);
  assert.equal(Number(/^bench detect\.rule\.cheap (-?[\d.]+) %$/m.exec(cheap.stdout)[1]), percent('rule.cheap'));
});
