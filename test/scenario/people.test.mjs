// People and grants through the real programs: each role tries everything; what is taken away is gone at
// once; two persons where one must not be enough; and nothing of a password is anywhere afterwards.
import test from 'node:test';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { execFile } from 'node:child_process';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { Installation, until } from './lib/installation.mjs';
import { code, stepNow } from './lib/totp.mjs';
import { Upstream, completion } from './lib/upstream.mjs';
import { Vault, MSG, password } from './lib/vault.mjs';

const run = promisify(execFile);
const ABOVE = 10, DEFAULT = 6, SALES = 3;
let upstream, house;
const secrets = {}; // name -> password
const ids = { default: [], sales: [] };

async function exchanges(project, n) {
  const key = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--project', project, '--json'));
  const client = new OpenAI({ apiKey: key.secret, baseURL: `${house.gateway}/v1`, maxRetries: 0 });
  for (let i = 0; i < n; i++) {
    const { response } = await client.chat.completions.create({
      model: 'gpt-4o-mini', user: `${project}-${i}`, messages: [{ role: 'user', content: `${project} text ${i}` }],
    }).withResponse();
    ids[project].push(response.headers.get('x-safehouse-id'));
  }
}

test.before(async () => {
  upstream = await Upstream.start();
  upstream.answer = (x) => x.json(completion('answered'));
  house = await Installation.start({ upstream: upstream.url, config: `vault:\n  approval_above: ${ABOVE}\n`,
    env: { XDG_RUNTIME_DIR: '' } });
  await exchanges('default', DEFAULT);
  await exchanges('sales', SALES);
  await house.stored(DEFAULT + SALES);
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const file = (name) => join(house.home, `session-${name}`);
// As a person who signed in; as the owner when name is null.
const as = (name, command, ...args) =>
  house.cliResult(...command.split(' '), ...args, '--dir', house.dir, ...(name ? ['--token-file', file(name)] : []));

async function lines(...text) {
  const path = join(house.home, 'lines');
  await writeFile(path, text.join('\n') + '\n', { mode: 0o600 });
  return path;
}
async function signin(name, ...more) {
  const r = await as(name, `signin ${name}`, '--password-file', await lines(secrets[name], ...more));
  return r;
}
async function add(name, ...args) {
  secrets[name] = `pw-${randomBytes(12).toString('base64url')}`;
  return as(null, `person add ${name}`, '--password-file', await lines(secrets[name]), ...args);
}
const ok = (r) => assert.equal(r.code, 0, r.stderr);
const digestOf = (r) => /needed: ([0-9a-f]{64})/.exec(r.stderr)?.[1];
// A grant by the owner, confirmed by the second admin.
async function grant(name, role, ...args) {
  const r = await as(null, `person grant ${name} --role ${role}`, ...args);
  if (r.code === 0) return;
  assert.equal(r.code, 3, r.stderr);
  ok(await as('adm', `approve ${digestOf(r)}`));
}
const select = (project) => `SELECT body FROM turns WHERE project = '${project}' ORDER BY id`;
const open = (name, project, reason = 'a test') =>
  as(name, 'query', '--open', '--reason', reason, '--format', 'TabSeparatedRaw', select(project));

test('one-person mode: the owner does everything, and it is said', async () => {
  assert.equal((await house.status()).vault.one_person_mode, true);
  assert.match((await as(null, 'status')).stdout, /one-person mode/);
  assert.match((await as(null, 'whoami')).stdout, /owner[^]*one-person mode/);
  for (let i = 0; i < 3; i++) { // no approval, no quota
    const r = await open(null, 'default');
    ok(r);
    assert.match(r.stdout, /default text 0/);
  }
  ok(await add('ana', '--role', 'analyst'));
  assert.equal((await house.status()).vault.one_person_mode, true, 'an analyst does not end it');
});

test('a second admin ends it: the owner opens nothing without a grant that she confirms', async () => {
  ok(await add('adm', '--role', 'admin'));
  assert.equal((await house.status()).vault.one_person_mode, false);
  const r = await open(null, 'default');
  assert.equal(r.code, 2, r.stderr);
  assert.doesNotMatch(r.stdout, /text/);
  assert.equal((await house.cliResult('show', ids.default[0], '--dir', house.dir, '--reason', 'x')).code, 2);
  ok(await signin('adm'));
  const asked = await as(null, 'person grant owner --role reader --project sales');
  assert.equal(asked.code, 3);
  const digest = digestOf(asked);
  assert.equal((await as(null, `approve ${digest}`)).code, 2, 'not by who proposed it');
  assert.equal((await open(null, 'sales')).code, 2);
  assert.match((await as('adm', 'approve')).stdout, new RegExp(`${digest}\n.*owner wants owner to be reader in sales`));
  ok(await as('adm', `approve ${digest.slice(0, 12)}`));
  const read = await open(null, 'sales');
  ok(read);
  assert.match(read.stdout, /sales text 0/);
  ok(await as(null, 'person ungrant owner --role reader'));
  assert.equal((await open(null, 'sales')).code, 2);
});

test('each role tries everything', async () => {
  for (const [name, role, ...more] of [['rea', 'reader', '--project', 'default'], ['era', 'eraser'], ['aud', 'auditor']]) {
    const r = await add(name);
    ok(r);
    await grant(name, role, ...more);
  }
  for (const name of ['ana', 'rea', 'era', 'aud']) ok(await signin(name));
  const secret = async (name) => {
    const path = await lines('sk-proj-nothing');
    return run('sh', ['-c', `exec "$0" secret find --dir "$1" --token-file "$2" < "$3"`,
      join(process.env.SAFEHOUSE_BIN ?? 'build/bin', 'safehouse'), house.dir, file(name), path])
      .then(() => ({ code: 0 }), (e) => ({ code: e.code }));
  };
  const everything = {
    'opens content': (n) => open(n, 'default', `table ${n}`),
    'shows an interaction': (n) => as(n, `show ${ids.default[1]}`, '--reason', 'x'),
    'sees clear columns': (n) => as(n, 'query', 'SELECT count() FROM interactions'),
    'sees new interactions': (n) => as(n, 'tail', '--no-follow'),
    'lists people': (n) => as(n, 'person list'),
    'sees what waits': (n) => as(n, 'approve'),
    'adds a person': async (n) => as(n, `person add x-${n}`, '--password-file', await lines('a password for nobody')),
    'grants': (n) => as(n, 'person grant ana --role auditor'),
    'takes a grant': (n) => as(n, 'person ungrant ana --role auditor'),
    'makes a token for another': (n) => as(n, `person token ${n === 'era' ? 'aud' : 'era'} --label t`),
    'sets another\'s password': async (n) => as(n, 'person password x-adm', '--password-file', await lines('another password')),
    'removes a person': (n) => as(n, 'person remove x-adm'),
    'asks for a secret': (n) => secret(n),
    'finds a person': (n) => as(n, 'subject find default-0'),
    'exports a person': (n) => as(n, 'subject export default-0', '--reason', 'x', '--output', join(house.home, `export-${n}`)),
    'holds a person': async (n) => {
      const r = await as(n, 'subject hold default-4', '--reason', 'x');
      return r.code === 0 ? as(n, 'subject release default-4', '--reason', 'x') : r;
    },
    // Of a name that nobody has: whoever may erase is told that.
    'erases a person': async (n) => {
      const r = await as(n, 'subject erase nobody-at-all', '--reason', 'x');
      return { code: /nobody has this name/.test(r.stderr) ? 0 : r.code };
    },
    'reads the ledger': (n) => as(n, 'ledger checkpoint'),
    'verifies': (n) => as(n, 'verify --ledger'),
    'lists canaries': (n) => as(n, 'canary list'),
    'plants a canary': (n) => as(n, `canary plant canary-of-${n}`, '--project', 'default'),
    'reports a breach': (n) => as(n, 'report breach --since 1h --quick'),
    'reports records': (n) => as(n, 'report records'),
    'reports of a person': (n) => as(n, 'report subject default-0'),
    'locks the vault': (n) => as(n, 'lock'),
  };
  const may = {
    ana: ['sees clear columns', 'sees new interactions'],
    rea: ['opens content', 'shows an interaction', 'sees clear columns', 'sees new interactions', 'sees what waits',
      'asks for a secret', 'finds a person', 'exports a person',
      'reports of a person'],
    era: ['finds a person', 'holds a person', 'erases a person', 'reports of a person'],
    aud: ['lists people', 'sees what waits', 'finds a person', 'reads the ledger', 'verifies',
      'reports a breach', 'reports records', 'reports of a person', 'lists canaries'],
    adm: ['lists canaries', 'plants a canary', 'finds a person', 'reads the ledger', 'verifies', 'reports a breach', 'reports records', 'reports of a person', 'lists people', 'sees what waits', 'adds a person', 'grants', 'takes a grant', 'makes a token for another',
      'sets another\'s password', 'removes a person', 'asks for a secret', 'locks the vault'],
  };
  const said = {}, wanted = {};
  for (const name of Object.keys(may))
    for (const [what, try_] of Object.entries(everything)) {
      if (name === 'adm' && what === 'takes a grant') await as('adm', 'person grant ana --role auditor');
      const r = await try_(name);
      said[`${name} ${what}`] = r.code === 0;
      wanted[`${name} ${what}`] = may[name].includes(what);
    }
  assert.deepEqual(said, wanted);
  assert.equal((await house.status()).vault.locked, true);
  assert.match((await as('rea', 'whoami')).stderr, /locked[^]*unlock/);
  await house.cli('unlock', '--dir', house.dir, '--passphrase-file', house.passphraseFile);
  const over = await as('rea', 'whoami');
  assert.equal(over.code, 2, 'a lock ends sessions');
  assert.match(over.stderr, /signin/);
  ok(await signin('adm'));
});

test('projects: cells of others stay closed, with the reason, and others open', async () => {
  ok(await signin('rea'));
  const r = await as('rea', 'query', '--open', '--reason', 'both', '--format', 'TabSeparatedRaw',
    `SELECT body FROM turns WHERE id IN ('${ids.default[0]}', '${ids.sales[0]}') ORDER BY project`);
  assert.equal(r.code, 3);
  assert.match(r.stdout, /default text 0[^]*shx1\./);
  assert.doesNotMatch(r.stdout, /sales text/);
  assert.match(r.stderr, /1 of 2 cells stay sealed: .*project that this session may not open/);
  assert.match((await as('rea', 'tail', '--no-follow')).stdout, /default/);
  assert.doesNotMatch((await as('rea', 'tail', '--no-follow')).stdout, /sales/);
});

test('many cells: a second person approves exactly that, and it passes once', async () => {
  ok(await add('two'));
  await grant('two', 'reader', '--project', 'default,sales');
  for (const n of ['two', 'ana', 'adm']) ok(await signin(n));
  ok(await open('two', 'default')); // 6 of 10
  const sql = 'SELECT body FROM turns ORDER BY id';
  const all = (reason) => as('two', 'query', '--open', '--reason', reason, '--format', 'TabSeparatedRaw', sql);
  const first = await all('why-one');
  assert.equal(first.code, 3);
  assert.doesNotMatch(first.stdout, /text/, 'nothing of it opens');
  const digest = digestOf(first);
  assert.ok(digest, first.stderr);
  assert.match((await as('adm', 'approve')).stdout,
    new RegExp(`${digest}\n.*two asks to open ${DEFAULT + SALES} cells, because: why-one\n.*${sql}`));
  for (const [who, code] of [['two', 2], ['ana', 2]]) assert.equal((await as(who, `approve ${digest}`)).code, code);
  assert.equal(digestOf(await all('why-one')), digest, 'the same request has the same digest');
  assert.notEqual(digestOf(await all('why-two')), digest, 'another reason another one');
  ok(await as('adm', `approve ${digest}`));
  assert.equal((await all('why-two')).code, 3);
  const passed = await all('why-one');
  ok(passed);
  assert.equal(passed.stdout.match(/text \d/g).length, DEFAULT + SALES);
  assert.equal((await all('why-one')).code, 3, 'once');
  ok(await as('rea', `approve ${digest} --refuse`));
  assert.equal((await as('adm', `approve ${digest}`)).code, 2, 'refused, and gone');
});

test('the hour\'s quota, and a new hour is not to be had by a restart', async () => {
  ok(await add('quo'));
  await grant('quo', 'reader', '--cells-per-hour', '4');
  ok(await signin('quo'));
  ok(await open('quo', 'sales'));
  const who = JSON.parse((await as('quo', 'whoami', '--json')).stdout);
  assert.deepEqual([who.opens.cells_per_hour, who.opens.cells_left], [4, 1]);
  const r = await open('quo', 'sales');
  assert.equal(r.code, 3);
  assert.match(r.stderr, /3 cells are more than is left of this hour's 4/);
  assert.doesNotMatch(r.stdout, /text/);
  const pid = await house.pid('vault');
  process.kill(pid, 'SIGKILL');
  await until(async () => {
    const s = await house.status();
    return s.vault && !s.vault.locked && (await house.pid('vault')) !== pid;
  }, 'the vault again');
  const over = await as('quo', 'whoami');
  assert.equal(over.code, 2, 'sessions end with the vault');
  assert.match(over.stderr, /no such session.*signin/);
  ok(await signin('quo'));
  assert.match((await open('quo', 'sales')).stderr, /more than is left/);
});

test('what is taken away is gone at once', async () => {
  for (const n of ['adm', 'rea', 'two']) ok(await signin(n));
  ok(await as('rea', 'whoami'));
  ok(await as('adm', 'person ungrant rea --role reader'));
  assert.equal((await as('rea', 'whoami')).code, 2);
  assert.equal((await open('rea', 'default')).code, 2);
  ok(await as('adm', 'person remove two'));
  assert.equal((await as('two', 'whoami')).code, 2);
  assert.equal((await signin('two')).code, 2);
  // An admin's choice of a password does not open what its person may.
  ok(await signin('quo'));
  secrets.quo = 'chosen by an admin';
  ok(await as('adm', 'person password quo', '--password-file', await lines(secrets.quo)));
  assert.equal((await as('quo', 'whoami')).code, 2);
  ok(await signin('quo'));
  assert.deepEqual(JSON.parse((await as('quo', 'whoami', '--json')).stdout).roles, []);
  const waits = (await as(null, 'approve', '--json')).stdout.trim().split('\n').map((l) => JSON.parse(l));
  const again = waits.find((w) => w.person === 'quo');
  assert.equal(again.password, 'chosen by another');
  ok(await as(null, `approve ${again.digest}`));
  ok(await signin('quo'));
  const old = secrets.quo;
  secrets.quo = 'a password of my own';
  assert.equal((await as('quo', 'person password quo', '--password-file', await lines(secrets.quo, 'not the old one'))).code, 2);
  ok(await as('quo', 'person password quo', '--password-file', await lines(secrets.quo, old)));
  ok(await signin('quo'));
  assert.deepEqual(JSON.parse((await as('quo', 'whoami', '--json')).stdout).roles, ['reader']);
  ok(await as('quo', 'signout'));
  assert.equal((await as('quo', 'whoami')).code, 2);
});

test('codes and machine tokens', async () => {
  ok(await signin('ana'));
  const made = JSON.parse((await as('ana', 'person totp ana --make --json')).stdout);
  assert.match(made.uri, /^otpauth:\/\/totp\/Safehouse:ana\?secret=[A-Z2-7]{32}&issuer=Safehouse$/);
  assert.equal((await as('ana', 'person totp ana --confirm', '--code-file', await lines('000000'))).code, 2);
  const step = stepNow();
  ok(await as('ana', 'person totp ana --confirm', '--code-file', await lines(code(made.secret, step))));
  assert.equal((await signin('ana')).code, 2, 'no code');
  assert.equal((await signin('ana', code(made.secret, step))).code, 2, 'a code works once');
  ok(await signin('ana', code(made.secret, step + 1)));
  assert.equal((await as('adm', 'person totp ana --make')).code, 2, 'only for oneself');

  const token = JSON.parse((await as(null, 'person token era --label ci --json')).stdout).token;
  assert.match(token, /^shm-[\w-]{43}$/);
  const machine = async (text) =>
    house.cliResult('signin', '--machine-token-file', await lines(text), '--dir', house.dir, '--token-file', file('ci'));
  ok(await machine(token));
  assert.match((await as('ci', 'whoami')).stdout, /^era/);
  assert.equal((await machine(token.slice(0, -2) + 'AA')).code, 2);
  ok(await as(null, 'person token era --revoke ci'));
  assert.equal((await as('ci', 'whoami')).code, 2, 'its sessions end with it');
  assert.equal((await machine(token)).code, 2);
  secrets.ci = token;
});

test('a session that is claimed and not held gets nothing, and soon no answer', async () => {
  const v = await Vault.connect(house.dir);
  let answers = 0;
  for (let i = 0; i < 10; i++) {
    v.send(MSG.AS, randomBytes(32));
    const r = await v.ask(MSG.WHO);
    if (!r) break;
    assert.notEqual(r.code, 0);
    assert.equal(r.frames.length, 0);
    answers++;
  }
  assert.ok(answers <= 3, `${answers} answers`);
  v.close();
});

test('1 000 attempts: locked out, unknown names alike, and the sealer is served', { timeout: 120000 }, async () => {
  const before = await house.rows('SELECT count() AS n FROM interactions');
  let seen = 0, tried = 0, text = new Set();
  const attack = (async () => {
    const v = await Vault.connect(house.dir);
    for (; tried < 1000; tried++) {
      const name = ['adm', 'nobody', 'unknown', 'another'][tried % 4];
      const r = await v.ask(MSG.SIGN_IN, password(name, `guess ${tried}`));
      assert.ok(r && r.code !== 0);
      seen += /too many attempts/.test(r.text);
      text.add(r.text.replace(/\d+/g, 'N'));
    }
    v.close();
  })();
  const key = JSON.parse(await house.cli('key', 'create', '--dir', house.dir, '--json'));
  const client = new OpenAI({ apiKey: key.secret, baseURL: `${house.gateway}/v1`, maxRetries: 0 });
  let sent = 0;
  for (; sent < 20; sent++) // new subjects: each needs an answer of the vault
    await client.chat.completions.create({ model: 'm', user: `during-${sent}`, messages: [{ role: 'user', content: 'x' }] });
  await house.stored(Number(before[0].n) + sent);
  await attack;
  assert.equal(tried, 1000);
  assert.ok(seen > 900, `${seen} of them were turned away at once`);
  assert.deepEqual([...text].sort(), ['name, password or code is wrong', 'too many attempts: try again in N s']);
  const locked = await signin('adm');
  assert.equal(locked.code, 3, 'the right password too, while it is locked out');
  assert.match(locked.stderr, /too many attempts: try again in \d+ s/);
  const pid = await house.pid('vault');
  process.kill(pid, 'SIGKILL'); // it has the passphrase from its file again
  await until(async () => {
    const s = await house.status();
    return s.vault?.locked === false && (await house.pid('vault')) !== pid;
  }, 'the vault again', 30000);
  const still = await signin('adm');
  assert.equal(still.code, 3, 'a restart gives nobody new attempts');
  assert.match(still.stderr, /too many attempts: try again in \d+ s/);
});

test('the session\'s file is its owner\'s alone', async () => {
  assert.equal((await stat(file('ana'))).mode & 0o777, 0o600);
  const before = await readFile(file('ana'));
  const open_ = join(house.home, 'open');
  await writeFile(open_, before, { mode: 0o644 });
  const r = await house.cliResult('whoami', '--dir', house.dir, '--token-file', open_);
  assert.equal(r.code, 2);
  assert.match(r.stderr, /you alone can read/);
});

test('no password, code or token is in a file, an output or a core', async () => {
  const tokens = [];
  for (const name of ['ana']) {
    const text = (await readFile(file(name), 'utf8')).trim();
    tokens.push(text, Buffer.from(text, 'base64url').toString('latin1'));
  }
  const wanted = [...Object.values(secrets), ...tokens, ...Object.values(secrets).map((s) => s.slice(0, 12))];
  const pid = await house.pid('vault');
  const helper = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim();
  assert.match(helper, /^\d+$/, 'the helper runs');
  const files = [];
  for (const p of [String(pid), helper]) {
    await run('gcore', ['-o', join(house.home, 'core'), p]);
    files.push(join(house.home, `core.${p}`));
  }
  const walk = async (dir) => {
    for (const e of await readdir(dir, { withFileTypes: true })) {
      if (e.isDirectory()) await walk(join(dir, e.name));
      else if (e.isFile()) files.push(join(dir, e.name));
    }
  };
  await walk(house.dir);
  await writeFile(join(house.home, 'stdout'), house.stdout);
  await writeFile(join(house.home, 'stderr'), house.stderr);
  files.push(join(house.home, 'stdout'), join(house.home, 'stderr'));
  for (const f of files) {
    const bytes = await readFile(f);
    for (const w of wanted) assert.ok(!bytes.includes(Buffer.from(w, 'latin1')), `${f} has one of the secrets`);
  }
  assert.ok(!(await readFile(join(house.dir, 'vault', 'vault.db'))).includes('ana\0'));
});
