// The audit against the real servers that are large to install: `make test-audit` brings them. A table of
// verdicts, expected beside given; nmap's word, where it has a script and is there, beside it.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Servers, freePort, has } from '../scenario/lib/servers.mjs';

const BIN = process.env.SAFEHOUSE_BIN ?? path.resolve('build/bin');
const servers = new Servers();
let dir;
before(async () => { dir = await mkdtemp(path.join(tmpdir(), 'audit-servers-')); });
after(async () => { await servers.stop(); await rm(dir, { recursive: true, force: true }); });

async function hosts(ports) {
  const scope = path.join(dir, 'scope');
  await writeFile(scope, `127.0.0.1 ${ports.join(' ')}\n`);
  const child = spawn(path.join(BIN, 'safehouse'), ['audit', '--scope', scope, '--json', '--rate', '500', '--per-host', '8']);
  let out = '';
  child.stdout.on('data', (d) => { out += d; });
  await new Promise((done) => child.on('exit', done));
  const lines = out.trim().split('\n').map((l) => JSON.parse(l));
  return { hosts: lines.filter((l) => l.type === 'host'), findings: lines.filter((l) => l.type === 'finding') };
}

async function table(rows) {
  const found = await hosts(rows.map((r) => r[1]));
  const given = rows.map(([name, port]) => {
    const h = found.hosts.find((x) => x.port === port);
    return [name, h?.verdict, h?.grade, h?.service];
  });
  for (const g of given) console.log(g.join('  '));
  assert.deepEqual(given, rows.map(([name, , verdict, grade, service]) => [name, verdict, grade, service]));
  return found;
}

const as = (user, ...command) => ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', ...command];
const sh = (...command) => {
  const r = spawnSync(command[0], command.slice(1), { encoding: 'utf8' });
  assert.equal(r.status, 0, `${command.join(' ')}: ${r.stdout}${r.stderr}`);
  return r.stdout;
};

async function clickhouse(password, profile = '') {
  const d = await servers.dir(), port = await freePort(), native = await freePort();
  await writeFile(path.join(d, 'users.xml'), `<yandex><profiles><default>${profile}</default></profiles>
<users><default><password>${password}</password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></default></users>
<quotas><default></default></quotas></yandex>`);
  await writeFile(path.join(d, 'config.xml'), `<yandex><logger><level>error</level><console>1</console></logger>
<http_port>${port}</http_port><tcp_port>${native}</tcp_port><listen_host>127.0.0.1</listen_host><path>${d}/</path><tmp_path>${d}/tmp/</tmp_path>
<users_config>${d}/users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
<timezone>Asia/Shanghai</timezone><mark_cache_size>5368709</mark_cache_size></yandex>`);
  await servers.real(() => ['clickhouse-server', `--config-file=${d}/config.xml`], { port, dir: d });
  return { port, native };
}

test('ClickHouse 18.16: open, read-only, with a password; the rows of January 2025', { skip: !has('clickhouse-server') }, async () => {
  const open = await clickhouse(''), readonly = await clickhouse('', '<readonly>1</readonly>'), locked = await clickhouse('secret');
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

test('PostgreSQL: trust, password, no entry', { skip: !has('/usr/lib/postgresql/15/bin/initdb') }, async () => {
  const bin = '/usr/lib/postgresql/15/bin';
  const make = async (hba) => {
    const d = await servers.dir(), data = path.join(d, 'data');
    sh(...as('postgres', `${bin}/initdb`, '-D', data, '-A', 'trust', '-N'));
    await writeFile(path.join(data, 'pg_hba.conf'), hba);
    return servers.real((port) => as('postgres', `${bin}/postgres`, '-D', data, '-p', String(port), '-k', d, '-h', '127.0.0.1'), { dir: d });
  };
  await table([
    ['postgresql, trust', await make('host all all 127.0.0.1/32 trust\n'), 'open', 'F', 'postgresql'],
    ['postgresql, scram', await make('host all all 127.0.0.1/32 scram-sha-256\n'), 'auth-required', 'B', 'postgresql'],
    ['postgresql, no entry', await make('local all all trust\n'), 'auth-required', 'B', 'postgresql'],
  ]);
});

test('MariaDB: without grants, with a password', { skip: !has('mariadbd') }, async () => {
  const make = async (...args) => {
    const d = await servers.dir();
    sh('mariadb-install-db', '--user=mysql', `--datadir=${d}/data`, '--auth-root-authentication-method=normal', '--skip-test-db');
    if (!args.length)
      await writeFile(path.join(d, 'init.sql'), "DELETE FROM mysql.global_priv WHERE User = '' OR Host <> 'localhost';\nFLUSH PRIVILEGES;\nALTER USER 'root'@'localhost' IDENTIFIED BY 'x';\n");
    return servers.real((port) => ['mariadbd', '--no-defaults', '--user=mysql', `--datadir=${d}/data`, `--port=${port}`, '--bind-address=127.0.0.1', `--socket=${d}/s`, ...(args.length ? args : [`--init-file=${d}/init.sql`])], { dir: d });
  };
  await table([
    ['mariadb without grants', await make('--skip-grant-tables'), 'open', 'F', 'mysql'],
    ['mariadb, password', await make(), 'auth-required', 'B', 'mysql'],
  ]);
});

test('ZooKeeper, RabbitMQ, InfluxDB, Prometheus, Jupyter', { skip: !['influxd', 'prometheus', 'jupyter-server', 'rabbitmq-server'].every(has) }, async () => {
  const influx = async (auth) => {
    const d = await servers.dir(), port = await freePort();
    await writeFile(path.join(d, 'c'), `reporting-disabled = true\nbind-address = "127.0.0.1:0"\n[meta]\ndir = "${d}/m"\n[data]\ndir = "${d}/d"\nwal-dir = "${d}/w"\n[http]\nbind-address = "127.0.0.1:${port}"\nauth-enabled = ${auth}\n`);
    return servers.real(() => ['influxd', '-config', path.join(d, 'c')], { port, dir: d });
  };
  const jupyter = (token) => servers.real((port) => ['jupyter-server', '--allow-root', '--no-browser', '--ip=127.0.0.1', `--port=${port}`, `--ServerApp.token=${token}`, '--ServerApp.password=']);
  const zookeeper = async () => {
    const d = await servers.dir(), port = await freePort();
    await writeFile(path.join(d, 'zoo.cfg'), `dataDir=${d}/z\nclientPort=${port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n`);
    return servers.real(() => ['java', '-cp', '/etc/zookeeper/conf:/usr/share/java/*', 'org.apache.zookeeper.server.quorum.QuorumPeerMain', path.join(d, 'zoo.cfg')], { port, dir: d });
  };
  const rabbit = async () => {
    const d = await servers.dir(), port = await freePort(), dist = await freePort(), epmd = await freePort();
    await mkdir(path.join(d, 'log'));
    for (const [k, v] of Object.entries({ RABBITMQ_NODENAME: `audit${port}@localhost`, RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1', RABBITMQ_NODE_PORT: port,
      RABBITMQ_DIST_PORT: dist, ERL_EPMD_PORT: epmd, RABBITMQ_MNESIA_BASE: `${d}/m`, RABBITMQ_LOG_BASE: `${d}/log`, RABBITMQ_ENABLED_PLUGINS_FILE: `${d}/p`, RABBITMQ_CONFIG_FILE: `${d}/none` }))
      process.env[k] = String(v);
    return servers.real(() => ['/usr/lib/rabbitmq/bin/rabbitmq-server'], { port, dir: d });
  };
  await table([
    ['influxdb', await influx(false), 'open', 'E', 'influxdb'],
    ['influxdb, auth on', await influx(true), 'auth-required', 'B', 'influxdb'],
    ['prometheus', await servers.real((port, d) => ['prometheus', '--config.file=/dev/null', `--web.listen-address=127.0.0.1:${port}`, `--storage.tsdb.path=${d}`]), 'open', 'D', 'prometheus'],
    ['jupyter without a token', await jupyter(''), 'open', 'F', 'jupyter'],
    ['jupyter', await jupyter('secret'), 'auth-required', 'B', 'jupyter'],
    ['zookeeper', await zookeeper(), 'open', 'D', 'zookeeper'],
    ['rabbitmq', await rabbit(), 'auth-required', 'B', 'rabbitmq'],
  ]);
});
