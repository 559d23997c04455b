// Servers for the audit's tests: real ones from Debian on a free port of loopback, and stand-ins that
// speak a protocol's few bytes in its open and its locked dialect.
import { spawn, spawnSync } from 'node:child_process';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

export async function freePort() {
  const s = net.createServer();
  await new Promise((done) => s.listen(0, '127.0.0.1', done));
  const { port } = s.address();
  await new Promise((done) => s.close(done));
  return port;
}

export const has = (command) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;

async function reachable(port, child) {
  for (const end = Date.now() + 90000; Date.now() < end;) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}: ${child.said}`);
    const ok = await new Promise((done) => {
      const c = net.connect(port, '127.0.0.1', () => { c.destroy(); done(true); });
      c.on('error', () => done(false));
    });
    if (ok) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`${child.spawnfile} does not listen on ${port}: ${child.said}`);
}

export class Servers {
  #children = [];
  #listeners = [];
  #dirs = [];
  #pair;

  async dir() {
    const d = await mkdtemp(path.join(tmpdir(), 'audit-'));
    await chmod(d, 0o777);
    this.#dirs.push(d);
    return d;
  }

  // command: (port, dir) => [program, ...arguments]. options: port, dir, group (the program starts others, which are to
  // end with it)
  async real(command, options = {}) {
    const port = options.port ?? await freePort();
    const dir = options.dir ?? await this.dir();
    const [program, ...args] = command(port, dir);
    const child = spawn(program, args, { cwd: dir, detached: !!options.group, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: dir } });
    child.said = '';
    child.end = () => (options.group ? process.kill(-child.pid, 'SIGKILL') : child.kill('SIGKILL'));
    for (const s of [child.stdout, child.stderr]) s.on('data', (d) => { child.said = (child.said + d).slice(-2000); });
    this.#children.push(child);
    await reachable(port, child);
    return port;
  }

  // A key and a certificate of its own for localhost, as { key, cert, keyFile, certFile }; the same for all.
  async pair() {
    if (this.#pair) return this.#pair;
    const d = await this.dir(), keyFile = path.join(d, 'key'), certFile = path.join(d, 'cert');
    const r = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
      '-keyout', keyFile, '-out', certFile], { encoding: 'utf8' });
    if (r.status !== 0) throw new Error(r.stderr);
    this.#pair = { key: await readFile(keyFile), cert: await readFile(certFile), keyFile, certFile };
    return this.#pair;
  }

  // answer: (socket, data) => void for each piece that comes; greet: (socket) => void at the start
  async tcp(answer, greet) {
    const s = net.createServer((socket) => {
      socket.on('error', () => {});
      if (greet) greet(socket);
      socket.on('data', (d) => answer(socket, d));
    });
    await new Promise((done) => s.listen(0, '127.0.0.1', done));
    this.#listeners.push(s);
    return s.address().port;
  }

  // routes: { '/path': [status, body, headers] }, with or without a query; '*' is anything else. A route may
  // be a function of the request, a body one of the request and what came with it. options: host, tls (a context: key, cert, ...).
  async web(routes, { host = '127.0.0.1', tls } = {}) {
    const answer = (req, res) => {
      let came = '';
      req.on('data', (d) => { came += d; });
      req.on('end', () => {
        const route = routes[req.url] ?? (req.url.startsWith('/?') ? routes['/?'] : routes[req.url.split('?')[0]]) ?? routes['*'] ?? [404, 'not found'];
        const [status, what, headers] = typeof route === 'function' ? route(req) : route;
        const body = typeof what === 'function' ? what(req, came) : what;
        const text = typeof body === 'string' ? body : JSON.stringify(body);
        res.writeHead(status, { 'Content-Type': typeof body === 'string' ? 'text/plain' : 'application/json', ...headers });
        res.end(text);
      });
    };
    const s = tls ? https.createServer(tls, answer) : http.createServer(answer);
    await new Promise((done) => s.listen(0, host, done));
    this.#listeners.push(s);
    return s.address().port;
  }

  async stop() {
    for (const s of this.#listeners) { s.closeAllConnections?.(); s.close(); }
    for (const c of this.#children) { c.stdout.destroy(); c.stderr.destroy(); }
    await Promise.all(this.#children.map((c) => c.exitCode !== null || c.signalCode !== null ? null
      : new Promise((done) => { c.on('exit', done); c.end(); })));
    await Promise.all(this.#dirs.map((d) => rm(d, { recursive: true, force: true })));
  }
}
