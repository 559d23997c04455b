// Runs of `safehouse audit` for its tests.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';

export const BIN = path.resolve(process.env.SAFEHOUSE_BIN ?? 'build/bin');
export const FAST = ['--rate', '5000', '--per-host', '16', '--workers', '32', '--timeout', '800'];

// Within a test file: a folder that goes with it, and what looks with a scope in it.
export function audits() {
  const a = { dir: mkdtempSync(path.join(tmpdir(), 'audit-test-')) };
  let scopes = 0;
  after(async () => { await rm(a.dir, { recursive: true, force: true }); });

  a.scopeOf = async (text) => {
    const file = path.join(a.dir, `scope${scopes++}`);
    await writeFile(file, text);
    return file;
  };
  a.run = (...args) => new Promise((done) => {
    const child = spawn(path.join(BIN, 'safehouse'), ['audit', ...args]);
    let stdout = '', stderr = '';
    child.stdout.on('data', (d) => { stdout += d; });
    child.stderr.on('data', (d) => { stderr += d; });
    child.on('close', (code) => done({ code, stdout, stderr }));
  });
  // ports: numbers on 127.0.0.1, or "address port"
  a.audit = async (ports, ...args) => {
    const text = [ports].flat().map((p) => (typeof p === 'number' ? `127.0.0.1 ${p}` : p)).join('\n');
    const scope = await a.scopeOf(`${text}\n`);
    const r = await a.run('--scope', scope, '--json', ...FAST, ...args);
    const lines = r.stdout.trim().split('\n').filter(Boolean).map((l) => JSON.parse(l));
    return { ...r, scope, lines, hosts: lines.filter((l) => l.type === 'host'), findings: lines.filter((l) => l.type === 'finding') };
  };
  // rows: [name, port, verdict, grade, service]; all are looked at in one run
  a.table = async (rows, ...args) => {
    const r = await a.audit(rows.map((row) => row[1]), ...args);
    const given = rows.map(([name, port]) => {
      const h = r.hosts.find((x) => (typeof port === 'number' ? x.port === port && x.address === '127.0.0.1' : `${x.address} ${x.port}` === port));
      return [name, h?.verdict, h?.grade, h?.service];
    });
    assert.deepEqual(given, rows.map(([name, , verdict, grade, service]) => [name, verdict, grade, service]));
    return r;
  };
  return a;
}
