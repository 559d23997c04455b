// safehouse audit --config-dir: files of a ClickHouse merged as it merges them, findings with file and
// line, and files that want something of the parser.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

const BIN = process.env.SAFEHOUSE_BIN ?? path.resolve('build/bin');
let home, folders = 0;
before(async () => { home = await mkdtemp(path.join(tmpdir(), 'audit-config-')); });
after(async () => { await rm(home, { recursive: true, force: true }); });

async function folder(files) {
  const dir = path.join(home, String(folders++));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(dir, name)), { recursive: true });
    await writeFile(path.join(dir, name), text);
  }
  return dir;
}
function audit(dir, ...args) {
  const r = spawnSync(path.join(BIN, 'safehouse'), ['audit', '--config-dir', dir, '--json', ...args], { encoding: 'utf8' });
  const lines = r.stdout.split('\n').filter(Boolean).map((l) => JSON.parse(l));
  return { code: r.status, stdout: r.stdout, stderr: r.stderr, host: lines.find((l) => l.type === 'host'), findings: lines.filter((l) => l.type === 'finding') };
}
const at = (r, rule, dir) => r.findings.filter((f) => f.rule === `check/${rule}`).map((f) => `${f.file.slice(dir.length + 1)}:${f.file_line}`);

const USERS = `<clickhouse>
 <profiles><default><max_execution_time>9</max_execution_time></default><ro><readonly>1</readonly><profile>default</profile></ro></profiles>
 <users>
  <default>
   <password></password>
   <networks><ip>::/0</ip></networks>
   <profile>default</profile>
  </default>
 </users>
</clickhouse>`;
const SERVER = '<clickhouse>\n <listen_host>127.0.0.1</listen_host>\n <http_port>8123</http_port>\n <remote_url_allow_hosts><host>a.b</host></remote_url_allow_hosts>\n</clickhouse>';

test('who may come: the three things that make the verdict, each from its file', async () => {
  const open = '<clickhouse><listen_host replace="1">::</listen_host></clickhouse>';
  const rows = [
    ['loopback alone', {}, 'closed', 'A', 0],
    ['every address', { 'config.d/net.xml': open }, 'open', 'F', 1],
    ['in YAML', { 'config.d/net.yaml': 'listen_host: "0.0.0.0"\n' }, 'open', 'F', 1],
    ['read-only', { 'config.d/net.xml': open, 'users.d/ro.xml': '<yandex><users><default><profile>ro</profile></default></users></yandex>' }, 'open', 'E', 1],
    ['a password from elsewhere', { 'config.d/net.xml': open, 'users.d/p.xml': '<clickhouse><users><default><password from_env="P"/></default></users></clickhouse>' }, 'auth-required', 'B', 0],
    ['a hash in YAML', { 'config.d/net.xml': open, 'users.d/p.yml': `users:\n  default:\n    password: {"@remove": 1}\n    password_sha256_hex: ${'a'.repeat(64)}\n` }, 'auth-required', 'B', 0],
    ['networks replaced', { 'config.d/net.xml': open, 'users.d/n.yaml': 'users:\n  default:\n    networks:\n      "@replace": replace\n      ip: ["10.0.0.0/8", "::1"]\n' }, 'auth-required', 'B', 0],
    ['networks merged, the first of each: 10/8 in the place of ::/0', { 'config.d/net.xml': open, 'users.d/n.xml': '<clickhouse><users><default><networks><ip>10.0.0.0/8</ip></networks></default></users></clickhouse>' }, 'auth-required', 'B', 0],
    ['and one more beside it', { 'config.d/net.xml': open, 'users.d/n.xml': '<clickhouse><users><default><networks><ip>10.0.0.0/8</ip><ip>::/0</ip></networks></default></users></clickhouse>' }, 'open', 'F', 1],
    ['user removed', { 'config.d/net.xml': open, 'users.d/r.xml': '<clickhouse><users><default remove="1"/></users></clickhouse>' }, 'auth-required', 'B', 0],
    ['the last file has the word', { 'config.d/1.xml': open, 'config.d/2.xml': '<clickhouse><listen_host>::1</listen_host></clickhouse>' }, 'closed', 'A', 0],
    ['hidden and other files do not count', { 'config.d/.x.xml': open, 'config.d/x.xml.bak': open }, 'closed', 'A', 0],
  ];
  for (const [name, files, verdict, grade, code] of rows) {
    const r = audit(await folder({ 'config.xml': SERVER, 'users.xml': USERS, ...files }));
    assert.deepEqual([name, r.host?.verdict, r.host?.grade, r.code], [name, verdict, grade, code], r.stderr);
  }
});

test('findings name file and line, stay the same when lines move, and go to code scanning', async () => {
  const more = { 'config.d/more.xml': `<clickhouse>
 <listen_host>10.0.0.5</listen_host>
 <interserver_http_port>9009</interserver_http_port>
 <remote_servers><all><shard><replica><host>other.example</host><password>pw-canary</password></replica></shard></all></remote_servers>
 <named_collections><s3><secret_access_key>key-canary</secret_access_key></s3></named_collections>
 <user_files_path>/</user_files_path>
 <query_log><table>query_log</table></query_log>
</clickhouse>`, 'users.d/u.xml': `<clickhouse><users><app><password>plain-canary</password><access_management>1</access_management></app>
<default><access_management>1</access_management></default></users></clickhouse>` };
  const dir = await folder({ 'config.xml': SERVER, 'users.xml': USERS, ...more });
  const r = audit(dir);
  assert.equal(r.code, 1);
  assert.deepEqual(at(r, 'C2', dir).sort(), ['users.d/u.xml:1', 'users.xml:5']);
  assert.deepEqual(at(r, 'C3', dir), ['users.xml:6']);
  assert.deepEqual(at(r, 'C4', dir), ['users.d/u.xml:2']);
  assert.deepEqual(at(r, 'C9', dir), ['config.d/more.xml:6']);
  assert.deepEqual(at(r, 'C13', dir), ['config.d/more.xml:4']);
  assert.deepEqual(at(r, 'C14', dir), ['config.d/more.xml:7']);
  assert.deepEqual(at(r, 'C16', dir).sort(), ['config.d/more.xml:3', 'config.xml:3']);
  assert.deepEqual(at(r, 'C18', dir).sort(), ['config.d/more.xml:3', 'config.d/more.xml:4']);
  assert.deepEqual(at(r, 'C19', dir), ['config.d/more.xml:5']);
  assert.doesNotMatch(r.stdout, /canary/);
  await writeFile(path.join(dir, 'users.xml'), `<!-- a line\nmore -->\n${USERS}`);
  const moved = audit(dir);
  assert.deepEqual(at(moved, 'C3', dir), ['users.xml:8']);
  assert.deepEqual(moved.findings.map((f) => f.fingerprint).sort(), r.findings.map((f) => f.fingerprint).sort());
  assert.equal(new Set(r.findings.map((f) => f.fingerprint)).size, r.findings.length);
  const sarif = JSON.parse(spawnSync(path.join(BIN, 'safehouse'), ['audit', '--config-dir', dir, '--sarif'], { encoding: 'utf8' }).stdout);
  const c9 = sarif.runs[0].results.find((x) => x.ruleId === 'check/C9').locations[0].physicalLocation;
  assert.deepEqual([c9.artifactLocation.uri, c9.region.startLine], [path.join(dir, 'config.d/more.xml'), 6]);
});

const OPEN = { 'config.d/net.xml': '<clickhouse><listen_host replace="1">::</listen_host></clickhouse>' };

test('files that a configuration names: users elsewhere, substitutions, folders over all', async () => {
  const server = (more) => SERVER.replace('</clickhouse>', `${more}</clickhouse>`);
  const user = (inner, name = 'default') => `<clickhouse><users><${name}>${inner}</${name}></users></clickhouse>`;
  const from = (text) => ({ 'subst.xml': `<whatever>${text}</whatever>`, 'users.d/from.xml': '<clickhouse><include_from>/etc/elsewhere/subst.xml</include_from></clickhouse>' });
  const rows = [
    // [name, files, verdict, grade, code, titles of config notes]
    ['users_config', { 'config.xml': server('<users_config>people.xml</users_config>'), 'people.xml': user('<password>x</password>', 'ann') }, 'auth-required', 'B', 0],
    ['users_config by its whole path', { 'config.xml': server('<users_config>/etc/clickhouse-server/people.yaml</users_config>'), 'people.yaml': 'users:\n  ann:\n    no_password: 1\n' }, 'open', 'F', 1],
    ['the folder over it', { 'config.xml': server('<users_config>people.xml</users_config>'), 'people.xml': user('<password>x</password>'), 'people.d/o.xml': user('<password remove="1"/><no_password/>') }, 'open', 'F', 1],
    ['and not users.d', { 'config.xml': server('<users_config>people.xml</users_config>'), 'people.xml': user('<password>x</password>'), 'users.d/o.xml': user('<password remove="1"/><no_password/>') }, 'auth-required', 'B', 0],
    ['user_directories', { 'config.xml': server('<user_directories><users_xml><path>people.xml</path></users_xml></user_directories>'), 'people.xml': user('<password>x</password>') }, 'auth-required', 'B', 0],
    ['a users_config that is not there', { 'config.xml': server('<users_config>/nowhere/people.xml</users_config>') }, 'open', 'F', 1, /not read.*people\.xml/],
    ['conf.d goes over users, too', { 'conf.d/p.xml': user('<password>x</password>') }, 'auth-required', 'B', 0],
    ['conf.d before config.d', { 'conf.d/z.xml': '<clickhouse><listen_host>::</listen_host></clickhouse>', 'config.d/net.xml': '<clickhouse><listen_host>::1</listen_host></clickhouse>' }, 'closed', 'A', 0],
    ['a file with another root', { 'users.d/o.xml': '<other><users><default><password>x</password></default></users></other>' }, 'open', 'F', 1, /root is <other>/],
    ['attributes in another order', { 'users.d/a.xml': user('<password a="1" b="2"/>', 'ann'), 'users.d/b.xml': user('<password b="2" a="1">x</password>', 'ann'), 'users.d/c.xml': '<clickhouse><users><default remove="1"/></users></clickhouse>' }, 'auth-required', 'B', 0],
    ['what is new and to go', { 'users.d/a.xml': user('<password remove="1">x</password>', 'ann'), 'users.d/c.xml': '<clickhouse><users><default remove="1"/></users></clickhouse>' }, 'open', 'F', 1],
    ['a password by substitution', { ...from('<pw>secret-canary</pw>'), 'users.d/p.xml': user('<password incl="pw"/>') }, 'auth-required', 'B', 0],
    ['an empty one by substitution', { ...from('<pw></pw>'), 'users.d/p.xml': user('<password incl="pw"/>') }, 'open', 'F', 1],
    ['networks by substitution', { ...from('<nets><ip>10.0.0.0/8</ip></nets>'), 'users.d/p.xml': user('<networks incl="nets" replace="1"/>') }, 'auth-required', 'B', 0],
    ['a whole user by substitution', { ...from('<all><eve><password></password></eve></all>'), 'users.d/p.xml': '<clickhouse><users><default remove="1"/><include incl="all"/></users></clickhouse>' }, 'open', 'F', 1],
    ['one that is not there counts as set', { ...from(''), 'users.d/p.xml': user('<password incl="pw"/>') }, 'auth-required', 'B', 0],
    ['one that is not there and optional goes', { ...from(''), 'users.d/p.xml': user('<password incl="pw" optional="true"/>') }, 'open', 'F', 1],
    ['substitutions that are not there', { 'users.d/p.xml': '<clickhouse><include_from>/etc/metrika.xml</include_from><users><default><password incl="pw"/></default></users></clickhouse>' }, 'auth-required', 'B', 0, /count as set.*metrika\.xml/],
    ['of the server, in YAML', { ...OPEN, 'config.d/z.yaml': 'include_from: subst.yml\nlisten_host: {"@replace": 1, "@incl": inner}\n', 'subst.yml': 'inner: "127.0.0.1"\n' }, 'closed', 'A', 0],
    ['from_env on one, incl on another', { ...from('<pw>x</pw>'), 'users.d/p.xml': user('<password from_env="P"/>'), 'users.d/q.xml': user('<password incl="pw"/>', 'ann') }, 'auth-required', 'B', 0],
  ];
  for (const [name, files, verdict, grade, code, note] of rows) {
    const r = audit(await folder({ 'config.xml': SERVER, 'users.xml': USERS, ...OPEN, ...files }));
    assert.deepEqual([name, r.host?.verdict, r.host?.grade, r.code], [name, verdict, grade, code], r.stderr + JSON.stringify(r.findings));
    const said = r.findings.filter((f) => f.rule === 'check/config').map((f) => `${f.title}: ${f.detail}`).join();
    note ? assert.match(said, note) : assert.equal(said, '');
    assert.doesNotMatch(r.stdout, /canary/);
  }
  // a finding names the line that says it, in the file of substitutions too
  const dir = await folder({ 'config.xml': SERVER, 'users.xml': USERS, ...OPEN, ...from('\n\n<nets><ip>::/0</ip></nets>'), 'users.d/p.xml': user('<networks incl="nets" replace="1"/>') });
  assert.deepEqual(at(audit(dir), 'C3', dir), ['subst.xml:3']);
});

test('files that want something: other files, endless entities, depth, nonsense', async () => {
  const secret = path.join(home, 'secret');
  await writeFile(secret, 'entity-canary');
  const laughs = ['<!ENTITY l0 "ha">'];
  for (let i = 1; i < 40; i++) laughs.push(`<!ENTITY l${i} "&l${i - 1};&l${i - 1};">`);
  const anchors = ['a0: &a0 []'];
  for (let i = 1; i < 40; i++) anchors.push(`a${i}: &a${i} [*a${i - 1}, *a${i - 1}]`);
  const cases = [
    ['xml', `<!DOCTYPE x [<!ENTITY e SYSTEM "file://${secret}">]><clickhouse><user_files_path>&e;</user_files_path></clickhouse>`, /document type|well-formed/],
    ['xml', `<!DOCTYPE x SYSTEM "file://${secret}"><clickhouse/>`, /document type|well-formed/],
    ['xml', `<!DOCTYPE x [${laughs.join('')}]><clickhouse><a>&l39;</a></clickhouse>`, /document type|well-formed/],
    ['xml', `<clickhouse>${'<a>'.repeat(100000)}`, /well-formed/],
    ['xml', `<clickhouse>${'<a>'.repeat(200)}${'</a>'.repeat(200)}</clickhouse>`, /deeper than/],
    ['xml', `<clickhouse>${'<a/>'.repeat(150000)}</clickhouse>`, /more than/],
    ['xml', '\u0000\u0001', /well-formed/],
    ['xml', '', /well-formed/],
    ['xml', '<clickhouse><include_from>s.xml</include_from><include incl="a"/></clickhouse>', /more than/, { 's.xml': '<x><a><include incl="a"/><include incl="a"/></a></x>' }],
    ['xml', '<clickhouse><include_from>s.xml</include_from><b incl="a"/></clickhouse>', /deeper than/, { 's.xml': '<x><a><b incl="a"/></a></x>' }],
    ['xml', '<clickhouse><include_from>s.xml</include_from><b incl="a"/></clickhouse>', /well-formed|document type/, { 's.xml': `<!DOCTYPE x SYSTEM "file://${secret}"><x/>` }],
    ['yaml', anchors.join('\n'), /more than/],
    ['yaml', 'a: &a [*a]\n', /YAML|more than/],
    ['yaml', '[1, 2]\n', /no settings/],
    ['yaml', 'a: "\n', /no YAML/],
    ['yaml', `a: ${'['.repeat(5000)}${']'.repeat(5000)}\n`, /YAML|more than/],
  ];
  for (const [ending, text, why, more = {}] of cases) {
    const begun = Date.now();
    const r = audit(await folder({ 'config.xml': SERVER, 'users.xml': USERS, ...more, [`config.d/x.${ending}`]: text }));
    const note = r.findings.find((f) => f.rule === 'check/config');
    assert.match(note?.detail ?? `${r.code} ${r.stderr}`, why);
    assert.equal(r.code, 3, text.slice(0, 80));
    assert.doesNotMatch(r.stdout, /entity-canary/);
    assert.ok(Date.now() - begun < 20000);
  }
  assert.equal(audit(path.join(home, 'nothing')).code, 2);
  assert.equal(audit(await folder({ 'config.xml': 'x'.repeat((1 << 20) + 1) })).code, 2);
  const both = spawnSync(path.join(BIN, 'safehouse'), ['audit', '--config-dir', home, '--scope', 'x'], { encoding: 'utf8' });
  assert.equal(both.status, 2);
});

test('names of users and files are printed without control characters', async () => {
  const dir = await folder({ 'config.xml': SERVER, 'users.xml': USERS, 'users.d/\u001b[2J.yaml': 'users: {"a\\e]0;x\\a": {password: ""}}\n' });
  const r = spawnSync(path.join(BIN, 'safehouse'), ['audit', '--config-dir', dir], { encoding: 'utf8' });
  assert.doesNotMatch(r.stdout + r.stderr, /[\x00-\x08\x0b-\x1f\x7f]/);
  assert.match(r.stdout, /users\.d/);
});
