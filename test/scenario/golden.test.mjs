// The golden ledger (test/vectors/ledger.txt): the second verifier agrees with it, and the programs give
// of it what stands there. A change of any format shows here, in the unit tests of both sides, or both.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, chown, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BIN } from './lib/installation.mjs';
import { consistent } from './lib/tlog.mjs';
import { Signer } from '../verify/forge.mjs';
import { vectors } from '../verify/golden.mjs';
import { Ledger } from '../verify/ledger.mjs';
import { mutate } from '../verify/mutate.mjs';
import { checkpointText, includes, judgeNote, keyId, leafHash, parseKey, parseNote } from '../verify/note.mjs';
import { judgeProof, judgeReceipt } from '../verify/receipt.mjs';

const run = promisify(execFile);
const v = vectors(), key = parseKey(v.text('key'));
const numbers = (name) => name.split('.').slice(1).map(Number);
const hashes = (bytes) => Array.from({ length: bytes.length / 32 }, (_, i) => bytes.subarray(32 * i, 32 * i + 32));
const named = (word) => v.names.filter((n) => n.startsWith(`${word}.`));

test('the second verifier: keys, roots, checkpoints, proofs, receipts', () => {
  const signer = new Signer(v.get('seed')), origin = `safehouse.invalid/${v.get('id').toString('hex')}`;
  assert.deepEqual([key.name, key.publicKey], [origin, v.get('public')]);
  assert.deepEqual(signer.publicKey, v.get('public'));
  const ledger = new Ledger(v.get('log'));
  assert.deepEqual(ledger.findings, []);
  assert.equal(ledger.entries, 300);
  for (const name of named('root')) assert.deepEqual(ledger.roots[numbers(name)[0]], v.get(name), name);
  for (const name of named('note')) {
    const note = parseNote(v.get(name));
    assert.equal(note.size, BigInt(numbers(name)[0]));
    assert.equal(judgeNote(note, key.name, key.publicKey), 'right');
    const text = checkpointText(origin, note.size, ledger.roots[Number(note.size)]);
    assert.equal(`${text}\n\u2014 ${origin} ${Buffer.concat([keyId(origin, key.publicKey), signer.sign(text)]).toString('base64')}\n`, v.text(name));
  }
  const tiles = [...hashes(v.get('tile.0.0')), ...hashes(v.get('tile.0.1.44'))];
  for (const name of named('inclusion')) {
    const [index, size] = numbers(name);
    assert.ok(includes(tiles[index], BigInt(index), BigInt(size), hashes(v.get(name)), ledger.roots[size]), name);
  }
  for (const name of named('consistency')) {
    const [old, size] = numbers(name);
    assert.ok(consistent(old, size, ledger.roots[old], ledger.roots[size], hashes(v.get(name))), name);
    assert.ok(!consistent(old, size, ledger.roots[old - 1], ledger.roots[size], hashes(v.get(name))), name);
  }
  let n = 0;
  for (const bytes of [v.get('entries.0'), v.get('entries.1.44')])
    for (let at = 0; at < bytes.length; at += 2 + bytes.readUInt16BE(at), n++)
      assert.deepEqual(leafHash(bytes.subarray(at + 2, at + 2 + bytes.readUInt16BE(at))), tiles[n]);
  assert.equal(n, 300);
  for (const name of [...named('proof'), ...named('shown')])
    assert.deepEqual(judgeProof(v.get(name), { key: v.text('key'), ledger: v.get('log') }), { findings: [], result: 'clean' }, name);
  for (const [kind, file, result] of [['erasure', null, 'clean'], ['pending', null, 'pending'], ['export', 'export.file', 'clean'], ['report', 'report.file', 'clean']])
    assert.equal(judgeReceipt(v.get(`receipt.${kind}`), { key: v.text('key'), file: file && v.get(file) }).result, result, kind);
});

test('mutated proofs, a sample: the second verifier accepts none (all of 10^6: make soak-proofs)', (t) => {
  const { tried, accepted, signatures, kinds } = mutate(20000, Date.now() % 2 ** 31);
  assert.deepEqual(accepted, []);
  assert.ok(Object.keys(kinds).length >= 25 && Object.values(kinds).every((n) => n > 200));
  t.diagnostic(`${tried} mutated proofs, ${signatures} with a right root, ${accepted.length} accepted`);
});

test('the programs give of it the same checkpoint, proofs and tiles, and verify it', async () => {
  const home = await mkdtemp(join(tmpdir(), 'safehouse-test-')), D = join(home, 'D');
  const safehouse = async (...args) => (await run(join(BIN, 'safehouse'), [...args, '--dir', D], { maxBuffer: 1 << 24 })).stdout;
  try {
    await chmod(home, 0o711); // the programs' own uids must be able to enter
    await writeFile(join(home, 'passphrase'), 'correct horse battery staple\n', { mode: 0o600 });
    await run(join(BIN, 'safehouse'), ['init', '--dir', D, '--passphrase-file', join(home, 'passphrase'), '--passphrase-memory', '64']);
    const log = join(D, 'vault', 'ledger.log'), { uid, gid } = await stat(log);
    for (const [name, bytes] of [['ledger.log', v.get('log')], ['ledger.key', Buffer.concat([Buffer.from('shledsk1'), v.get('seed')])]]) {
      await writeFile(join(D, 'vault', name), bytes);
      await chown(join(D, 'vault', name), uid, gid);
    }
    assert.equal(await safehouse('ledger', 'checkpoint'), v.text('note.300'));
    assert.equal((await safehouse('ledger', 'checkpoint', '--key')).trim(), v.text('key'));
    assert.equal(await safehouse('ledger', 'prove', '3'), v.text('proof.3.300'));
    await safehouse('ledger', 'export', join(home, 'tiles'));
    const file = (name) => readFile(join(home, 'tiles', name));
    for (const [name, vector] of [['tile/0/000', 'tile.0.0'], ['tile/0/001.p/44', 'tile.0.1.44'], ['tile/1/000.p/1', 'tile.1.0.1'],
      ['tile/entries/000', 'entries.0'], ['tile/entries/001.p/44', 'entries.1.44'], ['checkpoint', 'note.300']])
      assert.deepEqual(await file(name), v.get(vector), name);
    assert.equal((await file('key')).toString(), v.text('key') + '\n');
    assert.equal((await readdir(join(home, 'tiles'), { recursive: true, withFileTypes: true })).filter((e) => e.isFile()).length, 7);
    await writeFile(join(home, 'early'), v.get('note.256'));
    assert.match(await safehouse('verify', '--ledger', '--checkpoint', join(home, 'early'), '--key', v.text('key')), /^clean: .* 300 entries/);
    for (const [kind, about] of [['erasure'], ['export', 'export.file'], ['report', 'report.file']]) {
      await writeFile(join(home, `${kind}.receipt`), v.get(`receipt.${kind}`));
      if (about) await writeFile(join(home, kind), v.get(about));
      for (const ground of [['--dir', D], ['--tiles', join(home, 'tiles')], ['--key', v.text('key')]])
        await run(join(BIN, 'safehouse'), ['verify', '--receipt', join(home, `${kind}.receipt`), ...ground, ...(ground[0] === '--key' ? [] : ['--checkpoint', join(home, 'early')])]);
    }
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});
