// The ledger as others see it: checkpoints, proofs, tiles and a witness, read by a second
// implementation; and as the disk sees it: whatever kills the vault or fails its writes, no plaintext
// without an entry.
import test from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile, copyFile, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import OpenAI from 'openai';
import { Installation, until } from './lib/installation.mjs';
import { callsOf, killedAt, sample, traced } from './lib/faults.mjs';
import { Upstream, completion } from './lib/upstream.mjs';
import { checkpoint, checkProof, consistent, cosign, formatKey, leafHash, openNote, readLeaf, root,
  verifierKey } from './lib/tlog.mjs';

const OPENED = 2, BATCH = 1, MARK = 15;
let upstream, house, client, key, id;

const ask = async (content, user) => {
  const request = { model: 'gpt-4o-mini', user, messages: [{ role: 'user', content }] };
  const { response } = await client.chat.completions.create(request).withResponse();
  return response.headers.get('x-safehouse-id');
};
const ledger = (...args) => house.cliResult('ledger', ...args, '--dir', house.dir);
const note = async () => (await ledger('checkpoint')).stdout;
const newest = async () => checkpoint(await note(), key);
const openings = async () => (await house.status()).vault.openings;
const open = () => house.cliResult('query', '--dir', house.dir, '--open', '--reason', 'a test',
  `SELECT body FROM turns WHERE id = '${id}'`);

test.before(async () => {
  upstream = await Upstream.start();
  upstream.answer = (x) => x.json(completion('the answer-canary'));
  house = await Installation.start({ upstream: upstream.url });
  client = new OpenAI({ apiKey: house.key, baseURL: `${house.gateway}/v1`, maxRetries: 0 });
  id = await ask('the question');
  await house.stored(id);
  key = verifierKey((await ledger('checkpoint', '--key')).stdout);
});
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

// Everything quiet: what was logged is in the ledger, and no batch is on its way.
async function quiet() {
  await until(async () => (await house.status()).spool.batches === 0, 'an empty spool');
  return newest();
}

test('a checkpoint is in status, and the same when nothing runs', async () => {
  await quiet();
  const text = await note();
  const c = checkpoint(text, key);
  assert.ok(c.size >= 1);
  assert.match(c.origin, /^safehouse\.invalid\/[0-9a-f]{32}$/);
  assert.equal((await house.status()).vault.checkpoint, text);
  const json = JSON.parse((await ledger('checkpoint', '--json')).stdout);
  assert.equal(json.checkpoint, text);
  assert.equal(json.size, c.size);
  assert.equal(json.root, c.root.toString('hex'));
});

test('an opening is proven, and what was there before is still there', async () => {
  const before = await newest();
  const r = await open();
  assert.equal(r.code, 0, r.stderr);
  assert.match(r.stdout, /answer-canary/);
  const after = await newest();
  // High-water marks come when they come.
  const kinds = [];
  for (let i = before.size; i < after.size; i++)
    kinds.push(checkProof((await ledger('prove', String(i))).stdout, key));
  assert.equal(kinds.filter((k) => k.kind === OPENED).length, 1);
  const it = kinds.find((k) => k.kind === OPENED);
  assert.equal(it.fields.length, 0, 'who opened what is in no clear field');
  assert.equal(it.rest.length, 64 + 72);
  const json = JSON.parse((await ledger('prove', String(it.index), '--json')).stdout);
  assert.equal(json.kind, 'opened');
  const late = await ledger('prove', '1000000');
  assert.equal(late.code, 2);
  assert.match(late.stderr, /0 to \d+/);
});

test('the workers\' high-water marks count what was asked', async () => {
  const marks = async () => {
    const found = new Map();
    for (let i = 0, n = (await newest()).size; i < n; i++) {
      const { kind, fields } = checkProof((await ledger('prove', String(i))).stdout, key);
      for (let k = 0; kind === MARK && k < fields.readUInt16LE(8); k++) {
        const at = 10 + 20 * k;
        found.set(fields.readBigUInt64LE(at), [fields.readBigUInt64LE(at + 8), fields.readUInt32LE(at + 16)]);
      }
    }
    return [...found.values()];
  };
  const last = await until(async () => {
    const m = await marks();
    return m.length && m;
  }, 'a high-water mark', 30000);
  assert.deepEqual(last, [[1n, 0]], 'one exchange, none of it still in the ring');
});

test('tiles have every leaf, and their root is the checkpoint\'s', async () => {
  const to = join(house.home, 'tiles');
  assert.equal((await ledger('export', to)).code, 0);
  const c = checkpoint(await readFile(join(to, 'checkpoint'), 'utf8'),
    verifierKey(await readFile(join(to, 'key'), 'utf8')));
  assert.ok(c.size < 256, 'one partial tile is all that this test reads');
  const hashes = await readFile(join(to, `tile/0/000.p/${c.size}`));
  const bundle = await readFile(join(to, `tile/entries/000.p/${c.size}`));
  const leaves = [];
  for (let at = 0; at < bundle.length; at += 2 + bundle.readUInt16BE(at))
    leaves.push(bundle.subarray(at + 2, at + 2 + bundle.readUInt16BE(at)));
  assert.equal(leaves.length, c.size);
  leaves.forEach((leaf, i) => {
    assert.deepEqual(leafHash(leaf), hashes.subarray(32 * i, 32 * i + 32));
    assert.equal(readLeaf(leaf).index, i);
    assert.ok(!i || readLeaf(leaf).time >= readLeaf(leaves[i - 1]).time);
  });
  assert.deepEqual(root(leaves.map(leafHash)), c.root);
  assert.ok(leaves.some((l) => readLeaf(l).kind === BATCH));
});

// ---- a witness ----

class Witness {
  static async start() {
    const it = new Witness();
    const pair = generateKeyPairSync('ed25519');
    it.name = 'witness.example/w1';
    it.private = pair.privateKey;
    it.raw = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(12);
    it.key = formatKey(it.name, 4, it.raw);
    it.size = 0;
    it.statuses = [];
    it.server = http.createServer((req, res) => {
      let body = '';
      req.setEncoding('utf8').on('data', (d) => (body += d)).on('end', () => {
        const [status, type, text] = it.answer(req, body);
        it.statuses.push(status);
        res.writeHead(status, { 'content-type': type }).end(text);
      });
    });
    await new Promise((go) => it.server.listen(0, '127.0.0.1', go));
    it.url = `http://127.0.0.1:${it.server.address().port}`;
    return it;
  }
  answer(req, body) {
    if (req.method !== 'POST' || req.url !== '/add-checkpoint') return [404, 'text/plain', ''];
    const split = body.indexOf('\n\n');
    const [first, ...lines] = body.slice(0, split).split('\n');
    const old = Number(first.match(/^old (0|[1-9]\d*)$/)[1]);
    const text = body.slice(split + 2);
    let c;
    try { c = checkpoint(text, key); } catch { return [403, 'text/plain', '']; }
    if (old > c.size) return [400, 'text/plain', ''];
    if (old !== this.size) return [409, 'text/x.tlog.size', `${this.size}\n`];
    if (old === c.size && old && !c.root.equals(this.root)) return [409, 'text/x.tlog.size', `${this.size}\n`];
    const proof = lines.map((l) => Buffer.from(l, 'base64'));
    if (!consistent(old, c.size, this.root, c.root, proof)) return [422, 'text/plain', ''];
    this.size = c.size;
    this.root = c.root;
    return [200, 'text/plain', `— stranger.example AAAAAAAA\n${cosign(text, this.name, this.private, this.raw)}`];
  }
}

test('a witness cosigns what continues what it knows, and nothing else', async () => {
  const witness = await Witness.start();
  const ask409 = () => ledger('witness', witness.url, '--witness-key', witness.key);
  try {
    const first = await ask409();
    assert.equal(first.code, 0, first.stderr);
    for (let i = 0; i < 3; i++) await open();
    const second = await ledger('witness', witness.url, '--witness-key', witness.key, '--json');
    assert.equal(second.code, 0, second.stderr);
    assert.deepEqual(witness.statuses, [200, 200], 'it knew where the witness was');
    const cosigned = JSON.parse(second.stdout).checkpoint;
    assert.equal(checkpoint(cosigned, key).size, witness.size);
    openNote(cosigned, verifierKey(witness.key));
    assert.doesNotMatch(cosigned, /stranger/);
    assert.equal((await ledger('checkpoint', '--witnessed')).stdout, cosigned);
    checkProof((await ledger('prove', '0', '--witnessed')).stdout, key);
    // One that is further than we believed: it says where, and gets the proof from there.
    await open();
    const now = await newest();
    const known = { size: witness.size, root: witness.root };
    await writeFile(join(house.dir, 'control', 'witnessed'), '', { mode: 0o600 });
    assert.equal((await ask409()).code, 0);
    assert.deepEqual(witness.statuses.slice(2), [409, 200]);
    assert.equal(witness.size, now.size);
    assert.ok(known.size < now.size);
    // It saw more than there is, something else of the same size, and something else before.
    witness.size = now.size + 5;
    const more = await ask409();
    assert.equal(more.code, 1);
    assert.match(more.stderr, /cut back/);
    Object.assign(witness, { size: now.size, root: Buffer.alloc(32, 7) });
    assert.equal((await ask409()).code, 1);
    Object.assign(witness, { size: known.size, root: Buffer.alloc(32, 7) });
    const forked = await ask409();
    assert.equal(forked.code, 1);
    assert.match(forked.stderr, /does not continue/);
    // An answer that is not the witness's own is not kept.
    const other = generateKeyPairSync('ed25519').privateKey;
    Object.assign(witness, { ...known, private: other });
    const forged = await ask409();
    assert.equal(forged.code, 3);
    assert.match(forged.stderr, /no cosignature/);
    openNote((await ledger('checkpoint', '--witnessed')).stdout, verifierKey(witness.key));
  } finally {
    witness.server.close();
  }
});

// ---- faults, by strace ----

// An opening of three persons' cells: three entries, noted in slices, which the ledger has all or none of.
const several = [];
const openSeveral = () => house.cliResult('query', '--dir', house.dir, '--open', '--reason', 'a test',
  `SELECT body FROM turns WHERE id IN (${several.map((i) => `'${i}'`)})`);

// The system calls of one such opening, from the ledger's first write to the plaintext's first byte.
async function window() {
  for (let i = 0; i < 3; i++) await house.stored(several[i] = await ask('the question', `person ${i}`));
  await quiet();
  const { result, lines } = await traced(house, 'vault', [], openSeveral);
  assert.equal(result.code, 0);
  const calls = callsOf(lines);
  const from = calls.findIndex((c) => c.name === 'pwrite64');
  const sync = calls.findIndex((c) => c.name === 'fdatasync');
  assert.ok(from >= 0 && sync > from, 'the ledger is written and synced');
  const release = calls.findIndex((c, i) => i > sync && c.name === 'sendmsg');
  assert.ok(release > sync, 'what leaves, leaves after that');
  assert.equal(calls.slice(0, sync).some((c) => /answer-canary/.test(c.line)), false);
  return calls.slice(from, release + 1);
}

test('kill -9 at system calls from the entry to the release', async (t) => {
  const own = (c) => /^(pwrite64|fdatasync|sendmsg)$/.test(c.name);
  const calls = sample(await window(), 2, own), hit = [];
  for (const call of calls) {
    await quiet();
    const before = await openings();
    const { result, died } = await killedAt(house, 'vault', call, openSeveral);
    const after = await openings();
    if (died) hit.push(call.name);
    assert.equal((await house.status()).vault.ledger, 'ok', `${call.name} ${call.when}`);
    if (/answer-canary/.test(result.stdout)) assert.equal(after, before + 3, `${call.name} ${call.when}`);
    assert.ok(after === before || after === before + 3, 'all of the request, or nothing');
  }
  t.diagnostic(`${hit.length} kills at ${calls.length} calls: ${calls.map((c) => c.name).join(' ')}`);
  // How often the loop wakes varies a little, and the checkpoint's saving may come before the release; the ledger's own
  // calls, which are the first, do not vary.
  assert.deepEqual(hit.filter((n) => /^(pwrite64|fdatasync)$/.test(n)).slice(0, 5), ['pwrite64', 'pwrite64', 'pwrite64', 'pwrite64', 'fdatasync']);
  assert.ok(hit.length > calls.length / 2);
  assert.match((await open()).stdout, /answer-canary/);
});

test('a disk that fails: nothing opens, logging goes on, and no batch is lost', async () => {
  const { size } = await quiet();
  let logged;
  for (const error of ['EIO', 'ENOSPC']) {
    const before = await openings();
    await traced(house, 'vault', ['-e', 'trace=fdatasync', '-e', `inject=fdatasync:error=${error}:syscall=getpid`], async () => {
      const r = await open();
      assert.notEqual(r.code, 0);
      assert.doesNotMatch(r.stdout, /answer-canary/);
      assert.match(r.stderr, /ledger cannot be written/);
      logged = await ask(`logged while ${error}`);
      await house.stored(logged); /* the store does not wait for the ledger */
      assert.equal(await openings(), before);
      assert.ok((await house.status()).spool.batches > 0, 'the spool keeps the batch');
    });
    await quiet(); /* and brings it, when the disk works again */
    assert.match((await house.show(logged)).request.messages[0].content, new RegExp(error));
  }
  assert.ok((await newest()).size >= size + 4); /* two batches, two openings */
});

// ---- what somebody does to the file ----

test('cut, forked, rewritten: the copy of a checkpoint shows it', async () => {
  const file = join(house.dir, 'vault', 'ledger.log');
  await quiet();
  const old = await readFile(file), small = (await stat(file)).size;
  await open();
  const running = await newest();
  await house.stop();
  const kept = await newest(); // of the file: the sealer's last marks came with the stop
  assert.ok(kept.size >= running.size && kept.origin === running.origin);
  await copyFile(file, join(house.home, 'ledger.log'));
  await truncate(file, small);
  assert.ok((await newest()).size < kept.size, 'a shorter log is a log: only a copy tells');
  const bytes = await readFile(join(house.home, 'ledger.log'));
  bytes[200] ^= 1;
  await writeFile(file, bytes);
  const damaged = await ledger('checkpoint');
  assert.equal(damaged.code, 1);
  assert.match(damaged.stderr, /damaged/);
  await writeFile(file, Buffer.concat([Buffer.from('shledgr1'), old.subarray(8)]));
  assert.match((await ledger('checkpoint')).stderr, /another version/);
  await copyFile(join(house.home, 'ledger.log'), file);
  await house.up();
  assert.deepEqual(await newest(), kept);
});
