// What the detector finds where no secrets are to be expected, in findings a MB, by set and class. No secret is in what is
// made here: lock files, UUIDs, hashes, images in base64, minified code. Documentation, source code, git logs and conversations are
// read where they are; a few secrets do stand in them (a test's key, a password in an example), and are counted with the
// rest, but for passwords that a conversation asks for or passes in a tool's call: those are true findings, counted apart.
// The same value in a set counts once: packages repeat headers and lines.
// Exit code 1 when a set has more than BAR secrets a MB; those of code and logs have none, as examples there are literal.
// `node bench/alarms.mjs NAME` prints where each secret of the set NAME was found.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes, randomInt, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const BAR = 0.1, MADE = 4e6;
const B = process.env.B ?? 'build', folder = join(B, 'bench', 'alarms');
mkdirSync(folder, { recursive: true });
const put = (name, text) => { writeFileSync(join(folder, name), text); return [join(folder, name)]; };
function made(name, line, before = '', after = '') {
  const lines = [];
  for (let size = 0; size < MADE; size += lines.at(-1).length + 1) lines.push(line(lines.length));
  return put(name, `${before}${lines.join('\n')}${after}\n`);
}
const hash = (name, form = 'hex') => createHash(name).update(randomBytes(32)).digest(form);
const hex = (n) => randomBytes((n + 1) >> 1).toString('hex').slice(0, n);
const name = () => Array.from({ length: 1 + randomInt(3) }, () => ['async', 'core', 'micro', 'stream', 'types', 'parse', 'http',
  'auth', 'key', 'token', 'secret', 'password', 'stripe', 'google', 'slack', 'util'][randomInt(16)]).join('-');
const version = () => `${randomInt(20)}.${randomInt(40)}.${randomInt(90)}`;
const listed = (...args) => execFileSync('find', args, { encoding: 'utf8', maxBuffer: 1 << 28 }).split('\n').filter(Boolean);
const under = (folders, endings) => folders.filter(existsSync).flatMap((f) => listed(f, '-type', 'f', '-size', '+0', '-size', '-8M',
  '(', ...endings.flatMap((e, i) => [...(i ? ['-o'] : []), '-name', e]), ')'));

// Lock files in the forms that their programs write, with every hash random.
const locks = {
  'package-lock.json': () => `    "node_modules/${name()}": {"version": "${version()}", "resolved": "https://registry.example/${name()}/-/x-${version()}.tgz",\n` +
    `      "integrity": "sha512-${hash('sha512', 'base64')}", "license": "MIT"},`,
  'yarn.lock': () => `${name()}@^${version()}:\n  version "${version()}"\n  resolved "https://registry.example/x/-/x-1.tgz#${hash('sha1')}"\n` +
    `  integrity sha512-${hash('sha512', 'base64')}\n`,
  'yarn-berry.lock': () => `"${name()}@npm:^${version()}":\n  version: ${version()}\n  checksum: ${randomInt(10)}c0/${hash('sha512')}\n  languageName: node\n`,
  'pnpm-lock.yaml': () => `  /${name()}@${version()}:\n    resolution: {integrity: sha512-${hash('sha512', 'base64')}}\n    engines: {node: '>=8'}\n`,
  'Cargo.lock': () => `[[package]]\nname = "${name()}"\nversion = "${version()}"\nsource = "registry+https://example.org/index"\nchecksum = "${hash('sha256')}"\n`,
  'go.sum': () => `example.org/${name()}/v2 v2.0.0-20${10 + randomInt(15)}0102030405-${hex(12)} h1:${hash('sha256', 'base64')}\n` +
    `example.org/${name()} v${version()}/go.mod h1:${hash('sha256', 'base64')}`,
  'poetry.lock': () => `[[package]]\nname = "${name()}"\nversion = "${version()}"\nfiles = [\n    {file = "x-1.tar.gz", hash = "sha256:${hash('sha256')}"},\n]\n`,
  'composer.lock': () => `        {"name": "${name()}/x", "version": "${version()}", "source": {"type": "git", "reference": "${hash('sha1')}"},\n` +
    `            "dist": {"type": "zip", "reference": "${hash('sha1')}", "shasum": "${hash('sha1')}"}},`,
  'Gemfile.lock': () => `    ${name()} (${version()})\n  remote: https://example.org/x.git\n  revision: ${hash('sha1')}\n`,
  'flake.lock': () => `    "${name()}": {"locked": {"lastModified": ${randomInt(2 ** 31)}, "narHash": "sha256-${hash('sha256', 'base64')}", "rev": "${hash('sha1')}"}},`,
};
const sizes = [7, 8, 10, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96, 128];
function gitLogs() {
  const log = spawnSync('git', ['log', '--stat', '--no-color', '--pretty=raw', '-n', '4000'], { encoding: 'utf8', maxBuffer: 1 << 28 });
  return log.stdout ? put('git.txt', log.stdout) : [];
}
// Names of one letter, long numbers, base64 of source maps: what bundlers write.
const bundle = () => `!function(e,t){var n=t(${randomInt(9999)}),r="${hex(20)}";e.exports={key:n.key,token:r,password:n.password,secretKey:n(${randomInt(99)}),` +
  `apiKey:e.options.apiKey,auth:function(e){return this._token||e.getToken("access_token")}},n.d(t,{a:()=>u,b:()=>c})}(${randomInt(1e6)});` +
  `/*! chunk.${hex(8)}.js */\n//# sourceMappingURL=data:application/json;base64,${Buffer.from(JSON.stringify({ version: 3, names: ['e', 't'], mappings: 'AAAA,SAASA,EAAEC' })).toString('base64')}`;
const sets = {
  uuids: { files: () => made('uuids.txt', () => `request ${randomUUID()} took 12 ms, trace=${randomUUID().replace(/-/g, '')}`) },
  hashes: { files: () => made('hashes.txt', (i) => `${hash('sha256')}  file\ncommit ${hash('sha1')}\n"integrity": "sha512-${hash('sha512', 'base64')}"\n` +
    `ETag: "${hash('md5')}"\nid ${hex(sizes[i % sizes.length])} of ${hex(sizes[(i + 4) % sizes.length]).toUpperCase()}`) },
  images: { files: () => made('images.txt', (i) => `<img src="data:image/${['png', 'jpeg', 'webp'][i % 3]};base64,${randomBytes(30000).toString('base64')}">`) },
  locks: { files: () => [...Object.entries(locks).flatMap(([file, line]) => made(file, line)),
    ...listed('.', '(', '-name', 'package-lock.json', '-o', '-name', '.package-lock.json', '-o', '-name', 'pnpm-lock.yaml', '-o', '-name', 'go.sum', '-o',
      '-name', 'yarn.lock', ')', '-size', '+0', '-not', '-path', './build/*')] },
  minified: { files: () => made('bundle.min.js', bundle) },
  documentation: { files: () => under(['/usr/share/doc'], ['*']) },
  conversations: { files: () => ['../shared/conversations/conversations.jsonl'].filter(existsSync), isTrue: isAskedFor },
  git: { files: gitLogs, free: true },
  code: { files: () => [...under(['/usr/share/perl', '/usr/share/perl5', '/usr/lib/python3', '/usr/lib/python3.11', '/usr/include'], ['*.p[lmy]', '*.pod', '*.h', '*.hpp']),
    ...under(['test/scenario/node_modules', 'bench/peers/node_modules'], ['*.js', '*.mjs', '*.cjs', '*.ts'])], free: true },
};

// ---- what is true in a conversation ----

// Its line's strings under a name like "password", also in JSON within JSON; and does somebody ask for a password to be made?
function told(line) {
  const values = new Set();
  let asks = false;
  (function walk(v, key) {
    if (typeof v === 'string') {
      if (/pass|secret|token/i.test(key ?? '')) values.add(v);
      asks ||= /generat|random|creat|provide|随机|生成|提供/i.test(v) && /passw|密码/i.test(v);
      if (/^\s*[{[]/.test(v)) try { walk(JSON.parse(v)); } catch { /* text that only begins like JSON */ }
    } else if (v && typeof v === 'object') for (const [k, x] of Object.entries(v)) walk(x, k);
  })(JSON.parse(line));
  return { values, asks };
}
function isAskedFor(finding, bytes) {
  const line = bytes.toString('utf8', bytes.lastIndexOf(10, finding.start) + 1, bytes.indexOf(10, finding.end));
  const { values, asks } = told(line);
  return asks || values.has(bytes.toString('utf8', finding.start, finding.end));
}

// ---- counting ----

function scan(files, each) {
  for (let i = 0; i < files.length; i += 500) {
    const out = spawnSync(join(B, 'bin', 'safehouse'), ['scan', '--json', ...files.slice(i, i + 500)], { encoding: 'utf8', maxBuffer: 1 << 30 });
    if (out.status > 1) throw new Error(out.stderr);
    for (const line of out.stdout.split('\n').filter(Boolean)) each(JSON.parse(line));
  }
}
let above = 0;
for (const [set, { files, isTrue, free }] of Object.entries(sets)) {
  const paths = files(), bytes = paths.reduce((n, f) => n + statSync(f).size, 0), counts = {}, seen = new Set();
  if (!bytes) continue;
  let secrets = 0, places = 0, wanted = 0;
  scan(paths, (f) => {
    const text = f.personal ? null : readFileSync(f.path);
    if (text && isTrue?.(f, text)) return void wanted++;
    places += !f.personal;
    const key = text && `${f.class} ${text.subarray(f.start, f.end).toString('latin1')}`;
    if (key && seen.has(key)) return;
    seen.add(key);
    counts[f.class] = (counts[f.class] ?? 0) + 1;
    secrets += !f.personal;
    if (process.argv[2] === set && text) console.log(`${f.path}:${f.line}:${f.column} ${f.rule}`);
  });
  const rate = (n) => (n / (bytes / 1e6)).toFixed(3), bad = !free && secrets / (bytes / 1e6) > BAR;
  above += bad;
  console.log(`bench detect.alarms_${set} ${rate(secrets)} secrets/MB (${secrets} different ones in ${places} places of ${(bytes / 1e6).toFixed(1)} MB` +
    `${isTrue ? `; ${wanted} that were asked for` : ''}${bad ? `; more than ${BAR}` : ''})`);
  for (const [cls, n] of Object.entries(counts).sort((a, b) => b[1] - a[1])) console.log(`    ${cls} ${rate(n)}`);
}
process.exit(above ? 1 : 0);
