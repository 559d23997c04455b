// One Safehouse installation of a test: made, started, asked and stopped through the real programs.
import { spawn, execFile } from 'node:child_process';
import { mkdtemp, rm, readFile, writeFile, chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = new URL('../../..', import.meta.url).pathname;
export const BIN = process.env.SAFEHOUSE_BIN ?? join(ROOT, 'build', 'bin');
const PASSPHRASE = 'correct horse battery staple';

// Asks again until `question` answers with something truthy; for states that no event announces.
export async function until(question, what, ms = 15000) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((go) => setTimeout(go, 25));
  }
}

export class Installation {
  // options: upstream (URL), config (YAML text), listen, locked (no passphrase), args (more arguments
  // of `up`), env
  static async start(options = {}) {
    const it = new Installation();
    it.home = await mkdtemp(join(tmpdir(), 'safehouse-test-'));
    await chmod(it.home, 0o711); // the programs' own uids must be able to enter
    it.dir = join(it.home, 'D');
    it.passphraseFile = join(it.home, 'passphrase');
    await writeFile(it.passphraseFile, PASSPHRASE + '\n', { mode: 0o600 });
    // The least memory: a test may start many, and is about something else than the passphrase's hash.
    await it.cli('init', '--dir', it.dir, '--passphrase-file', it.passphraseFile, '--passphrase-memory', '64');
    it.options = options;
    await it.up();
    const key = JSON.parse(await it.cli('key', 'create', '--dir', it.dir, '--json'));
    it.key = key.secret;
    it.keyId = key.id;
    return it;
  }

  async up() {
    const { upstream, config, listen = '127.0.0.1:0', locked, args = [], env = {} } = this.options;
    const argv = ['up', '--dir', this.dir];
    if (!locked) argv.push('--passphrase-file', this.passphraseFile);
    if (config) {
      await writeFile(join(this.home, 'safehouse.yaml'), config);
      argv.push('--config', join(this.home, 'safehouse.yaml'));
    }
    argv.push('--listen', listen);
    if (upstream) argv.push('--upstream', upstream);
    await rm(join(this.dir, 'run', 'ready'), { force: true });
    this.stdout = '';
    this.stderr = '';
    this.process = spawn(join(BIN, 'safehouse'), [...argv, ...args], {
      env: { ...process.env, SAFEHOUSE_NO_DISCOVERY: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process.stdout.on('data', (d) => (this.stdout += d));
    this.process.stderr.on('data', (d) => (this.stderr += d));
    this.ended = new Promise((done) => this.process.on('exit', (code) => done(code)));
    const ready = await until(async () => {
      if (this.process.exitCode !== null)
        throw new Error(`up ended with ${this.process.exitCode}: ${this.stdout}${this.stderr}`);
      return readFile(join(this.dir, 'run', 'ready'), 'utf8').catch(() => null);
    }, 'D/run/ready', 30000);
    this.gateway = JSON.parse(ready).gateway;
  }

  async stop() {
    if (this.process.exitCode === null) this.process.kill('SIGTERM');
    return this.ended;
  }

  async destroy() {
    await this.stop();
    await rm(this.home, { recursive: true, force: true });
  }

  async cli(...args) {
    const { stdout } = await run(join(BIN, 'safehouse'), args, { maxBuffer: 1 << 28 });
    return stdout;
  }

  // Like cli, but gives {code, stdout, stderr} whatever the exit code.
  async cliResult(...args) {
    return run(join(BIN, 'safehouse'), args, { maxBuffer: 1 << 28 }).then(
      (r) => ({ code: 0, ...r }),
      (e) => ({ code: e.code, stdout: e.stdout, stderr: e.stderr }),
    );
  }

  // Rows of a SELECT as objects; 64-bit numbers come as strings.
  async rows(sql, ...more) {
    const text = await this.cli('query', '--dir', this.dir, '--format', 'JSONEachRow', ...more, sql);
    return text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }

  async show(id) {
    return JSON.parse(await this.cli('show', id, '--dir', this.dir, '--reason', 'test', '--json'));
  }

  // Of an installation that is not whole, too: the exit code is 3 then.
  async status() {
    return JSON.parse((await this.cliResult('status', '--dir', this.dir, '--json')).stdout);
  }

  async pid(name) {
    return (await this.status()).programs.find((p) => p.name === name).pid;
  }

  // Waits until the log holds this many interactions (or this one).
  async stored(countOrId) {
    const where = typeof countOrId === 'string' ? `WHERE id = '${countOrId}'` : '';
    const wanted = typeof countOrId === 'string' ? 1 : countOrId;
    return until(async () => {
      const r = await this.cliResult('query', '--dir', this.dir, '--format', 'TabSeparated',
        `SELECT count() FROM interactions ${where}`);
      return r.code === 0 && Number(r.stdout) >= wanted;
    }, `${countOrId} stored`);
  }
}
