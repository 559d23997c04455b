// Secrets made anew for a run, from a seed; the forms in which one may be written; and how to look for one in bytes.
import { createHash, createPrivateKey } from 'node:crypto';

// Random bytes that a seed determines.
export class Seeded {
  constructor(seed) { this.seed = seed; this.n = 0; this.left = Buffer.alloc(0); }
  byte() {
    if (!this.left.length) this.left = createHash('sha256').update(`${this.seed}:${this.n++}`).digest();
    const b = this.left[0];
    this.left = this.left.subarray(1);
    return b;
  }
  below(n) { return ((this.byte() << 16) | (this.byte() << 8) | this.byte()) % n; }
  bytes(n) { return Buffer.from(Array.from({ length: n }, () => this.byte())); }
  pick(alphabet, n) { return Array.from({ length: n }, () => alphabet[this.below(alphabet.length)]).join(''); }
}

const DIGITS = '0123456789', UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', LOWER = UPPER.toLowerCase();
const ALNUM = UPPER + LOWER + DIGITS, HEX = '0123456789abcdef', B64 = `${ALNUM}+/`;
const b64url = (v) => Buffer.from(JSON.stringify(v)).toString('base64url');

function crc32(text) {
  let c = 0xffffffff;
  for (const b of Buffer.from(text)) {
    c ^= b;
    for (let i = 0; i < 8; i++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  }
  return (c ^ 0xffffffff) >>> 0;
}
// 30 random characters and their checksum, as GitHub and npm make them.
function checked(r) {
  const body = r.pick(ALNUM, 30);
  let sum = '';
  for (let c = crc32(body); sum.length < 6; c = Math.floor(c / 62)) sum = `${DIGITS}${UPPER}${LOWER}`[c % 62] + sum;
  return body + sum;
}
// Letters and digits, some of each wherever it is cut.
const mixed = (r, n) => Array.from({ length: n }, (_, i) => r.pick(i % 3 === 0 ? DIGITS : i % 3 === 1 ? LOWER : UPPER, 1)).join('');

// class -> [value, the text that it stands in, unless that is the value alone]. What is random in a value are its
// last bytes (`core`).
export const MAKE = {
  'aws-access-key': (r) => ['AKIA' + r.pick(UPPER + '234567', 16)],
  'aws-secret-key': (r) => { const v = r.pick(B64, 39) + 'a'; return [v, `aws_secret_access_key = ${v}`]; },
  'github-token': (r) => [(r.below(2) ? 'ghp_' : 'gho_') + checked(r)],
  'github-fine-grained': (r) => [`github_pat_${r.pick(ALNUM, 22)}_${r.pick(ALNUM, 59)}`],
  'gitlab-token': (r) => ['glpat-' + mixed(r, 20)],
  'npm-token': (r) => ['npm_' + checked(r)],
  'openai-key': (r) => ['sk-proj-' + r.pick(ALNUM, 74) + 'T3BlbkFJ' + r.pick(ALNUM, 74)],
  'anthropic-key': (r) => [`sk-ant-api03-${r.pick(ALNUM, 93)}AA`],
  'deepseek-key': (r) => ['sk-' + r.pick(HEX, 32)],
  'google-api-key': (r) => ['AIza' + mixed(r, 35)],
  'huggingface-token': (r) => ['hf_' + r.pick(UPPER + LOWER, 34)],
  'slack-token': (r) => [`xoxb-${r.pick('123456789', 12)}-${r.pick('123456789', 13)}-${mixed(r, 24)}`],
  'stripe-key': (r) => ['sk_live_' + mixed(r, 24)],
  'sendgrid-key': (r) => [`SG.${mixed(r, 22)}.${mixed(r, 43)}`],
  'aliyun-access-key': (r) => ['LTAI5t' + mixed(r, 18)],
  'tencent-secret-id': (r) => ['AKID' + mixed(r, 32)],
  jwt: (r) => [`${b64url({ alg: 'HS256', typ: 'JWT' })}.${b64url({ sub: r.pick(DIGITS, 9), iat: 1700000000 })}.${r.bytes(32).toString('base64url')}`],
  'private-key': (r) => { // PKCS #8 of 32 random bytes, as Ed25519 keys are
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), r.bytes(32)]);
    return [createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ type: 'pkcs8', format: 'pem' }).trim()];
  },
  'connection-string': (r) => { const v = mixed(r, 18); return [v, `postgres://app:${v}@db.internal:5432/orders`]; },
  password: (r) => { const v = mixed(r, 15) + '!'; return [v, `password = "${v}"`]; },
  'api-key': (r) => { const v = mixed(r, 40); return [v, `api_key: "${v}"`]; },
};

// A secret is {value, text, core}. In base64 of PEM and of JWT the first characters are the same in all.
export function make(r, name) {
  const [value, text = value] = MAKE[name](r);
  const lines = value.split('\n');
  const random = lines.length > 1 ? lines.slice(1, -1).join('') : value;
  return { name, value, text, core: random.slice(-Math.min(random.length, lines.length > 1 ? 40 : name === 'jwt' ? 40 : 16)) };
}

const wide = (text, which) => text.replace(which, (c) => String.fromCodePoint(c.codePointAt(0) + 0xfee0));
const unicode = (text) => [...text].map((c) => `\\u${c.codePointAt(0).toString(16).padStart(4, '0')}`).join('');
const inJson = (text) => JSON.stringify(text).slice(1, -1);
// The value alone is escaped, as what stands around it stays: of pairs of characters there are few.
const escaped = (s) => inJson(s.text).replace(inJson(s.value), () => unicode(s.value));
const wrap = (text, n, end) => text.match(new RegExp(`.{1,${n}}`, 'g')).join(end);
const base64 = (s) => Buffer.from(`the value: ${s.text}, that is all`).toString('base64');

/*
 * The forms of a text that a secret stands in. `raw` marks what JSON itself must write in escapes: the string's
 * bytes are then as they are given. `lines`: not for a place where a line must not end.
 */
export const FORMS = {
  plain: (s) => s.text,
  newline: (s) => `key:\n${s.text}\nend`,
  unicode: (s) => ({ raw: escaped(s) }),
  nested: (s) => JSON.stringify({ value: s.text }),
  nested2: (s) => JSON.stringify({ body: JSON.stringify({ value: `a\n${s.text}` }) }),
  'nested-unicode': (s) => `{"value":"${escaped(s)}"}`,
  'full-width digits': (s) => wide(s.text, /[0-9]/g),
  'full-width': (s) => wide(s.text, /[0-9A-Za-z]/g),
  widthless: (s, r) => {
    const zero = ['\u200b', '\u200d', '\u2060', '\ufeff'], at = r.below(s.text.length - 8);
    return s.text.slice(0, at) + zero[r.below(4)] + s.text.slice(at, at + 5) + zero[r.below(4)] + s.text.slice(at + 5);
  },
  base64: (s) => base64(s),
  'base64 lines': (s) => wrap(base64(s), 76, '\n'),
  'base64 lines, CRLF': (s) => wrap(base64(s), 64, '\r\n'),
  'base64url': (s) => Buffer.from(`the value: ${s.text}, that is all`).toString('base64url'),
  'nested base64': (s) => JSON.stringify({ data: base64(s) }),
};

export const WIDTH = 12;

// Texts of 12 bytes by which a secret could be recognised, in any form.
export function windows(core) {
  const all = new Set(), plain = Buffer.from(core);
  const add = (bytes) => {
    for (let i = 0; i + WIDTH <= bytes.length; i++) all.add(bytes.subarray(i, i + WIDTH).toString('hex'));
  };
  add(plain);
  add(Buffer.from(unicode(core)));
  add(Buffer.from(unicode(core).toUpperCase().replaceAll('\\U', '\\u')));
  add(Buffer.from(wide(core, /[0-9A-Za-z]/g)));
  add(Buffer.from(plain.toString('hex')));
  add(Buffer.from(plain.toString('hex').toUpperCase()));
  for (let shift = 0; shift < 3; shift++) { // characters that depend on the core alone
    const text = Buffer.concat([Buffer.alloc(shift), plain]).toString('base64').replace(/=+$/, '');
    const own = text.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + plain.length) * 8) / 6));
    add(Buffer.from(own));
    add(Buffer.from(own.replace(/\+/g, '-').replace(/\//g, '_')));
  }
  return all;
}
