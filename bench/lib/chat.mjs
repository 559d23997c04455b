// Chat text that is the same every time, with a key planted now and then.
const words = `the model answers a question about limits and how to write this function in the server please explain why
  it returns a value when the connection is closed because someone changed the settings and the test for version 3.11 fails
  请 解释 一下 这个 函数 是 如何 工作 的 为什么 返回 错误`.split(/\s+/);
const alnum = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

// `count` requests of about 15 kB, a line each.
export function chat(count) {
  let state = 7;
  const next = (n) => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return (state >>> 8) % n; };
  const message = () => {
    let text = '';
    while (text.length < 15000) {
      text += `${words[next(words.length)]} `;
      if (next(30) === 0) text += '.\n\n';
      if (next(2000) === 0) text += `ghp_${Array.from({ length: 36 }, () => alnum[next(62)]).join('')} `;
    }
    return `${JSON.stringify({ messages: [{ role: 'user', content: text }] })}\n`;
  };
  return Array.from({ length: count }, message).join('');
}
