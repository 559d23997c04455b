// What the detector finds in texts in which no secrets are to be expected, in findings a MB and class: documentation
// of the system, lock files, UUIDs, hashes, images in base64, and the conversations of ../shared, if they are there.
// Documentation and conversations do hold some: passwords in examples, a key of a test, passwords that a model made.
// `node bench/alarms.mjs NAME` prints where each secret of the set NAME was found.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const B = process.env.B ?? 'build', folder = join(B, 'bench', 'alarms');
mkdirSync(folder, { recursive: true });
function made(name, line) {
  const path = join(folder, name);
  let text = '';
  while (text.length < 4e6) text += `${line()}\n`;
  writeFileSync(path, text);
  return [path];
}
const hash = (name) => createHash(name).update(randomBytes(32));
const listed = (...args) => execFileSync('find', args, { encoding: 'utf8' }).split('\n').filter(Boolean);
const sets = {
  uuids: () => made('uuids.txt', () => `request ${randomUUID()} took 12 ms, trace=${randomUUID().replace(/-/g, '')}`),
  hashes: () => made('hashes.txt', () => `${hash('sha256').digest('hex')}  file\ncommit ${hash('sha1').digest('hex')}\n` +
    `"integrity": "sha512-${hash('sha512').digest('base64')}"\nETag: "${hash('md5').digest('hex')}"`),
  images: () => made('images.txt', () => `<img src="data:image/png;base64,${randomBytes(30000).toString('base64')}">`),
  locks: () => listed('.', '-name', 'package-lock.json', '-not', '-path', './build/*'),
  documentation: () => (existsSync('/usr/share/doc') ? listed('/usr/share/doc', '-type', 'f', '-size', '+0') : []),
  conversations: () => ['../shared/conversations/conversations.jsonl'].filter(existsSync),
};
for (const [name, paths] of Object.entries(sets)) {
  const files = paths(), bytes = files.reduce((n, f) => n + statSync(f).size, 0), counts = {};
  let secrets = 0;
  for (let i = 0; i < files.length; i += 500) {
    const out = spawnSync(join(B, 'bin', 'safehouse'), ['scan', '--json', ...files.slice(i, i + 500)], { encoding: 'utf8', maxBuffer: 1 << 30 });
    for (const line of out.stdout.split('\n').filter(Boolean)) {
      const f = JSON.parse(line);
      counts[f.class] = (counts[f.class] ?? 0) + 1;
      secrets += !f.personal;
      if (process.argv[2] === name && !f.personal) console.log(`${f.path}:${f.line}:${f.column} ${f.rule}`);
    }
  }
  if (!bytes) continue;
  const rate = (n) => (n / (bytes / 1e6)).toFixed(3);
  console.log(`bench detect.alarms_${name} ${rate(secrets)} secrets/MB (${secrets} in ${(bytes / 1e6).toFixed(1)} MB)`);
  for (const [cls, n] of Object.entries(counts).sort((a, b) => b[1] - a[1])) console.log(`    ${cls} ${rate(n)}`);
}
