// The audit against real servers of Debian's, each open, with a password and (where it has that) limited: `make
// test-audit` installs them. A table of verdicts, expected beside given, and beside them what nmap's script for the
// service says, where it has one that tries no passwords.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { BIN, audits } from '../scenario/lib/audits.mjs';
import { Servers, freePort, has } from '../scenario/lib/servers.mjs';

const servers = new Servers();
const a = audits();
after(() => servers.stop());

// What nmap's script prints means that strangers are let in, or that they are not. `silent`: without a word it means
// that they are not, since these print what they were told. Where a script cannot know, it is no witness: pgsql-brute
// and their like guess passwords, and for ClickHouse, etcd, ZooKeeper and NATS there is none.
const NMAP = {
  redis: { script: 'redis-info', open: /Version: /, silent: 'locked' },
  memcached: { script: 'memcached-info', open: /Process ID: /, silent: 'locked' },
  mqtt: { script: 'mqtt-subscribe', open: /Topics and their/, locked: /Connection rejected/ },
  mysql: { script: 'mysql-empty-password', open: /account has empty password/, silent: 'locked' },
  rabbitmq: { script: 'amqp-info', locked: /mechanisms: (PLAIN|AMQPLAIN)( (PLAIN|AMQPLAIN))*\s/ },
  web: { script: 'http-auth,+http-title', locked: /HTTP\/1\.1 401|\/login/ },
};
const WEB = ['influxdb', 'prometheus', 'jupyter', 'rabbitmq-management', ''];

function nmap(service, port) {
  const n = NMAP[WEB.includes(service) ? 'web' : service];
  if (!n) return { word: '-', said: 'no script' };
  const r = spawnSync('nmap', ['-n', '-Pn', '-sT', '-p', String(port), '--script', `+${n.script}`, '127.0.0.1'], { encoding: 'utf8' });
  assert.equal(r.status, 0, r.stderr);
  const said = r.stdout.split('\n').filter((l) => l.startsWith('|')).join(' ').slice(0, 60);
  const word = n.open?.test(r.stdout) ? 'open' : n.locked?.test(r.stdout) ? 'locked' : n.silent ?? '-';
  return { word, said: said || 'says nothing' };
}

// Rows as audits.mjs has them, and in `differs`, by name, why nmap's word is another one. Where it has a word and
// nothing explains a difference, it is the same.
async function table(rows, differs = {}) {
  const found = await a.table(rows);
  for (const [name, port, verdict, grade, service] of rows) {
    const theirs = has('nmap') ? nmap(service, port) : { word: '-', said: 'not there' };
    const same = theirs.word === '-' || (theirs.word === 'open') === verdict.startsWith('open');
    console.log([name, verdict, grade, service || '-', `nmap: ${theirs.word}`, theirs.said, differs[name] ?? ''].join(' | '));
    assert.equal(same, !differs[name], `${name}: nmap says ${theirs.word}`);
  }
  return found;
}

const as = (user, ...command) => ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', ...command];
const sh = (...command) => {
  const r = spawnSync(command[0], command.slice(1), { encoding: 'utf8' });
  assert.equal(r.status, 0, `${command.join(' ')}: ${r.stdout}${r.stderr}`);
  return r.stdout;
};
const file = async (d, name, text) => {
  await writeFile(path.join(d, name), text, { mode: 0o644 });
  return path.join(d, name);
};

test('Redis, Memcached, Mosquitto, NATS, etcd', { skip: !['redis-server', 'memcached', 'mosquitto', 'nats-server', 'etcd'].every(has) }, async () => {
  const d = await servers.dir();
  const redis = (...more) => servers.real((port, home) => ['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', home, ...more]);
  const memcached = (...more) => servers.real((p) => ['memcached', '-u', 'nobody', '-l', '127.0.0.1', '-p', String(p), ...more]);
  const mosquitto = async (text) => {
    const port = await freePort(), conf = await file(d, `mosquitto${port}`, `listener ${port} 127.0.0.1\n${text}\n`);
    return servers.real(() => ['mosquitto', '-c', conf], { port });
  };
  const nats = (...more) => servers.real((p) => ['nats-server', '-a', '127.0.0.1', '-p', String(p), ...more]);
  const etcd = async () => {
    const peer = await freePort();
    return servers.real((port, home) => ['etcd', '--data-dir', home, '--listen-client-urls', `http://127.0.0.1:${port}`, '--advertise-client-urls', `http://127.0.0.1:${port}`,
      '--listen-peer-urls', `http://127.0.0.1:${peer}`, '--initial-advertise-peer-urls', `http://127.0.0.1:${peer}`, '--initial-cluster', `default=http://127.0.0.1:${peer}`]);
  };
  const locked = await etcd();
  const post = (where, body) => sh('curl', '-sf', '--retry', '20', '--retry-delay', '1', '--retry-all-errors', '-d', JSON.stringify(body), `http://127.0.0.1:${locked}${where}`);
  post('/v3/auth/user/add', { name: 'root', password: 'x' });
  post('/v3/auth/user/grant', { user: 'root', role: 'root' });
  post('/v3/auth/enable', {});
  const acl = await file(d, 'acl', 'user default on nopass +ping +get ~public:*\nuser admin on >x +@all ~*\n');
  await table([
    ['redis', await redis(), 'open', 'F', 'redis'],
    ['redis, password', await redis('--requirepass', 'x'), 'auth-required', 'B', 'redis'],
    ['redis, limited', await redis('--aclfile', acl), 'open-limited', 'C', 'redis'],
    ['memcached', await memcached(), 'open', 'D', 'memcached'],
    ['memcached, passwords', await memcached('-Y', await file(d, 'pw', 'user:x\n')), 'auth-required', 'B', 'memcached'],
    ['mosquitto', await mosquitto('allow_anonymous true'), 'open', 'D', 'mqtt'],
    ['mosquitto, password', await mosquitto('allow_anonymous false'), 'auth-required', 'B', 'mqtt'],
    ['nats', await nats(), 'open', 'D', 'nats'],
    ['nats, password', await nats('--user', 'a', '--pass', 'b'), 'auth-required', 'B', 'nats'],
    ['etcd', await etcd(), 'open', 'E', 'etcd'],
    ['etcd, roles on', locked, 'auth-required', 'B', 'etcd'],
  ], { 'redis, limited': 'the script asks INFO alone, which this user may not; PING and GET are answered' });
});

async function clickhouse(password, profile = '', more = '') {
  const d = await servers.dir(), port = await freePort(), native = await freePort(), inter = await freePort();
  await writeFile(path.join(d, 'users.xml'), `<yandex><profiles><default>${profile}</default></profiles>
<users><default><password>${password}</password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>${more}</default></users>
<quotas><default></default></quotas></yandex>`);
  await writeFile(path.join(d, 'config.xml'), `<yandex><logger><level>error</level><console>1</console></logger>
<http_port>${port}</http_port><tcp_port>${native}</tcp_port><interserver_http_port>${inter}</interserver_http_port><listen_host>127.0.0.1</listen_host><path>${d}/</path><tmp_path>${d}/tmp/</tmp_path>
<users_config>${d}/users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
<timezone>Asia/Shanghai</timezone><mark_cache_size>5368709</mark_cache_size></yandex>`);
  await servers.real(() => ['clickhouse-server', `--config-file=${d}/config.xml`], { port, dir: d });
  return { port, native, inter };
}

test('ClickHouse 18.16: open, read-only, limited, with a password, for its replicas; the rows of January 2025', { skip: !has('clickhouse-server') }, async () => {
  const open = await clickhouse(''), readonly = await clickhouse('', '<readonly>1</readonly>'), locked = await clickhouse('secret');
  const settings = await clickhouse('', '<readonly>2</readonly>');
  const one = await clickhouse('', '<readonly>1</readonly>', '<allow_databases><database>none</database></allow_databases>');
  const sql = async (q) => {
    const r = await fetch(`http://127.0.0.1:${open.port}/`, { method: 'POST', body: q });
    assert.ok(r.ok, await r.text());
  };
  await sql('CREATE TABLE log_stream (timestamp DateTime, `string.values` String) ENGINE = MergeTree ORDER BY timestamp');
  await sql("INSERT INTO log_stream VALUES (now(), 'use AKIAQWERTYUIOPASDFGH please'), (now(), 'wang@mail.example.cn, 13812345678')");
  const { findings } = await table([
    ['clickhouse', open.port, 'open', 'F', 'clickhouse'],
    ['clickhouse native', open.native, 'open', 'D', 'clickhouse-native'],
    ['clickhouse, readonly = 1', readonly.port, 'open', 'D', 'clickhouse'],
    ['clickhouse, readonly = 2', settings.port, 'open', 'F', 'clickhouse'],
    ['clickhouse, one database', one.port, 'open', 'D', 'clickhouse'],
    ['clickhouse, for its replicas', open.inter, 'open-limited', 'C', 'clickhouse-interserver'],
    ['clickhouse, password', locked.port, 'auth-required', 'B', 'clickhouse'],
    ['clickhouse native, password', locked.native, 'auth-required', 'B', 'clickhouse-native'],
  ]);
  const of = (rule) => findings.find((f) => f.rule === rule && f.port === open.port);
  assert.match(of('check/sample-secret').detail, /aws/);
  assert.match(of('check/sample-personal').detail, /mobile/);
  assert.equal(of('check/C5').severity, 'critical');
  assert.match(of('check/C2').detail, /not verifiable here/);
  assert.ok(!findings.some((f) => JSON.stringify(f).includes('AKIAQWERTY')));
});

test('the configuration that Debian ships: saved by loopback alone', { skip: !has('clickhouse-server') }, () => {
  const r = spawnSync(path.join(BIN, 'safehouse'), ['audit', '--config-dir', '/etc/clickhouse-server', '--json'], { encoding: 'utf8' });
  const lines = r.stdout.trim().split('\n').map((l) => JSON.parse(l));
  const h = lines.find((l) => l.type === 'host');
  console.log('debian configuration', h.verdict, h.grade, h.reason);
  assert.deepEqual([h.verdict, h.grade], ['closed', 'A']);
  const rules = new Set(lines.filter((l) => l.type === 'finding').map((f) => f.rule));
  for (const rule of ['check/C2', 'check/C3', 'check/C5', 'check/C14']) assert.ok(rules.has(rule), rule);
  assert.ok(!rules.has('check/config'));
});

test('PostgreSQL: trust, limited, password, no entry, by TLS alone', { skip: !has('/usr/lib/postgresql/15/bin/initdb') }, async () => {
  const bin = '/usr/lib/postgresql/15/bin';
  const { key, cert } = await servers.pair();
  const make = async (hba, { superuser = 'postgres', sql, tls } = {}) => {
    const d = await servers.dir(), data = path.join(d, 'data'), port = await freePort();
    sh(...as('postgres', `${bin}/initdb`, '-D', data, '-A', 'trust', '-N', '-U', superuser));
    await writeFile(path.join(data, 'pg_hba.conf'), `local all ${superuser} trust\n${hba}`);
    const files = ['key', 'cert'].map((name) => path.join(data, name));
    for (const [i, bytes] of [key, cert].entries()) await writeFile(files[i], bytes, { mode: 0o600 });
    sh('chown', 'postgres', ...files);
    await servers.real(() => as('postgres', `${bin}/postgres`, '-D', data, '-p', String(port), '-k', d, '-h', '127.0.0.1',
      ...(tls ? ['-c', 'ssl=on', '-c', `ssl_key_file=${files[0]}`, '-c', `ssl_cert_file=${files[1]}`] : [])), { port, dir: d });
    if (sql) sh(...as('postgres', `${bin}/psql`, '-h', d, '-p', String(port), '-U', superuser, '-d', 'postgres', '-c', sql));
    return port;
  };
  await table([
    ['postgresql, trust', await make('host all all 127.0.0.1/32 trust\n'), 'open', 'F', 'postgresql'],
    ['postgresql, trust, no superuser', await make('host all all 127.0.0.1/32 trust\n', { superuser: 'admin', sql: 'CREATE ROLE postgres LOGIN' }), 'open', 'E', 'postgresql'],
    ['postgresql, trust by TLS alone', await make('hostssl all all 127.0.0.1/32 trust\n', { tls: true }), 'open', 'F', 'postgresql'],
    ['postgresql, scram', await make('host all all 127.0.0.1/32 scram-sha-256\n'), 'auth-required', 'B', 'postgresql'],
    ['postgresql, no entry', await make(''), 'auth-required', 'B', 'postgresql'],
  ]);
});

test('MariaDB: without grants, limited, by TLS alone, with a password', { skip: !has('mariadbd') }, async () => {
  const { key, cert } = await servers.pair();
  const make = async (sql, ...args) => {
    const d = await servers.dir();
    sh('mariadb-install-db', '--user=mysql', `--datadir=${d}/data`, '--auth-root-authentication-method=normal', '--skip-test-db');
    await file(d, 'init.sql', `DELETE FROM mysql.global_priv WHERE User = '' OR Host <> 'localhost';\nFLUSH PRIVILEGES;\n${sql}\n`);
    await file(d, 'key', key);
    await file(d, 'cert', cert);
    return servers.real((port) => ['mariadbd', '--no-defaults', '--user=mysql', `--datadir=${d}/data`, `--port=${port}`, '--bind-address=127.0.0.1', `--socket=${d}/s`,
      `--ssl-key=${d}/key`, `--ssl-cert=${d}/cert`, ...(args.length ? args : [`--init-file=${d}/init.sql`])], { dir: d });
  };
  const PASSWORD = "ALTER USER 'root'@'localhost' IDENTIFIED BY 'x';\n";
  await table([
    ['mariadb without grants', await make('', '--skip-grant-tables'), 'open', 'F', 'mysql'],
    ['mariadb, root without a password', await make(''), 'open', 'F', 'mysql'],
    ['mariadb, root by TLS alone', await make("ALTER USER 'root'@'localhost' REQUIRE SSL;\n"), 'open', 'F', 'mysql'],
    ['mariadb, the anonymous user', await make(`${PASSWORD}CREATE USER ''@'localhost';\n`), 'open', 'E', 'mysql'],
    ['mariadb, password', await make(PASSWORD), 'auth-required', 'B', 'mysql'],
  ], { 'mariadb, root by TLS alone': 'the script signs in in clear alone' });
});

test('ZooKeeper, RabbitMQ', { skip: !['java', 'rabbitmq-server'].every(has) }, async () => {
  const zookeeper = async (more = '') => {
    const d = await servers.dir(), port = await freePort();
    const conf = await file(d, 'zoo.cfg', `dataDir=${d}/z\nclientPort=${port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n${more}`);
    return servers.real(() => ['java', '-cp', '/etc/zookeeper/conf:/usr/share/java/*', 'org.apache.zookeeper.server.quorum.QuorumPeerMain', conf], { port, dir: d });
  };
  const pages = await freePort();
  const rabbit = async () => {
    const d = await servers.dir(), port = await freePort(), dist = await freePort(), epmd = await freePort();
    await mkdir(path.join(d, 'log'));
    await file(d, 'p', '[rabbitmq_management].\n');
    const conf = await file(d, 'r.conf', `management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = ${pages}\n`);
    for (const [k, v] of Object.entries({ RABBITMQ_NODENAME: `audit${port}@localhost`, RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1', RABBITMQ_NODE_PORT: port,
      RABBITMQ_DIST_PORT: dist, ERL_EPMD_PORT: epmd, RABBITMQ_MNESIA_BASE: `${d}/m`, RABBITMQ_LOG_BASE: `${d}/log`, RABBITMQ_ENABLED_PLUGINS_FILE: `${d}/p`, RABBITMQ_CONFIG_FILE: conf }))
      process.env[k] = String(v);
    await servers.real(() => ['epmd', '-port', String(epmd)], { port: epmd }); // else it starts one that nobody ends
    return servers.real(() => ['/usr/lib/rabbitmq/bin/rabbitmq-server'], { port: pages, dir: d, group: true }).then(() => port);
  };
  await table([
    ['zookeeper', await zookeeper(), 'open', 'D', 'zookeeper'],
    ['zookeeper, every word allowed', await zookeeper('4lw.commands.whitelist=*\n'), 'open', 'D', 'zookeeper'],
    // a session is given to anybody, and does nothing before it signs in; srvr is answered in any case
    ['zookeeper, sign-in enforced', await zookeeper('enforce.auth.enabled=true\nenforce.auth.schemes=digest\n'), 'open-limited', 'C', 'zookeeper'],
    ['rabbitmq', await rabbit(), 'auth-required', 'B', 'rabbitmq'],
    ['rabbitmq\'s pages', pages, 'auth-required', 'B', 'rabbitmq-management'],
  ]);
});

test('InfluxDB, Prometheus, Jupyter', { skip: !['influxd', 'prometheus', 'jupyter-server'].every(has) }, async () => {
  const influx = async (auth) => {
    const d = await servers.dir(), port = await freePort();
    await file(d, 'c', `reporting-disabled = true\nbind-address = "127.0.0.1:0"\n[meta]\ndir = "${d}/m"\n[data]\ndir = "${d}/d"\nwal-dir = "${d}/w"\n[http]\nbind-address = "127.0.0.1:${port}"\nauth-enabled = ${auth}\n`);
    return servers.real(() => ['influxd', '-config', path.join(d, 'c')], { port, dir: d });
  };
  const jupyter = (token) => servers.real((port) => ['jupyter-server', '--allow-root', '--no-browser', '--ip=127.0.0.1', `--port=${port}`, `--ServerApp.token=${token}`, '--ServerApp.password=']);
  const prometheus = (...more) => servers.real((port, d) => ['prometheus', '--config.file=/dev/null', `--web.listen-address=127.0.0.1:${port}`, `--storage.tsdb.path=${d}`, ...more]);
  // a bcrypt hash, of a password that nobody needs
  const web = await file(await servers.dir(), 'web.yml', "basic_auth_users:\n  admin: $2b$10$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay\n");
  await table([
    ['influxdb', await influx(false), 'open', 'E', 'influxdb'],
    ['influxdb, auth on', await influx(true), 'auth-required', 'B', 'influxdb'],
    ['prometheus', await prometheus(), 'open', 'D', 'prometheus'],
    ['prometheus, password', await prometheus(`--web.config.file=${web}`), 'auth-required', 'B', ''],
    ['jupyter without a token', await jupyter(''), 'open', 'F', 'jupyter'],
    ['jupyter', await jupyter('secret'), 'auth-required', 'B', 'jupyter'],
  ]);
});
