// The mock of a model server, and the three gateways in front of it. Each start gives a target:
//   { name, port, path, headers, gateway, behind, folder, child }
// `gateway` are the processes that carry requests, `behind` those that seal and store afterwards,
// `folder` is where the gateway could write files.
import { chmodSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { answers, childrenOf, dir, freePort, front, pinTo, rest, run, start, until }
  from './processes.mjs';

const here = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const B = path.resolve(process.env.B || 'build');
const NGINX = process.env.NGINX || '/usr/sbin/nginx';
const UPSTREAM_KEY = 'bench-upstream-key';
// Clients of a plain proxy have a key as well, which it replaces by the provider's. So the requests
// are the same bytes for both: this one is as long as Safehouse's keys are.
const CLIENT_KEY = `sh-${'k'.repeat(12)}-${'s'.repeat(43)}`;

// Gateways whose workers have a user of their own can write there, so that it shows if they do.
function folderFor(name) {
  const folder = mkdtempSync(path.join(dir, `${name}-`));
  chmodSync(folder, 0o711);
  return folder;
}

export async function startUpstream(options) {
  const args = Object.entries(options).flatMap(([k, v]) => [`--${k}`, String(v)]);
  const child = start('the mock upstream', path.join(B, 'bench/upstream'),
    ['--listen', '127.0.0.1:0', ...args]);
  let line = '';
  child.stdout.on('data', (d) => (line += d));
  const port = await until(child, 'port', () => /^port (\d+)\n/.exec(line)?.[1]);
  await pinTo(front, [child.pid]);
  return { name: 'direct', port: Number(port), headers: [], gateway: [], behind: [], child };
}

export async function startPlain(name, upstream, workers) {
  const folder = folderFor('nginx');
  const port = await freePort();
  const conf = path.join(folder, 'nginx.conf');
  const values = { DIR: folder, PORT: port, UPSTREAM: `127.0.0.1:${upstream.port}`, WORKERS: workers };
  writeFileSync(conf, readFileSync(path.join(here, 'nginx-plain.conf.in'), 'utf8')
    .replace(/@([A-Z]+)@/g, (whole, word) => values[word] ?? whole));
  const child = start(name, NGINX, ['-p', folder, '-e', path.join(folder, 'error.log'), '-c', conf]);
  const gateway = await until(child, 'worker', async () => {
    const found = await answers(port) && childrenOf(child.pid);
    return found && found.length === workers && [child.pid, ...found];
  });
  await pinTo(front, gateway);
  return { name, port, headers: [`authorization: Bearer ${CLIENT_KEY}`], gateway, behind: [], folder,
           child };
}

// Every limit is in force and counted, and none is reached. The rest is as it is by default.
const configuration = (upstream, workers, detect) => `
providers:
  mock: {dialect: openai, url: "http://127.0.0.1:${upstream.port}", keys: [{env: BENCH_UPSTREAM_KEY}]}
keys:
  limits: {requests_per_minute: 1000000000, tokens_per_minute: 60000000000, concurrency: 60000,
    budget_day: 10000000, budget_month: 10000000, tokens_day: 1000000000000}
projects:
  bench:
    limits: {requests_per_minute: 1000000000, concurrency: 60000, budget_month: 10000000}
prices:
  models: {mock-model: {input: 0.15, output: 0.60}}
gateway: {workers: ${workers}}
unencrypted_swap: accept
${detect}`;

// `detect`: more of the configuration, in YAML; then `withProject` gives the same gateway for others.
export async function startSafehouse(name, upstream, workers, detect = '') {
  const program = path.join(B, 'bin/safehouse');
  if (!existsSync(program)) throw new Error(`${program} is not built: make build`);
  const home = folderFor('safehouse');
  const data = path.join(home, 'data');
  const passphrase = path.join(home, 'passphrase');
  const config = path.join(home, 'safehouse.yaml');
  const port = await freePort();
  writeFileSync(passphrase, 'a passphrase for a benchmark only\n', { mode: 0o600 });
  writeFileSync(config, configuration(upstream, workers, detect), { mode: 0o600 });
  await run(program, ['init', '--dir', data, '--passphrase-file', passphrase]);
  const child = start(name, program, ['up', '--dir', data, '--config', config,
    '--passphrase-file', passphrase, '--listen', `127.0.0.1:${port}`],
    { env: { ...process.env, BENCH_UPSTREAM_KEY: UPSTREAM_KEY } });
  child.stdout.resume();
  await until(child, 'run/ready', () => existsSync(path.join(data, 'run/ready')), 60000);
  const ask = async (...args) =>
    JSON.parse((await run(program, [...args, '--dir', data, '--json'])).stdout);
  const key = await ask('key', 'create', '--project', 'bench');
  const status = await ask('status');
  const named = (n) => status.programs.filter((p) => p.name === n).map((p) => p.pid);
  const gateway = named('gateway').flatMap((pid) => [pid, ...childrenOf(pid)]);
  if (gateway.length < 1 + workers)
    throw new Error(`status names no gateway with workers: ${JSON.stringify(status)}`);
  const behind = [...named('sealer'), ...named('store')];
  await pinTo(front, gateway);
  await pinTo(rest, [...behind, ...named('vault'), child.pid]);
  const target = (secret) => ({ name, port, headers: [`authorization: Bearer ${secret}`], gateway,
    behind, folder: path.join(data, 'gateway'), child });
  return { ...target(key.secret),
           withProject: async (project) => target((await ask('key', 'create', '--project', project)).secret) };
}

// Installed from npm on first use, at the versions of bench/peers/package-lock.json.
export async function startPortkey(name, upstream) {
  const peers = path.join(here, 'peers');
  const server = path.join(peers, 'node_modules/@portkey-ai/gateway/build/start-server.js');
  if (!existsSync(server)) {
    process.stderr.write('installing the Portkey gateway from npm, once\n');
    await run('npm', ['ci', '--ignore-scripts'], { cwd: peers });
  }
  const port = await freePort();
  const folder = folderFor('portkey');
  const child = start(name, process.execPath,
    ['--require', path.join(peers, 'loopback.cjs'), server, `--port=${port}`, '--headless'],
    { cwd: folder,
      env: { ...process.env, NODE_ENV: 'production', TRUSTED_CUSTOM_HOSTS: '127.0.0.1' } });
  child.stdout.resume();
  await until(child, 'port', () => answers(port));
  await pinTo(front, [child.pid]);
  return { name, port, gateway: [child.pid], behind: [], folder, child,
           headers: ['x-portkey-provider: openai',
                     `x-portkey-custom-host: http://127.0.0.1:${upstream.port}/v1`,
                     `authorization: Bearer ${UPSTREAM_KEY}`] };
}
