// Every signed paper that is given out, by both verifiers: what holds, and many that do not, each with a
// name for what is wrong. The papers are the programs' own; the forged ones are made of them.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Installation, until } from './lib/installation.mjs';
import { Upstream, completion } from './lib/upstream.mjs';
import { Signer, build, notes, prove, split } from '../verify/forge.mjs';
import { keyId } from '../verify/note.mjs';
import { judgeReceipt } from '../verify/receipt.mjs';

let upstream, house, key, ledger, later;
const at = (name) => join(house.home, name);
const papers = {}; // erasure, export, records, breach, subject: {text, file}

test.before(async () => {
  upstream = await Upstream.start();
  upstream.answer = (x) => x.json(completion('an answer'));
  house = await Installation.start({ upstream: upstream.url });
  await ask();
  await house.stored(1);
});
async function ask() {
  const r = await fetch(`${house.gateway}/v1/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${house.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o-mini', user: 'Zoë "Z"', messages: [{ role: 'user', content: 'hello' }] }),
  });
  assert.equal(r.status, 200);
  await r.text();
}
test.after(async () => {
  await house?.destroy();
  await upstream?.stop();
});

const CODES = { clean: 0, found: 1, pending: 3, incomplete: 3 };
// The second verifier judges at once, the first when `settled` is called: all papers with the same anchors
// in one run, and both have to agree on each.
const waiting = new Map();
let papersMade = 0;
function judge(text, { file, key: k = key, tiles, dir, checkpoints = [] } = {}) {
  const anchors = JSON.stringify([k, tiles, dir, checkpoints]);
  if (!waiting.has(anchors)) waiting.set(anchors, { k, tiles, dir, checkpoints, list: [] });
  const second = judgeReceipt(Buffer.from(text), { file, key: k, tiles, checkpoints, ledger: dir && ledger });
  waiting.get(anchors).list.push({ text, file, second });
  return second;
}
async function settled() {
  const all = [];
  for (const [key, { k, tiles, dir, checkpoints, list }] of waiting) {
    const args = [...(k ? ['--key', k] : []), ...(tiles ? ['--tiles', tiles] : []), ...(dir ? ['--dir', house.dir] : [])];
    for (const c of checkpoints) {
      await writeFile(at('kept'), c);
      args.push('--checkpoint', at('kept'));
    }
    const names = [];
    for (const { text, file } of list) {
      const name = at(`p${papersMade++}`);
      names.push(`${name}.receipt`);
      await writeFile(`${name}.receipt`, text);
      if (file !== undefined) await writeFile(name, file);
    }
    const r = await house.cliResult('verify', '--json', ...args, '--receipt', ...names);
    const lines = r.stdout.split('\n').filter(Boolean).map((l) => JSON.parse(l));
    for (const [i, { text, second }] of list.entries()) {
      const findings = lines.filter((l) => l.paper === names[i]).map((l) => l.finding).sort();
      assert.deepEqual(findings, [...second.findings].sort(), `${text}\n${r.stderr}`);
      const said = lines.find((l) => l.receipt === names[i]);
      assert.equal(said?.result, ['clean', 'pending'].includes(second.result) ? second.result : undefined, `${text}`);
      all.push(said);
    }
    const worst = ['found', 'pending', 'incomplete', 'clean'].find((w) => list.some((l) => l.second.result === w));
    assert.equal(r.code, CODES[worst], r.stderr);
    waiting.delete(key);
  }
  return all;
}
function holds(text, options) {
  const { result, findings } = judge(text, options);
  assert.equal(result, 'clean', findings.join());
}
function fails(names, text, options) {
  const { findings } = judge(text, options);
  assert.deepEqual([...new Set(findings)].sort(), names.split(' ').sort(), Buffer.from(text).toString());
}

test('the papers that the programs give out hold, and say what they are of', async () => {
  const made = async (name, ...args) => {
    const file = at(name);
    const r = await house.cliResult(...args, '--dir', house.dir, '--output', file);
    assert.ok(r.code === 0 || r.code === 3, r.stderr);
    papers[name] = { file: await readFile(file), text: await readFile(`${file}.receipt`, 'utf8') };
  };
  await made('export', 'subject', 'export', 'Zoë "Z"', '--reason', 'asked for');
  await made('records', 'report', 'records');
  await made('breach', 'report', 'breach', '--since', '1h', '--quick');
  await made('subject', 'report', 'subject', 'Zoë "Z"');
  const streamed = await house.cli('subject', 'export', 'Zoë "Z"', '--reason', 'asked for', '--dir', house.dir, '--output', '-');
  const erased = await house.cliResult('subject', 'erase', 'Zoë "Z"', '--reason', 'asked for', '--dir', house.dir, '--json');
  assert.equal(erased.code, 0, erased.stderr);
  papers.erasure = { text: erased.stdout };
  assert.equal(JSON.parse(erased.stdout).project, 'default', 'whose it was is in it, to be compared');
  key = (await house.cli('ledger', 'checkpoint', '--key', '--dir', house.dir)).trim();
  await house.cli('ledger', 'export', at('tiles'), '--dir', house.dir);
  ledger = await readFile(join(house.dir, 'vault', 'ledger.log'));

  for (const [name, { text, file }] of Object.entries(papers)) {
    holds(text, { file });
    const [said] = await settled();
    assert.equal(said.kind, { erasure: 'erasure', export: 'export' }[name] ?? 'report');
    assert.ok(Math.abs(Date.parse(said.time) - Date.now()) < 120000);
    holds(text, { file, key: null, dir: true });
    holds(text, { file, key: null, tiles: at('tiles') });
    fails('proof-unanchored', text, { file, key: null });
    await settled();
  }
  // An export that went to standard output ends with its receipt.
  holds(streamed);
  fails('receipt-file', streamed.replace('hello', 'hallo'));
  fails('receipt-wrong', streamed.trim().split('\n').slice(0, -1).join('\n') + '\n'); // it is not whole
  fails('receipt-unproven', streamed.trim().split('\n').at(-1));
  fails('receipt-wrong', member(papers.erasure.text, { type: 'receipt' }));
  fails('receipt-wrong', member(papers.export.text, { type: 'export' }), papers.export);
  await settled();
  // Beside its file a receipt finds it; people are told in a sentence.
  const said = await house.cliResult('verify', '--receipt', at('export.receipt'), at('records.receipt'), '--key', key);
  assert.equal(said.code, 0, said.stderr);
  assert.match(said.stdout, /export\.receipt: the file is the export that was made, of 1 interactions, .*; entry \d+ of the ledger of \d+\n.*records\.receipt: the file is the report/);
  await writeFile(at('export'), Buffer.concat([papers.export.file, Buffer.from('\n')]));
  assert.match((await house.cliResult('verify', '--receipt', at('export.receipt'), '--key', key)).stdout, /^receipt-file: /);
});

test('against a later checkpoint: a ledger that continues theirs, one that is shorter, one that forked', async () => {
  const { text } = papers.erasure;
  const then = (await house.cli('ledger', 'checkpoint', '--dir', house.dir));
  await ask();
  await until(async () => (later = await house.cli('ledger', 'checkpoint', '--dir', house.dir)) !== then, 'a later checkpoint');
  await house.cli('ledger', 'export', at('later'), '--dir', house.dir);
  ledger = await readFile(join(house.dir, 'vault', 'ledger.log'));
  holds(text, { tiles: at('later'), checkpoints: [later] });
  holds(text, { dir: true, checkpoints: [later] });
  fails('checkpoint-unlinked', text, { checkpoints: [later] });
  fails('ledger-shortened', text, { tiles: at('tiles'), checkpoints: [later] });
  // A tile of it is another one, or is not there.
  const tile = (await readFile(join(at('later'), 'checkpoint'), 'utf8')).split('\n')[1];
  const name = join('tile', '0', '000.p', tile);
  const forged = await readFile(join(at('later'), name));
  forged[5] ^= 1;
  await cp(at('later'), at('forged'), { recursive: true });
  await writeFile(join(at('forged'), name), forged);
  fails('ledger-root ledger-forked', text, { tiles: at('forged') });
  await settled();
  await rm(join(at('forged'), name));
  fails('ledger-damaged', text, { tiles: at('forged') });
  // Signed with the vault's key, and another history: the same size, and longer.
  const signer = Signer.of(await readFile(join(house.dir, 'vault', 'ledger.key')));
  const { head, frames } = split(ledger);
  const other = frames.map((f) => ({ ...f, body: Buffer.from(f.body) }));
  other.find((f) => f.type === 1).body[3] ^= 1;
  const fork = notes(build(head, other, signer)), size = /\n(\d+)\n[^\n]{44}\n\n/.exec(JSON.parse(text).proof)[1];
  fails('ledger-forked', text, { checkpoints: [fork.find((n) => n.split('\n')[1] === size)] });
  fails('ledger-forked', text, { tiles: at('later'), checkpoints: [fork.at(-1)] });
  // Everything anew, under a key of one's own: it is not the key that was noted down.
  const thief = new Signer(randomBytes(32));
  fails('ledger-key', text, { tiles: at('later'), checkpoints: [notes(build(head, frames, thief)).at(-1)] });
  await settled();
});

// The note with another text, signed by nobody, the vault, or somebody else.
const noteOf = (text, note) => text + note.slice(note.lastIndexOf('\n\n') + 1);
const change = (paper, from, to) => {
  const o = JSON.parse(paper);
  const [text] = o.note.split('\n\n');
  assert.match(text + '\n', from);
  return JSON.stringify({ ...o, note: noteOf((text + '\n').replace(from, to), o.note) });
};
const member = (paper, more) => JSON.stringify({ ...JSON.parse(paper), ...more });

test('a paper of which anything is another', async () => {
  const { erasure, records, breach, subject } = papers, exported = papers.export;
  // Each line of each note.
  for (const paper of [erasure, exported, records])
    for (const line of JSON.parse(paper.text).note.split('\n\n')[0].split('\n').slice(2)) {
      const [word, value] = line.split(' ');
      const other = value.replace(/[0-9a-f]$/, (d) => (parseInt(d, 16) ^ 1).toString(16));
      const names = word === 'leaf' || word === 'entries' || word === 'root' || word === 'erasure' || word === 'request' ? ['receipt-signature', 'receipt-proof']
        : word === 'name' ? ['receipt-signature', 'receipt-name'] : word === 'sha256' ? ['receipt-signature', 'receipt-file'] : ['receipt-signature'];
      if (['sealer', 'report', 'root'].includes(word)) continue;
      fails(names.join(' '), change(paper.text, new RegExp(`^${word} ${value}`, 'm'), `${word} ${other}`), { file: paper.file });
    }
  const rooted = JSON.parse(records.text).note.match(/^root (.*)$/m)[1];
  fails('receipt-signature receipt-proof', change(records.text, /^root .*$/m, `root ${rooted.startsWith('A') ? 'B' : 'A'}${rooted.slice(1)}`), records);
  fails('receipt-signature', change(records.text, /^report records$/m, 'report breach'), records);
  fails('receipt-signature receipt-pending', member(change(erasure.text, /^sealer forgotten$/m, 'sealer pending'), { pending: true }));
  fails('receipt-wrong', change(erasure.text, /^sealer forgotten$/m, 'sealer pending'), {});
  fails('receipt-signature', change(erasure.text, /$/, 'replica erased /somewhere\n'), {});

  // What stands beside the note.
  fails('receipt-name', member(erasure.text, { name: 'zoë "Z"' }));
  fails('receipt-name', member(erasure.text, { project: 'other' }));
  fails('receipt-unproven', member(erasure.text, { project: null }));
  fails('receipt-wrong', member(erasure.text, { pending: true }));
  fails('receipt-wrong', member(erasure.text, { receipt: 'export' }));
  fails('receipt-wrong', member(erasure.text, { checkpoint: later }));
  fails('receipt-wrong', member(erasure.text, { more: 'x' }));
  fails('receipt-wrong', member(erasure.text, { name: 7 }));
  fails('receipt-wrong', member(exported.text, { name: 'x' }), exported);
  fails('receipt-unproven', member(erasure.text, { proof: null }));
  fails('receipt-unproven', member(records.text, { checkpoint: undefined }), records);
  fails('receipt-unproven', exported.text, {});
  fails('receipt-file', exported.text, { file: Buffer.concat([exported.file, Buffer.from('\n')]) });
  fails('receipt-file', records.text, { file: breach.file });

  // Two papers in one: the proof, the checkpoint, the signature of another.
  fails('receipt-proof', member(erasure.text, { proof: JSON.parse(exported.text).proof }));
  fails('receipt-proof', member(exported.text, { proof: JSON.parse(erasure.text).proof }), exported);
  fails('receipt-proof', member(records.text, { checkpoint: later }), records);
  fails('receipt-signature receipt-file', member(breach.text, { note: JSON.parse(breach.text).note.split('\n\n')[0] + '\n\n' + JSON.parse(subject.text).note.split('\n\n')[1] }), subject);
  const [first] = JSON.parse(erasure.text).note.split('\n\n'), [, signature] = JSON.parse(exported.text).note.split('\n\n');
  fails('receipt-signature', member(erasure.text, { note: `${first}\n\n${signature}` }));
  // The right entry, in a proof that leads elsewhere, or has a checkpoint that nobody signed.
  const proof = JSON.parse(erasure.text).proof, hash = randomBytes(32).toString('base64');
  const lines = proof.split('\n');
  fails('receipt-proof', member(erasure.text, { proof: [...lines.slice(0, 3), hash, ...lines.slice(4)].join('\n') }));
  fails('receipt-proof', member(erasure.text, { proof: lines.slice(0, -3).join('\n') }));
  const wrong = Buffer.from(/ (\S+)\n$/.exec(proof)[1], 'base64');
  wrong[20] ^= 1;
  fails('proof-wrong', member(erasure.text, { proof: proof.replace(/ \S+\n$/, ` ${wrong.toString('base64')}\n`) }));

  // Of another installation, in all or in part.
  const { head, frames } = split(ledger);
  const foreign = Buffer.from(head);
  randomBytes(16).copy(foreign, 8);
  const thief = new Signer(randomBytes(32)), origin = `safehouse.invalid/${foreign.toString('hex', 8, 24)}`;
  const stolen = build(foreign, frames, thief), index = Number(/^leaf (\d+)$/m.exec(JSON.parse(erasure.text).note)[1]);
  const sign = (text, who, name) => `${text}\n\u2014 ${name} ${Buffer.concat([keyId(name, who.publicKey), who.sign(text)]).toString('base64')}\n`;
  const own = JSON.parse(erasure.text).note.split('\n')[1], text = first.replace(own, origin) + '\n';
  const theirs = member(erasure.text, { note: sign(text, thief, origin), proof: prove(stolen, index) });
  const theirKey = `${origin}+${keyId(origin, thief.publicKey).toString('hex')}+${Buffer.concat([Buffer.of(1), thief.publicKey]).toString('base64')}`;
  holds(theirs, { key: theirKey });
  fails('receipt-key proof-wrong', theirs);
  fails('receipt-key ledger-forked', theirs, { key: null, dir: true });
  fails('ledger-key ledger-forked', theirs, { key: theirKey, tiles: at('tiles') });
  fails('receipt-proof proof-wrong', member(erasure.text, { proof: prove(stolen, index) }));
  fails('receipt-key receipt-proof', member(erasure.text, { note: sign(text, thief, origin) }));
  fails('receipt-key', member(erasure.text, { note: sign(first + '\n', thief, own) }));
  // A name that only looks like it.
  fails('receipt-wrong', member(erasure.text, { note: JSON.parse(erasure.text).note.replaceAll('safehouse.invalid/', 's\u0430fehouse.invalid/') }));
  await settled();
});

test('signatures: more of them, twice, of a name that is none', async () => {
  const { text } = papers.erasure, o = JSON.parse(text), line = o.note.split('\n\n')[1];
  const unknown = (name, n = 68) => `\u2014 ${name} ${randomBytes(n).toString('base64')}\n`;
  holds(member(text, { note: o.note + line })); // the same twice
  holds(member(text, { note: o.note + unknown('witness.example/\u00fcber') }));
  holds(member(text, { note: o.note + unknown('witness.example/pq', 2424) }));
  holds(member(text, { note: unknown('a').replace(/^/, o.note.split('\n\n')[0] + '\n\n') + line }));
  holds(member(text, { note: o.note + Array.from({ length: 63 }, () => unknown('w')).join('') }));
  fails('receipt-wrong', member(text, { note: o.note + Array.from({ length: 64 }, () => unknown('w')).join('') }));
  for (const name of ['a b', 'a+b', 'a\u2003b', 'a\u0085', '\u3000', '', 'a'.repeat(256), 'a\x7f']) fails('receipt-wrong', member(text, { note: o.note + unknown(name) }));
  holds(member(text, { note: o.note + unknown('a'.repeat(255)) }));
  fails('receipt-wrong', member(text, { note: o.note + unknown('w', 4) }));
  fails('receipt-wrong', member(text, { note: o.note + unknown('w', 9000) }));
  // A second one of the very key, and wrong.
  const bytes = Buffer.from(line.split(' ')[2], 'base64');
  bytes[30] ^= 1;
  const bad = `${line.split(' ').slice(0, 2).join(' ')} ${bytes.toString('base64')}\n`;
  fails('receipt-signature', member(text, { note: o.note + bad }));
  fails('receipt-signature', member(text, { note: o.note.split('\n\n')[0] + '\n\n' + bad + line }));
  fails('proof-wrong', member(text, { proof: o.proof + bad }));
  fails('receipt-signature', member(text, { note: o.note.replace(line, `${line.split(' ').slice(0, 2).join(' ')} ${bytes.subarray(0, 60).toString('base64')}\n`) }));
  await settled();
});

test('the form: shortened, doubled, other line ends, no JSON', async () => {
  const { text } = papers.erasure, o = JSON.parse(text), exported = papers.export;
  fails('receipt-unproven', o.note); // the note alone proves less
  fails('receipt-unproven', JSON.parse(exported.text).note, exported);
  holds(text.trim() + '\r\n'); // of JSON, not of what is signed
  holds(JSON.stringify(o, null, 2));
  fails('receipt-wrong', JSON.parse(exported.text).note.replaceAll('\n', '\r\n'), exported);
  fails('receipt-wrong', member(text, { note: o.note.replaceAll('\n', '\r\n') }));
  fails('receipt-proof', member(text, { proof: o.proof.replaceAll('\n', '\r\n') }));
  for (const line of o.note.split('\n\n')[0].split('\n')) {
    fails('receipt-wrong', member(text, { note: o.note.replace(line + '\n', `${line}\n${line}\n`) }));
    fails('receipt-wrong', member(text, { note: o.note.replace(line + '\n', '') }));
  }
  for (const paper of [text, exported.text, JSON.parse(exported.text).note])
    for (let n = 0; n < paper.trim().length; n += 97) fails('receipt-wrong', paper.slice(0, n), { file: exported.file });
  const twice = text.trim().replace(/^\{/, `{"name":"x",`);
  for (const bad of [twice, `[${text}]`, text + text, `\ufeff${text}`, text.replace('"receipt"', '"receipt\\u0000"'), '{}', '[]', '', 'null',
    member(text, { name: '\ud800' }), text.replace(/,/, ',,'), text.trim().replace(/\}$/, ',}'), text.replace('{', '{"receipt":"erasure","receipt":"erasure",')])
    fails('receipt-wrong', bad);
  fails('receipt-wrong', Buffer.concat([Buffer.from(text), Buffer.from([0xff])]));
  // Other papers are not taken for receipts.
  fails('receipt-wrong', o.proof);
  fails('receipt-wrong', later);
  await settled();
  const usage = await house.cliResult('verify', '--receipt', at('paper'), '--proof', at('paper'));
  assert.equal(usage.code, 2);
  assert.equal((await house.cliResult('verify', '--tiles', at('tiles'))).code, 2);
  assert.equal((await house.cliResult('verify', '--receipt', at('nothing'), '--key', key)).code, 2);
  await settled();
});

test('each byte of each paper: another bit, and it is another paper or none', { timeout: 120000 }, async () => {
  let tried = 0;
  for (const { text, file } of [papers.erasure, papers.export, papers.records]) {
    const bytes = Buffer.from(text.trim());
    for (let at = 0; at < bytes.length; at++) {
      const one = Buffer.from(bytes);
      one[at] ^= 1 << at % 7;
      const { result } = tried++ % 29 === 0 ? judge(one, { file }) : judgeReceipt(one, { file, key });
      assert.notEqual(result, 'clean', `byte ${at} of ${text}`);
    }
  }
  assert.ok(tried > 2000);
  assert.equal(createHash('sha256').update(papers.records.file).digest('hex'), /^sha256 (.*)$/m.exec(JSON.parse(papers.records.text).note)[1]);
  await settled();
});
