// A scripted model server, standing in for a provider that cannot be reached from a test.
// Each test says how the next requests are answered: `upstream.answer = (exchange) => ...`.
import http from 'node:http';

export class Upstream {
  static async start() {
    const it = new Upstream();
    it.requests = []; // {method, url, headers, body}
    it.answer = (x) => x.json(completion('ok'));
    it.server = http.createServer((req, res) => it.#serve(req, res));
    it.server.keepAliveTimeout = 60000;
    await new Promise((go) => it.server.listen(0, '127.0.0.1', go));
    it.url = `http://127.0.0.1:${it.server.address().port}`;
    return it;
  }

  async #serve(req, res) {
    const parts = [];
    for await (const p of req) parts.push(p);
    const raw = Buffer.concat(parts);
    let body = null;
    try { body = JSON.parse(raw); } catch { /* a GET, or not JSON */ }
    const seen = { method: req.method, url: req.url, headers: req.headers, raw, body };
    this.requests.push(seen);
    const x = {
      ...seen,
      res,
      socket: req.socket,
      json: (value, status = 200, headers = {}) => {
        const text = typeof value === 'string' ? value : JSON.stringify(value);
        res.writeHead(status, {
          'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers,
        });
        res.end(text);
      },
      // Pieces go out as given: strings or Buffers, one write each, an event-loop turn apart.
      stream: async (pieces, { end = true, gap = 0 } = {}) => {
        res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
        for (const piece of pieces) {
          if (res.destroyed) return false;
          res.write(piece);
          await new Promise((go) => (gap ? setTimeout(go, gap) : setImmediate(go)));
        }
        if (end) res.end();
        return true;
      },
      gone: new Promise((go) => res.on('close', go)),
    };
    await this.answer(x);
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((go) => this.server.close(go));
  }
}

export const event = (value) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;

export function completion(content, more = {}) {
  return {
    id: 'chatcmpl-1', object: 'chat.completion', created: 1764000000, model: 'gpt-4o-mini',
    choices: [{
      index: 0, message: { role: 'assistant', content, refusal: null, ...more.message },
      logprobs: null, finish_reason: more.finish ?? 'stop',
    }],
    usage: { prompt_tokens: 9, completion_tokens: 12, total_tokens: 21 },
  };
}

export function chunk(delta, { index = 0, finish = null, ...more } = {}) {
  return {
    id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1764000000, model: 'gpt-4o-mini',
    choices: [{ index, delta, logprobs: null, finish_reason: finish }], ...more,
  };
}

// The events of a plain streamed answer, one chunk a piece of text.
export function streamed(pieces) {
  return [
    event(chunk({ role: 'assistant', content: '' })),
    ...pieces.map((content) => event(chunk({ content }))),
    event(chunk({}, { finish: 'stop' })),
    event('[DONE]'),
  ];
}
