// Makes of corpus/*.txt what train.c makes a dictionary of: node samples.mjs OUT
//
//   OUT/content   the dictionary's text: the corpus as it stands in a turn (doc/turn.md), the most usual
//                 last, where it costs least to point at; what does not fit is cut at the front
//   OUT/half      the same of every second item
//   OUT/samples   turns about the items that are not in `half`: u32 length | bytes, little-endian
//
// The statistics of the dictionary come from compressing `samples` against `half`, so that they are
// those of texts that the dictionary has not got. Deterministic: no clock, and a random generator of
// its own with a fixed seed.
import { readFileSync, writeFileSync } from 'node:fs';

const TURNS = 12000;
const out = process.argv[2];
const corpus = new URL('corpus/', import.meta.url);
const read = (name) => readFileSync(new URL(`${name}.txt`, corpus), 'utf8');
const escaped = (text) => JSON.stringify(text).slice(1, -1);

// xorshift32
let seed = 20250129;
function random(n) {
  seed ^= seed << 13; seed ^= seed >>> 17; seed ^= seed << 5;
  return (seed >>> 0) % n;
}
const pick = (list) => list[random(list.length)];

// ---- the corpus ----
const chats = (name) => read(name).split('%%\n').map((block) => {
  const [ask, answer] = block.split('%\n');
  return { ask: ask.trim(), answer: (answer ?? '').trim() };
}).filter((c) => c.ask || c.answer);
const lines = (name) => read(name).split('\n').filter(Boolean);
const tools = (name) => lines(name).map((line) => {
  const [tool, description, parameters, args, result, ask, answer] = line.split('|');
  return { tool, description, parameters, args, result, ask, answer };
});
const sets = ['en', 'zh'].map((language) => ({
  chats: [...chats(`${language}_more`), ...chats(`${language}_chat`)],
  phrases: lines(`${language}_phrases`),
  tools: tools(`${language}_tools`),
}));

// ---- as it stands in a turn ----
function definition(t) {
  const properties = {};
  for (const p of t.parameters.split(';')) {
    const [name, type, description] = p.split(':');
    properties[name] = { type, description };
  }
  return { type: 'function', function: { name: t.tool, description: t.description,
    parameters: { type: 'object', properties, required: Object.keys(properties).slice(0, 2) } } };
}

const chatText = (c) => `${escaped(c.ask)}"},${escaped(c.answer)}"`;
function toolText(t) {
  const talk = `${escaped(t.ask)}"}${escaped(t.answer)}"`;
  if (t.tool === 'none') return talk;
  const f = definition(t).function;
  return `"name":"${f.name}","description":"${f.description}",${JSON.stringify(f.parameters.properties)},"arguments":"${escaped(t.args)}"${escaped(t.result)}"}${talk}`;
}

// ---- turns ----
const models = ['gpt-4o-mini', 'gpt-4o-mini', 'gpt-4o', 'deepseek-chat', 'deepseek-reasoner', 'gpt-4.1-mini'];
const digits = (n) => Array.from({ length: n }, () => random(10)).join('');
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const id = (n) => Array.from({ length: n }, () => letters[random(letters.length)]).join('');

function answerOf(message, model, finish) {
  const input = 10 + random(900), output = 5 + random(700);
  const answer = { id: random(3) ? `chatcmpl-${id(29)}` : `chatcmpl-${1 + random(9)}`, object: 'chat.completion',
    created: 1700000000 + random(90000000), model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finish }],
    usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output } };
  if (random(2)) answer.usage.prompt_tokens_details = { cached_tokens: 0, audio_tokens: 0 };
  if (model.startsWith('deepseek')) Object.assign(answer.usage, { prompt_cache_hit_tokens: 0, prompt_cache_miss_tokens: input });
  if (random(2)) answer.system_fingerprint = `fp_${digits(10)}`;
  return answer;
}

function paramsOf(model) {
  const params = { model };
  if (!random(4)) params.temperature = pick([0, 0.2, 0.7, 1]);
  if (!random(6)) params.max_tokens = pick([256, 512, 1024, 4096]);
  if (!random(4)) params.user = `user-${digits(1 + random(4))}`;
  if (!random(3)) params.stream = true;
  return params;
}

function turnOf(messages, message, { tool, follow, finish = 'stop' }) {
  const model = pick(models), params = paramsOf(model), turn = { messages };
  if (tool && !follow) turn.tools = [definition(tool)];
  if (!follow) turn.params = params;
  if (params.stream) turn.streamed = true;
  turn.answer = answerOf(message, model, finish);
  return turn;
}

const said = (content) => (random(3) ? { role: 'assistant', content, refusal: null } : { role: 'assistant', content });

// One paragraph or a few of an item, as an answer.
function part(text) {
  const paragraphs = text.split('\n\n'), from = random(paragraphs.length);
  return paragraphs.slice(from, from + 1 + random(4)).join('\n\n');
}

function chatTurn(c) {
  const system = random(5) ? [] : [{ role: 'system', content: 'You are a helpful assistant.' }];
  return turnOf([...system, { role: 'user', content: c.ask || part(c.answer) }], said(part(c.answer)), { follow: !random(3) });
}

function toolTurn(t) {
  if (t.tool === 'none' || !random(3)) return turnOf([{ role: 'user', content: t.ask }], said(t.answer), { follow: random(2) });
  const call = `call_${id(24)}`;
  if (random(2)) {
    const message = { role: 'assistant', content: null,
      tool_calls: [{ id: call, type: 'function', function: { name: t.tool, arguments: t.args } }] };
    return turnOf([{ role: 'user', content: t.ask }], message, { tool: t, follow: random(2), finish: 'tool_calls' });
  }
  return turnOf([{ role: 'tool', tool_call_id: call, content: t.result }], said(t.answer), { follow: true });
}

function phraseTurn(phrases) {
  return turnOf([{ role: 'user', content: pick(phrases).slice(0, 40 + random(200)) }], said(pick(phrases).slice(0, 40 + random(800))), {});
}

// ---- out ----
const every = (list, rest) => list.filter((_, i) => i % 2 === rest);
function content(select) {
  const of = (kind, text) => sets.flatMap((s) => select(s[kind]).map(text));
  return [...of('tools', toolText), ...of('chats', chatText), ...of('phrases', escaped), read('skeleton').trimEnd()].join('\n');
}
writeFileSync(`${out}/content`, content((list) => list));
writeFileSync(`${out}/half`, content((list) => every(list, 0)));

const samples = [];
for (let i = 0; i < TURNS; i++) {
  const set = sets[i % sets.length], kind = random(10);
  const turn = kind < 5 ? chatTurn(pick(every(set.chats, 1)))
    : kind < 9 ? toolTurn(pick(every(set.tools, 1))) : phraseTurn(every(set.phrases, 1));
  const bytes = Buffer.from(JSON.stringify(turn)), length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  samples.push(length, bytes);
}
writeFileSync(`${out}/samples`, Buffer.concat(samples));
