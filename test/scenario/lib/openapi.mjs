// doc/openapi.yaml, and whether an answer is one that it describes.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';

const doc = parse(await readFile(new URL('../../../doc/openapi.yaml', import.meta.url), 'utf8'));
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const at = (ref) => ref.slice(2).split('/').reduce((o, name) => o[name], doc);
const whole = (o) => (o?.$ref ? at(o.$ref) : o);

// "GET /api/v1/people" of each.
export const routes = Object.entries(doc.paths)
  .flatMap(([path, o]) => METHODS.filter((m) => o[m]).map((m) => `${m.toUpperCase()} ${path}`)).sort();

const typeOf = (v) => (v === null ? 'null' : Array.isArray(v) ? 'array' : Number.isInteger(v) ? 'integer' : typeof v);

// What of the value is not as the schema has it; "" if all is.
export function differs(schema, value, where = 'it') {
  const s = whole(schema);
  const known = ['type', 'required', 'properties', 'additionalProperties', 'items', 'enum', 'const', 'oneOf', 'description',
    'pattern', 'maxLength', 'minLength', 'minimum', 'default'];
  for (const word of Object.keys(s)) assert.ok(known.includes(word), `this does not understand ${word}`);
  if (s.oneOf) {
    const fit = s.oneOf.filter((one) => !differs(one, value)).length;
    return fit === 1 ? '' : `${where} fits ${fit} of oneOf`;
  }
  if ('const' in s) return value === s.const ? '' : `${where} is not ${s.const}`;
  if (s.enum) return s.enum.includes(value) ? '' : `${where} is ${value}`;
  if (s.type && ![s.type].flat().includes(typeOf(value))) return `${where} is ${typeOf(value)}, not ${s.type}`;
  if (typeOf(value) === 'array') return value.map((v, i) => differs(s.items ?? {}, v, `${where}[${i}]`)).find(Boolean) ?? '';
  if (typeOf(value) !== 'object') return s.pattern && !new RegExp(s.pattern).test(value) ? `${where} is ${value}` : '';
  for (const name of s.required ?? []) if (!(name in value)) return `${where} has no ${name}`;
  for (const [name, v] of Object.entries(value)) {
    const of = s.properties?.[name];
    if (!of && s.additionalProperties === false) return `${where} has ${name}`;
    const why = of ? differs(of, v, `${where}.${name}`) : '';
    if (why) return why;
  }
  return '';
}

// Fails unless a request of that method and path may be answered so.
export function check(method, path, status, type, text) {
  const found = Object.keys(doc.paths).find((p) => doc.paths[p][method.toLowerCase()] &&
    new RegExp(`^${p.replace(/\{\w+\}/g, '[^/]+')}$`).test(path));
  if (!found) return assert.ok(status === 404 || status === 405, `${method} ${path} is not described, and answered: ${status}`);
  const answers = doc.paths[found][method.toLowerCase()].responses;
  const answer = whole(answers[status] ?? (status >= 400 ? answers.default : undefined));
  assert.ok(answer, `${method} ${found} may not answer ${status}: ${text}`);
  if (!answer.content) return assert.ok(!text || status === 202, text);
  const kind = type.split(';')[0];
  const body = answer.content[kind];
  assert.ok(body, `${method} ${found} is answered in ${type}`);
  if (kind === 'text/plain') return undefined;
  const values = kind === 'application/x-ndjson' ? text.trim().split('\n').map((l) => JSON.parse(l)) : [JSON.parse(text)];
  for (const value of values) assert.equal(differs(body.schema, value), '', `${method} ${found} ${status}: ${text.slice(0, 500)}`);
  return undefined;
}
