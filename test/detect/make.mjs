// Makes the labelled files beside it: node test/detect/make.mjs. The same every time: a fixed seed.
//
// A line is {class, label, text}; of label 1 also `value`, the very bytes of the text that must be
// found; of label 0 `why`, what makes it no value of the class. All values are made up; checksums are
// right where the label is 1. Lines are what people write to a model: questions, settings, code, logs.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// xorshift32: small, and the same on every machine.
let state = 20260301;
function next(n) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % n;
}
const pick = (list) => list[next(list.length)];
const text = (alphabet, n) => Array.from({ length: n }, () => alphabet[next(alphabet.length)]).join('');
const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', LOWER = 'abcdefghijklmnopqrstuvwxyz', DIGITS = '0123456789';
const ALNUM = UPPER + LOWER + DIGITS, HEX = '0123456789abcdef';
const hex = (n) => text(HEX, n), alnum = (n) => text(ALNUM, n), digits = (n) => text(DIGITS, n);
const uuid = () => `${hex(8)}-${hex(4)}-4${hex(3)}-${pick(['8', '9', 'a', 'b'])}${hex(3)}-${hex(12)}`;

// ---- what stands around a key ----

// p: {name, zh, env, host}; v: the value. Each names the provider, as the context rules need.
const around = [
  (p, v) => `export ${p.env}=${v}`,
  (p, v) => `${p.env}="${v}"\nLOG_LEVEL=debug\n`,
  (p, v) => `# settings of the bot\n${p.env.toLowerCase()}: ${v}\ntimeout: 30\n`,
  (p, v) => `${p.env.toLowerCase()}: '${v}'`,
  (p, v) => `{"provider":"${p.name}","${p.field}":"${v}","timeout":30}`,
  (p, v) => `os.environ["${p.env}"] = "${v}"`,
  (p, v) => `os.Setenv("${p.env}", "${v}")`,
  (p, v) => `const ${p.name}Key = '${v}';`,
  (p, v) => `docker run -d -e ${p.env}=${v} -p 3000:3000 gateway:1.4`,
  (p, v) => `env:\n  - name: ${p.env}\n    value: "x"\n  # ${p.name}: ${v}\n`,
  (p, v) => `我的${p.zh}密钥是${v}，帮我看看为什么一直报401`,
  (p, v) => `这是${p.zh}的key：${v}。请不要告诉别人`,
  (p, v) => `帮我写一个脚本调用${p.zh}，密钥「${v}」，要支持流式输出`,
  (p, v) => `${p.zh}接口返回invalid key（${v}）是什么原因？`,
  (p, v) => `I pasted my ${p.name} key ${v} into a public gist by accident, what now?`,
  (p, v) => `| ${p.name} | \`${v}\` | production | renew in May |`,
  (p, v) => `2026-03-02 10:11:12 ERROR ${p.name} request failed key=${v} status=401`,
  (p, v) => `${p.name}.${p.field.replace(/_/g, '-')}=${v}`,
  (p, v) => `[${p.name}]\n${p.name}_${p.field} = "${v}"\n`,
  (p, v) => `<add key="${p.name}_${p.field}" value="${v}" />`,
  (p, v) => `${p.name}_${p.field}:${v},region:cn-north-1`,
  (p, v) => `const cfg = {${p.name}: {${p.field}: '${v}', retries: 2}};`,
  (p, v) => `${p.name} ${p.field.replace(/_/g, ' ')}: ${v}`,
  (p, v) => `請問${p.zh}的金鑰${v}還能用嗎？`,
];
// Where the form alone tells, no provider need be named.
const bare = [
  (p, v) => v,
  (p, v) => `Authorization: Bearer ${v}`,
  (p, v) => `curl https://${p.host}/v1/models -H "Authorization: Bearer ${v}"`,
  (p, v) => `client = OpenAI(api_key="${v}", base_url="https://${p.host}/v1")`,
  (p, v) => `试试这个${v}`,
  (p, v) => `密钥:${v},不要外传`,
  (p, v) => `{"messages":[{"role":"user","content":"key ${v}"}]}`,
  (p, v) => `http://proxy.internal:8000/?k=${v}&m=chat`,
];
const placeholders = (p, head) => [
  [`${p.env}=${head}${'x'.repeat(32)}`, 'placeholder'],
  [`${p.env}=your-${p.name}-key-here`, 'placeholder'],
  [`export ${p.env}=\${${p.env}}`, 'a variable'],
  [`${p.env.toLowerCase()}: <your ${p.name} key>`, 'placeholder'],
  [`api_key=os.environ["${p.env}"]`, 'read from the environment'],
  [`const key = process.env.${p.env};`, 'read from the environment'],
  [`${p.zh}的密钥在控制台里创建，形如 ${head}****`, 'masked'],
  [`How do I rotate a ${p.name} key? The console shows ${head}...${hex(4)} only.`, 'masked'],
  [`${p.name} answers 401 when the key is missing; see https://${p.host}/docs/authentication-and-api-keys`, 'documentation'],
  [`从${p.zh}平台迁移到本地部署需要多少显存？`, 'no value'],
  [`git checkout ${hex(40)}`, 'a commit'],
  [`pip install ${p.name}-sdk==1.4.2 --hash=sha256:${hex(64)}`, 'a hash of a package'],
  [`request_id: ${uuid()}`, 'a request\'s id'],
  [`image: registry.example/${p.name}@sha256:${hex(64)}`, 'an image\'s digest'],
  [`md5 ${hex(32)}  model-00001-of-00004.safetensors`, 'a hash of a file'],
  [`"integrity": "sha512-${text(ALNUM + '+/', 86)}=="`, 'integrity of a package'],
];

const lines = [];
const yes = (cls, value, t) => lines.push({ class: cls, label: 1, value, text: t });
const no = (cls, t, why) => lines.push({ class: cls, label: 0, why, text: t });
function keys(cls, p, make, templates) {
  for (const t of templates) {
    const v = make();
    yes(cls, v, t(p, v));
  }
}

// ---- providers of China ----

function china() {
  const deepseek = { name: 'deepseek', zh: '深度求索', env: 'DEEPSEEK_API_KEY', field: 'api_key', host: 'api.deepseek.com' };
  keys('deepseek-key', deepseek, () => `sk-${hex(32)}`, [...around, ...bare]);
  for (const [t, why] of placeholders(deepseek, 'sk-')) no('deepseek-key', t, why);
  no('deepseek-key', `the job is task-${hex(32)}`, 'sk- ends a word');
  no('deepseek-key', `分支名是risk-${hex(32)}，合并前要评审`, 'sk- ends a word');
  no('deepseek-key', `DEEPSEEK_API_KEY=sk-${hex(12)}...`, 'cut off');
  no('deepseek-key', `<div class="sk-circle sk-circle-fade-dot-animation-delay">`, 'a class of CSS');
  no('deepseek-key', 'from sklearn import sk-learn-compatible-estimator-checks', 'words');
  no('deepseek-key', `sk-${'0'.repeat(32)}`, 'placeholder');
  no('deepseek-key', `sk-${'1234567890abcdef'.slice(0, 10)}`, 'too short');
  no('deepseek-key', `ETag: "${hex(32)}"`, 'no prefix');

  const moonshot = { name: 'moonshot', zh: '月之暗面', env: 'MOONSHOT_API_KEY', field: 'api_key', host: 'api.moonshot.cn' };
  keys('moonshot-key', moonshot, () => `sk-${alnum(48)}`, [...around, ...bare]);
  for (const [t, why] of placeholders(moonshot, 'sk-')) no('moonshot-key', t, why);
  no('moonshot-key', `MOONSHOT_API_KEY=sk-${alnum(14)}...`, 'cut off');
  no('moonshot-key', `desk-${alnum(48)}`, 'sk- ends a word');
  no('moonshot-key', 'moonshot-v1-128k 和 moonshot-v1-32k 有什么区别？', 'names of models');
  no('moonshot-key', `sk-${'MOONSHOT'.repeat(6)}`, 'a word repeated');
  no('moonshot-key', 'model="kimi-k2-0905-preview", temperature=0.6', 'a name of a model');

  const zhipu = { name: 'zhipu', zh: '智谱', env: 'ZHIPUAI_API_KEY', field: 'api_key', host: 'open.bigmodel.cn' };
  keys('zhipu-key', zhipu, () => `${hex(32)}.${alnum(16)}`, [...around, ...bare]);
  for (const [t, why] of placeholders(zhipu, '')) no('zhipu-key', t, why);
  no('zhipu-key', `main.${hex(32)}.js`, 'a file of a bundler');
  no('zhipu-key', `https://cdn.example/static/${hex(32)}.stylesheet`, 'a file');
  no('zhipu-key', `${hex(32)}.tar.gz`, 'a file');
  no('zhipu-key', `${'0'.repeat(32)}.${'0'.repeat(16)}`, 'placeholder');
  no('zhipu-key', `${hex(31)}.${alnum(16)}!`.replace(/^./, 'g'), 'wrong length');
  no('zhipu-key', 'glm-4-plus 的上下文长度是多少？', 'a name of a model');

  const dashscope = { name: 'dashscope', zh: '通义千问', env: 'DASHSCOPE_API_KEY', field: 'api_key', host: 'dashscope.aliyuncs.com' };
  keys('dashscope-key', dashscope, () => `sk-${hex(32)}`, around);
  for (const [t, why] of placeholders(dashscope, 'sk-')) no('dashscope-key', t, why);
  no('dashscope-key', `DASHSCOPE_API_KEY=sk-${hex(8)}...`, 'cut off');
  no('dashscope-key', `通义千问的会话编号是task-${hex(32)}`, 'sk- ends a word');
  no('dashscope-key', 'qwen-max, qwen-plus 和 qwen2.5-72b-instruct 怎么选？', 'names of models');
  no('dashscope-key', `X-DashScope-Request-Id: ${uuid()}`, 'a request\'s id');

  const aliyun = { name: 'aliyun', zh: '阿里云', env: 'ALIBABA_CLOUD_ACCESS_KEY_ID', field: 'access_key_id', host: 'oss-cn-hangzhou.aliyuncs.com' };
  const secret = { ...aliyun, env: 'ALIBABA_CLOUD_ACCESS_KEY_SECRET', field: 'access_key_secret' };
  keys('aliyun-access-key', aliyun, () => `LTAI${alnum(pick([12, 16, 20]))}`, [...around, bare[0], bare[4], bare[7]]);
  keys('aliyun-access-key', secret, () => alnum(30), around);
  for (const [t, why] of placeholders(aliyun, 'LTAI')) no('aliyun-access-key', t, why);
  no('aliyun-access-key', `LTAI${alnum(8)}`, 'too short');
  no('aliyun-access-key', 'accessKeyId: LTAI5txxxxxxxxxxxxxxxxxx', 'placeholder');
  no('aliyun-access-key', 'MULTAISERVICEPROVIDERNETWORK', 'within a word');
  no('aliyun-access-key', 'oss-cn-hangzhou-internal.aliyuncs.com 访问很慢怎么办', 'a host');
  no('aliyun-access-key', `阿里云工单编号 ${digits(12)}`, 'a number');

  const tencent = { name: 'tencent', zh: '腾讯云', env: 'TENCENTCLOUD_SECRET_ID', field: 'secret_id', host: 'hunyuan.tencentcloudapi.com' };
  keys('tencent-secret', tencent, () => `AKID${alnum(32)}`, [...around, bare[0], bare[4], bare[7]]);
  keys('tencent-secret', { ...tencent, env: 'TENCENTCLOUD_SECRET_KEY', field: 'secret_key' }, () => alnum(32), around);
  for (const [t, why] of placeholders(tencent, 'AKID')) no('tencent-secret', t, why);
  no('tencent-secret', `SecretId: AKID${'x'.repeat(32)}`, 'placeholder');
  no('tencent-secret', `AKID${'X'.repeat(32)}`, 'placeholder');
  no('tencent-secret', `AKID${alnum(20)}`, 'too short');
  no('tencent-secret', '腾讯云服务器的默认用户名是什么？', 'no value');
  no('tencent-secret', `腾讯会议号 ${digits(3)}-${digits(3)}-${digits(3)}`, 'a number');

  const volc = { name: 'volcengine', zh: '火山引擎', env: 'VOLC_ACCESSKEY', field: 'access_key', host: 'ark.cn-beijing.volces.com' };
  const ark = { ...volc, zh: '豆包', env: 'ARK_API_KEY', field: 'api_key' };
  keys('volcengine-key', volc, () => `AKLT${Buffer.from(hex(32)).toString('base64').replace(/=/g, '').slice(0, 43)}`, [...around, bare[0], bare[4], bare[7]]);
  keys('volcengine-key', { ...volc, env: 'VOLC_SECRETKEY', field: 'secret_key' },
    () => Buffer.from(Buffer.from(digits(1) + hex(42)).toString('latin1')).toString('base64').replace(/^./, 'T'), around);
  keys('volcengine-key', ark, uuid, around);
  for (const [t, why] of placeholders(ark, '')) no('volcengine-key', t, why);
  no('volcengine-key', `model="doubao-1-5-pro-32k-250115"`, 'a name of a model');
  no('volcengine-key', `AKLT${'x'.repeat(43)}`, 'placeholder');
  no('volcengine-key', `AKLT${alnum(12)}`, 'too short');
  no('volcengine-key', `接入点 ep-${digits(14)}-${text(LOWER, 5)} 怎么删除？`, 'an endpoint\'s name');
  no('volcengine-key', `trace ${uuid()} finished in 210 ms`, 'a trace\'s id');

  const baidu = { name: 'qianfan', zh: '百度千帆', env: 'QIANFAN_ACCESS_KEY', field: 'api_key', host: 'qianfan.baidubce.com' };
  keys('baidu-key', baidu, () => `bce-v3/ALTAK-${alnum(21)}/${hex(40)}`, [...around, ...bare.filter((_, i) => i !== 7)]);
  keys('baidu-key', { ...baidu, zh: '文心一言' }, () => alnum(24), around);
  keys('baidu-key', { ...baidu, env: 'QIANFAN_SECRET_KEY', field: 'secret_key' }, () => alnum(32), around);
  keys('baidu-key', baidu, () => `24.${hex(32)}.2592000.17${digits(8)}.282335-${digits(8)}`, [bare[0], bare[1], bare[4], bare[5], bare[7]]);
  for (const [t, why] of placeholders(baidu, 'bce-v3/')) no('baidu-key', t, why);
  no('baidu-key', 'bce-v3/ALTAK-xxxxxxxxxxxxxxxxxxxxx/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 'placeholder');
  no('baidu-key', `bce-v3/ALTAK-${alnum(21)}/${hex(10)}...`, 'cut off');
  no('baidu-key', 'https://pan.baidu.com/disk/main#/index?category=all', 'an address');
  no('baidu-key', 'ernie-4.0-turbo-8k 和 ernie-speed-128k 哪个便宜？', 'names of models');
  no('baidu-key', `百度统计代码 hm.js 放在哪里？`, 'no value');

  const huawei = { name: 'huawei', zh: '华为云', env: 'HUAWEI_ACCESS_KEY', field: 'access_key', host: 'obs.cn-north-4.myhuaweicloud.com' };
  keys('huawei-key', huawei, () => text(UPPER + DIGITS, 20), around);
  keys('huawei-key', { ...huawei, env: 'HUAWEI_SECRET_KEY', field: 'secret_key' }, () => alnum(40), around);
  for (const [t, why] of placeholders(huawei, '')) no('huawei-key', t, why);
  no('huawei-key', `HUAWEI_ACCESS_KEY=${'X'.repeat(20)}`, 'placeholder');
  no('huawei-key', `华为手机的序列号 ${text(UPPER + DIGITS, 16)}`, 'a serial number');
  no('huawei-key', 'HUAWEI MATEBOOKXPROTWENTYFOUR 怎么样', 'words');
  no('huawei-key', 'obs.cn-north-4.myhuaweicloud.com 的延迟有点高', 'a host');
  no('huawei-key', `ticket ${text(UPPER + DIGITS, 20)} was closed`, 'no provider is named');
}

// ---- people ----

const luhn = (s) => {
  let sum = 0;
  [...s].reverse().forEach((c, i) => { const v = c * (i % 2 ? 2 : 1); sum += v > 9 ? v - 9 : v; });
  return sum % 10;
};
const card = (head, len) => {
  const body = head + digits(len - head.length - 1);
  for (const c of DIGITS) if (!luhn(body + c)) return body + c;
};
const grouped = (s, sizes, sign) => { let at = 0; return sizes.map((n) => s.slice(at, at += n)).join(sign); };
const two = (n) => String(n).padStart(2, '0');
const birthday = () => `${1950 + next(60)}${two(1 + next(12))}${two(1 + next(28))}`;
const regions = ['110105', '310115', '440305', '330106', '510104', '320102', '420106', '610113', '370202', '500103'];
const idCheck = (s) => '10X98765432'[[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2].reduce((n, w, i) => n + w * s[i], 0) % 11];
const resident = (region = pick(regions), day = birthday()) => { const s = region + day + digits(3); return s + idCheck(s); };
const wrongLast = (s) => s.slice(0, -1) + (s.endsWith('X') ? '1' : s.endsWith('7') ? '8' : '7');
const iban = (country, bban) => {
  const number = [...bban + country].map((c) => (/[A-Z]/.test(c) ? c.charCodeAt(0) - 55 : c)).join('') + '00';
  return country + two(98 - Number(BigInt(number) % 97n)) + bban;
};
const ibans = [['DE', () => digits(18)], ['GB', () => text(UPPER, 4) + digits(14)], ['FR', () => digits(23)], ['NL', () => text(UPPER, 4) + digits(10)],
  ['ES', () => digits(20)], ['IT', () => text(UPPER, 1) + digits(22)], ['CH', () => digits(17)], ['PL', () => digits(24)], ['SE', () => digits(20)], ['AT', () => digits(16)]];
const someIban = () => { const [c, b] = pick(ibans); return iban(c, b()); };
const segments = ['130', '135', '136', '138', '139', '150', '151', '158', '159', '166', '176', '177', '180', '186', '188', '189', '191', '199'];
const mobile = () => pick(segments) + digits(8);
const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const sha = (b) => createHash('sha256').update(b).digest();
function base58check(version) {
  const body = Buffer.from([version, ...Array.from({ length: 20 }, () => next(256))]);
  const all = Buffer.concat([body, sha(sha(body)).subarray(0, 4)]);
  let n = BigInt(`0x${all.toString('hex')}`), s = '';
  for (; n > 0n; n /= 58n) s = BASE58[Number(n % 58n)] + s;
  for (const b of all) { if (b) break; s = `1${s}`; }
  return s;
}
const BECH = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
function bech32() { // BIP 173, version 0, 20 bytes
  const data = [0, ...Array.from({ length: 32 }, () => next(32))], values = [3, 3, 0, 2, 3, ...data, 0, 0, 0, 0, 0, 0];
  const generator = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
  let sum = 1;
  for (const v of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ v;
    for (let i = 0; i < 5; i++) if ((top >> i) & 1) sum ^= generator[i];
  }
  sum ^= 1;
  return `bc1${[...data, ...Array.from({ length: 6 }, (_, i) => (sum >>> (5 * (5 - i))) & 31)].map((v) => BECH[v]).join('')}`;
}
const names = ['li.wei', 'wang_fang', 'ada.lovelace', 'j.doe', 'zhangsan', 'maria-garcia', 'liu.yang88', 'tanaka', 'o.connor', 'chen+news', 'support', 'k.müller'.replace('ü', 'ue')];
const domains = ['example.com', 'qq.com', '163.com', 'mail.example.co.uk', 'corp.example.cn', 'uni-example.de', 'gmail.com', 'outlook.com', 'x.example.io'];
const email = () => `${pick(names)}${next(2) ? next(90) + 10 : ''}@${pick(domains)}`;
const ip4 = () => `${pick([8, 23, 45, 58, 101, 114, 121, 139, 172, 185, 203, 218])}.${next(256)}.${next(256)}.${1 + next(254)}`;
const group = () => text('123456789abcdef', 1) + hex(3);
const ip6 = () => `2${text('0123456789abcdef', 3)}:${Array.from({ length: 7 }, group).join(':')}`;

const said = (what) => [
  (v) => v,
  (v) => `${what.zh}：${v}`,
  (v) => `${what.zh}是${v}，请登记`,
  (v) => `我的${what.zh}${v}，帮我填一下表`,
  (v) => `张三，${what.zh} ${v}，住在杭州`,
  (v) => `请把${what.zh}（${v}）改成新的`,
  (v) => `${what.en}: ${v}`,
  (v) => `My ${what.en} is ${v}, please fill in the form.`,
  (v) => `{"name":"Li Wei","${what.field}":"${v}"}`,
  (v) => `"${what.field}": "${v}",`,
  (v) => `${what.field}=${v}`,
  (v) => `${what.field}='${v}' AND active = 1`,
  (v) => `INSERT INTO people (name, ${what.field}) VALUES ('Ada', '${v}');`,
  (v) => `Li Wei,${v},Hangzhou`,
  (v) => `Li Wei\t${v}\tHangzhou`,
  (v) => `| Li Wei | ${v} |`,
  (v) => `<td>${v}</td>`,
  (v) => `(${v})`,
  (v) => `1. ${v}\n2. ...`,
  (v) => `Please change ${v} to the new one.`,
  (v) => `客户留言：“${v}”`,
  (v) => `2026-03-02 09:00:01 INFO ${what.field}:${v} saved`,
];
function people() {
  const each = (cls, what, make) => said(what).forEach((t) => { const v = make(); yes(cls, v, t(v)); });

  each('email', { zh: '邮箱', en: 'e-mail address', field: 'email' }, email);
  yes('email', 'li.wei@example.com', 'mailto:li.wei@example.com?subject=hi');
  yes('email', 'li.wei@example.com', '联系人li.wei@example.com或电话联系');
  yes('email', 'ada@example.org', 'Ada Lovelace <ada@example.org>');
  for (const [t, why] of [
    ['git clone git@github.com:user/project.git', 'a repository'], ['background: url(icon@2x.png)', 'a file'],
    ['npm i left-pad@1.2.3', 'a package'], ['"@types/node@18.11.9"', 'a package'], ['@app.route("/login")', 'a decorator'],
    ['@someone please look', 'a handle'], ['root@localhost:~# ls', 'a prompt'], ['systemctl start getty@tty1.service', 'a unit'],
    ['3 apples @ 2.50 each', 'a price'], ['user@', 'no host'], ['@example.com', 'no user'], ['@media (min-width: 600px)', 'CSS'],
    ['pnpm add vue@3.4.0 pinia@2.1.7', 'packages'], ['a@b', 'no domain'], ['ssh-keygen -C me@host', 'no domain'],
    ['docker pull nginx@sha256:' + hex(64), 'a digest'], ['uses: actions/checkout@v4', 'an action'], ['x @ y', 'an operator'],
    ['W = A @ B.transpose()', 'an operator'], ['@Override public void run()', 'an annotation'], ['price@2024', 'no domain'],
    ['foo@@bar.com', 'two signs'], ['logo@3x.webp', 'a file'], ['import x from "lodash@4.17.21/index.js"', 'a package'],
    ['your name at example dot com', 'words'], ['k.mueller(at)example', 'words']]) no('email', t, why);

  each('phone', { zh: '电话', en: 'phone number', field: 'phone' }, () => pick([
    () => `+1 ${pick(['415', '212', '650'])}-555-${digits(4)}`, () => `+44 20 7${digits(3)} ${digits(4)}`, () => `+49 30 ${digits(6)}`,
    () => `+33 1 ${digits(2)} ${digits(2)} ${digits(2)} ${digits(2)}`, () => `+81-3-${digits(4)}-${digits(4)}`, () => `+1415555${digits(4)}`,
    () => `+442071${digits(6)}`, () => `+65 9${digits(3)} ${digits(4)}`, () => `+1 (415) 555-${digits(4)}`, () => `+91 98${digits(3)} ${digits(5)}`])());
  for (const [t, why] of [
    ['+1234', 'too short'], ['1+2=3 and 4+5', 'sums'], ['+0123456789', 'no country begins with 0'], ['x = a + 12345', 'a sum'],
    ['2026-03-02T10:11:12+0800', 'a time zone'], ['10:11:12 +0000', 'a time zone'], ['增长 +12.5%', 'a share'], ['C++17 and C++20', 'a language'],
    ['order no. 4155552671', 'no country code'], ['ISBN 978-3-16-148410-0', 'a book'], ['1700000000123', 'milliseconds'], ['PID 4155552', 'a process'],
    ['+100 points, +250 bonus', 'points'], ['build 20260302101112', 'a build'], ['v1.2.3+20260302', 'a version'], ['1.0.0+build.4155552671', 'a version'],
    ['E = 1.6e+19', 'a number'], ['3.0e+12345678', 'a number'], ['a+b+c+d', 'letters'], ['tracking 1Z999AA10123456784', 'a parcel'],
    ['diff: +1234567 -1234', 'lines'], ['+ 4155552671 items', 'a sign of its own'], ['UTC+8', 'a time zone'], ['版本号 2.14.1592653589', 'a version']]) no('phone', t, why);

  each('cn-mobile', { zh: '手机号', en: 'mobile', field: 'mobile' }, () => {
    const m = mobile();
    return pick([m, m, grouped(m, [3, 4, 4], '-'), grouped(m, [3, 4, 4], ' '), `+86 ${m}`, `+86-${m}`, `+86${m}`]);
  });
  for (const [t, why] of [
    [`手机号 ${mobile().slice(1)}`, 'ten digits'], [`订单号 ${mobile()}${digits(5)}`, 'longer'], [`时间戳 17${digits(11)}`, 'milliseconds'],
    ['电话 12012345678', 'no such segment'], ['10086', 'a service'], ['400-820-8820', 'a service'], ['13800000000000', 'longer'],
    [`order ${next(9) + 1}${mobile()}`, 'twelve digits'], [`id_${mobile()}`, 'a part of a name'], [`a${mobile()}b`, 'within letters'],
    [`0.${mobile()}`, 'a fraction'], [`${mobile()}.5`, 'a decimal'], [`uuid ${uuid()}`, 'a UUID'], ['11012345678', 'no such segment'],
    ['14012345678', 'no such segment'], [`0571-8${digits(7)}`, 'a landline'], [`commit ${hex(40)}`, 'a commit'], ['13800000000', 'zeros'],
    ['15400000001', 'no such segment'], [`#${mobile()}`, 'a number of an issue'], [`/${mobile()}.jpg`, 'a file'], [`${mobile()}px`, 'a length'],
    [`QQ群 ${digits(9)}`, 'a group']]) no('cn-mobile', t, why);

  each('cn-resident-id', { zh: '身份证号', en: 'resident ID', field: 'id_card' }, () => resident());
  yes('cn-resident-id', '11010519491231002x', '身份证11010519491231002x');
  for (let i = 0; i < 6; i++) no('cn-resident-id', `身份证号 ${wrongLast(resident())}`, 'wrong check digit');
  for (let i = 0; i < 5; i++) no('cn-resident-id', `身份证号：${resident(pick(regions), `19${digits(2)}13${two(1 + next(28))}`)}`, 'month 13');
  for (let i = 0; i < 4; i++) no('cn-resident-id', `${resident(pick(regions), '19870230')}`, '30 February');
  for (let i = 0; i < 4; i++) no('cn-resident-id', `号码${resident(pick(['990105', '000105', '770101', '180101']))}`, 'no such region');
  no('cn-resident-id', `${resident()}${digits(2)}`, 'longer');
  no('cn-resident-id', `order_${resident()}`, 'a part of a name');
  no('cn-resident-id', `${resident().slice(0, 15)}`, 'cut off');
  no('cn-resident-id', `0.${resident()}`, 'a fraction');
  no('cn-resident-id', `统一社会信用代码 91${digits(6)}${text(UPPER, 2)}${digits(7)}X`, 'a company');
  no('cn-resident-id', `雪花编号 ${'7' + digits(17)}0`, 'longer');

  const cards = [['4', 16], ['4', 16], ['51', 16], ['55', 16], ['2221', 16], ['34', 15], ['37', 15], ['6011', 16], ['65', 16], ['3528', 16], ['36', 14],
    ['622202', 19], ['621700', 19], ['622848', 19], ['6225', 16]];
  each('bank-card', { zh: '银行卡号', en: 'card number', field: 'card_no' }, () => {
    const [head, len] = pick(cards), s = card(head, len);
    return pick([s, s, len === 16 ? grouped(s, [4, 4, 4, 4], ' ') : s, len === 16 ? grouped(s, [4, 4, 4, 4], '-') : len === 15 ? grouped(s, [4, 6, 5], ' ') : len === 19 ? grouped(s, [4, 4, 4, 4, 3], ' ') : s]);
  });
  for (let i = 0; i < 8; i++) { const [h, n] = pick(cards); no('bank-card', `银行卡号 ${wrongLast(card(h, n))}`, 'wrong check digit'); }
  for (const [t, why] of [
    ['1234567812345670', 'no issuer'], ['0000 0000 0000 0000', 'zeros'], ['4444444444444444', 'one digit'], [`订单号 ${card('4', 16)}${digits(6)}`, 'longer'],
    [`card ${card('4', 16).slice(0, 12)}`, 'cut off'], [`**** **** **** ${digits(4)}`, 'masked'], [`0.${card('4', 16)}`, 'a fraction'],
    [`x${card('51', 16)}y`, 'within letters'], [`sha ${hex(40)}`, 'a hash'], [`timestamp 1700000000123456`, 'microseconds'],
    [`trace ${uuid()}`, 'a UUID'], [`9${card('4', 16).slice(1)}`, 'no issuer'], [`运单号 SF${digits(13)}`, 'a parcel'],
    [`${card('4', 16)}_backup.sql`, 'a part of a name'], ['3.14159265358979323', 'a number'], ['block 0000000000000000000a', 'a hash']]) no('bank-card', t, why);

  each('iban', { zh: '国际账号', en: 'IBAN', field: 'iban' }, () => { const v = someIban(); return pick([v, v, v.replace(/(.{4})(?=.)/g, '$1 ')]); });
  for (let i = 0; i < 10; i++) { const v = someIban(); no('iban', `IBAN ${v.slice(0, 2)}${two((Number(v.slice(2, 4)) + 1) % 97)}${v.slice(4)}`, 'wrong check digits'); }
  for (let i = 0; i < 5; i++) no('iban', `IBAN: ${someIban().slice(0, -1)}`, 'one short');
  for (const [t, why] of [
    ['ZZ89370400440532013000', 'no such country'], [`part ${text(UPPER, 2)}${digits(6)}`, 'too short'], [`SN ${text(UPPER, 2)}00${digits(20)}`, 'a serial number'],
    ['DE00 0000 0000 0000 0000 00', 'placeholder'], [`a${someIban()}`, 'within letters'], ['BIC DEUTDEFF500', 'a bank'], [`${someIban()}00`, 'longer'],
    ['VIN WVWZZZ1JZXW000001', 'a car']]) no('iban', t, why);

  const passport = () => pick([() => `E${digits(8)}`, () => `G${digits(8)}`, () => `EA${digits(7)}`, () => digits(9), () => `K${digits(8)}`, () => `P${digits(8)}`, () => `C${digits(8)}`])();
  for (const t of [(v) => `护照号码：${v}`, (v) => `护照号${v}`, (v) => `我的护照号是${v}，签证要多久？`, (v) => `passport no. ${v}`, (v) => `Passport number: ${v}`,
    (v) => `passport: ${v}`, (v) => `{"passport":"${v}"}`, (v) => `{"passport_no": "${v}"}`, (v) => `passport_number=${v}`, (v) => `Reisepass ${v}`, (v) => `pasaporte: ${v}`,
    (v) => `passeport n° ${v}`, (v) => `護照號碼 ${v}`, (v) => `中国护照（${v}）`, (v) => `旅客张三，护照 ${v}，航班 CA981`, (v) => `My passport is ${v}.`,
    (v) => `passportNumber: '${v}'`, (v) => `PASSPORT NO ${v}`, (v) => `| passport | ${v} |`, (v) => `<passport>${v}</passport>`, (v) => `passport_no,${v}`, (v) => `请核对护照“${v}”是否过期`]) {
    const v = passport();
    yes('passport-number', v, t(v));
  }
  for (const [t, why] of [
    ['passport photo 35x45 mm', 'a size'], [`number E${digits(8)}`, 'no context'], [`护照办理需要 7 个工作日`, 'days'], ['passport.js 0.6.0', 'a library'],
    ['app.use(passport.initialize());', 'code'], [`passport E${digits(5)}`, 'too short'], [`passport ${digits(12)}`, 'too long'], ['护照过期了怎么办？', 'no value'],
    ['passport-local-mongoose@8.0.0', 'a package'], ['请在2026年3月2日前更新护照', 'a date'], ['passport office, open 9 to 17', 'hours'], [`护照照片 33mm x 48mm`, 'a size'],
    [`ticket E${digits(8)}`, 'no context'], [`航班 CA${digits(4)} 护照查验 3 号口`, 'a flight'], ['passport valid until 2031-05-06', 'a date'], [`passport_${hex(8)}`, 'a name'],
    [`"passport": null`, 'nothing'], ['passport: required', 'nothing'], ['PASSPORT_SECRET=${SECRET}', 'a variable'], ['Reisepass: siehe Anlage 12', 'no value'],
    ['e-passport chip ICAO 9303', 'a standard'], ['pasaporte vigente por 10 años', 'years']]) no('passport-number', t, why);

  each('ip-address', { zh: '登录地址', en: 'IP address', field: 'client_ip' }, () => (next(4) ? ip4() : ip6()));
  yes('ip-address', '203.0.113.77', 'sshd: Failed password for root from 203.0.113.77 port 22 ssh2');
  yes('ip-address', '58.33.12.9', '58.33.12.9 - - [02/Mar/2026:10:11:12 +0800] "GET / HTTP/1.1" 200 512');
  yes('ip-address', '114.55.6.78', 'http://114.55.6.78:8080/admin');
  yes('ip-address', 'fe80::1ff:fe23:4567:890a', 'inet6 fe80::1ff:fe23:4567:890a/64');
  for (const [t, why] of [
    ['version 1.2.3.4', 'a version'], ['127.0.0.1:8080', 'loopback'], ['0.0.0.0', 'unspecified'], ['255.255.255.255', 'broadcast'], ['256.1.1.1', 'too big'],
    ['1.2.3', 'three parts'], ['OID 1.3.6.1.4.1.311', 'an OID'], ['12:34:56:78', 'a time'], ['std::vector<int> v;', 'code'], ['10:11:12', 'a time'],
    ['00:1A:2B:3C:4D:5E', 'a card\'s address'], ['1.2.3.4.5', 'five parts'], ['v2.0.1.3-beta', 'a version'], ['::', 'unspecified'], ['::1', 'loopback'],
    ['224.0.0.251', 'multicast'], ['第1.1.1.1节', 'a section'], ['8.8.8', 'three parts'], ['01.02.03.04', 'zeros in front'], ['2026.03.02', 'a date'],
    ['a.b.c.d', 'letters'], ['fe:dc:ba', 'a few groups'], ['chapter 4.3.2.1', 'a section'], ['Chrome/120.0.6099.109', 'a version'], ['x::y::z', 'code']]) no('ip-address', t, why);

  each('crypto-wallet', { zh: '钱包地址', en: 'wallet', field: 'wallet' }, () => pick([() => base58check(0), () => base58check(5), bech32, () => `0x${text(`${HEX}ABCDEF`, 40)}`, () => base58check(0x41)])());
  for (let i = 0; i < 6; i++) no('crypto-wallet', `地址 ${(() => { const v = base58check(0); return v.slice(0, -1) + (v.endsWith('z') ? 'y' : 'z'); })()}`, 'wrong checksum');
  for (let i = 0; i < 4; i++) no('crypto-wallet', `pay ${(() => { const v = bech32(); return v.slice(0, -1) + (v.endsWith('q') ? 'p' : 'q'); })()}`, 'wrong checksum');
  for (const [t, why] of [
    [`0x${hex(39)}`, 'one short'], [`0x${hex(64)}`, 'a hash of a transaction'], [`0x${'0'.repeat(40)}`, 'zeros'], [`commit ${hex(40)}`, 'a commit'],
    ['0xdeadbeef', 'a number'], [`1${text(BASE58, 20)}`, 'too short'], ['bc1 is the prefix', 'words'], [`3${text(BASE58, 50)}`, 'too long'], [`uuid ${uuid()}`, 'a UUID'],
    ['0xFFFFFFFFFFFFFFFF', 'a number'], [`sha256:${hex(64)}`, 'a digest'], ['T-shirt size XL', 'words']]) no('crypto-wallet', t, why);
}

const folder = dirname(fileURLToPath(import.meta.url));
for (const [name, make] of [['china', china], ['people', people]]) {
  lines.length = 0;
  make();
  writeFileSync(join(folder, `${name}.jsonl`), lines.map((l) => `${JSON.stringify(l)}\n`).join(''));
}
