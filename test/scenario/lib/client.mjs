// Clients as a test needs them: one that sees the bytes and how an answer ended, and a `fetch` for
// official clients that keeps what went over the wire.
import http from 'node:http';
import net from 'node:net';

// One request; gives {status, headers, body (Buffer), text, how, id}. `how`: 'end' is a clean end,
// 'cut' anything else after the head, 'no answer' when there was no head. `on(piece)` sees the body
// as it comes; what it returns that is not undefined ends the request at once.
export function ask(base, key, path, body, { method = 'POST', headers = {}, chunked, on } = {}) {
  const bytes = body === undefined || Buffer.isBuffer(body) || typeof body === 'string'
    ? body : JSON.stringify(body);
  return new Promise((done) => {
    const req = http.request(base + path, {
      method, agent: false,
      headers: {
        ...(key && { authorization: `Bearer ${key}` }),
        ...(bytes !== undefined && {
          'content-type': 'application/json',
          ...(chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': Buffer.byteLength(bytes) }),
        }),
        ...headers,
      },
    }, (res) => {
      const parts = [];
      const finish = (how) => {
        const whole = Buffer.concat(parts);
        done({
          status: res.statusCode, headers: res.headers, body: whole, text: whole.toString(), how,
          id: res.headers['x-safehouse-id'],
        });
      };
      res.on('data', (d) => {
        parts.push(d);
        if (on?.(d) !== undefined) req.destroy();
      });
      res.on('end', () => finish('end'));
      res.on('error', () => finish('cut'));
    });
    req.on('error', (e) => done({ how: 'no answer', error: e.code }));
    req.end(bytes);
  });
}

// A `fetch` that remembers each exchange: {status, headers, text() of the whole body, id}.
export function recording() {
  const seen = [];
  const record = async (...args) => {
    const answer = await fetch(...args);
    const copy = answer.clone().arrayBuffer().then((b) => Buffer.from(b), () => null);
    seen.push({
      status: answer.status, headers: answer.headers, bytes: copy,
      id: answer.headers.get('x-safehouse-id'),
    });
    return answer;
  };
  return { fetch: record, seen, last: () => seen.at(-1) };
}

// Writes bytes as they are on a connection of its own, and gives what came until the server closed
// it or `enough(text)` says so.
export function wire(base, pieces, enough = () => false, ms = 10000) {
  const { hostname, port } = new URL(base);
  return new Promise((done) => {
    let got = '';
    const s = net.connect(Number(port), hostname, async () => {
      for (const piece of [pieces].flat())
        await new Promise((go) => s.write(piece, go));
    });
    const timer = setTimeout(() => finish('time'), ms);
    const finish = (how) => {
      clearTimeout(timer);
      s.destroy();
      done({ how, text: got, status: Number(got.slice(9, 12)) });
    };
    s.setEncoding('utf8');
    s.setNoDelay(true);
    s.on('data', (d) => {
      got += d;
      if (enough(got)) finish('enough');
    });
    s.on('end', () => finish('end'));
    s.on('error', () => finish('reset'));
  });
}

// A whole answer with Content-Length has come (the last one of `count`).
export const answered = (count = 1) => (text) => {
  for (let at = 0, n = 0; ;) {
    const end = text.indexOf('\r\n\r\n', at);
    if (end < 0) return false;
    const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(at, end + 2));
    const informational = /^HTTP\/1.1 1\d\d/.test(text.slice(at));
    at = end + 4 + (informational ? 0 : Number(length?.[1] ?? 0));
    if (at > text.length) return false;
    if (!informational && ++n === count) return true;
  }
};
