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
      // An answer as it is on the wire, head included: for framing that no proper server makes.
      // `how` says what becomes of the connection: left open, 'end'ed, or 'reset'.
      wire: async (pieces, how = 'open') => {
        for (const piece of [pieces].flat()) {
          req.socket.write(piece);
          await new Promise((go) => setImmediate(go));
        }
        if (how === 'end') req.socket.end();
        if (how === 'reset') req.socket.resetAndDestroy();
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

// ---- Anthropic ----

// An event with its name, as Anthropic and the Responses API send them.
export const named = (value) => `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`;

export function message(content, more = {}) {
  return {
    id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-haiku-4-5',
    content: typeof content === 'string' ? [{ type: 'text', text: content }] : content,
    stop_reason: 'end_turn', stop_sequence: null,
    usage: {
      input_tokens: 12, cache_creation_input_tokens: 3, cache_read_input_tokens: 5, output_tokens: 7,
      service_tier: 'standard',
    },
    ...more,
  };
}

const DELTAS = {
  text: (b) => [...b.text].map((text) => ({ type: 'text_delta', text })),
  thinking: (b) => [
    ...b.thinking.split(/(?<= )/).map((thinking) => ({ type: 'thinking_delta', thinking })),
    { type: 'signature_delta', signature: b.signature },
  ],
  tool_use: (b) => (JSON.stringify(b.input).match(/.{1,5}/gu) ?? [])
    .map((partial_json) => ({ type: 'input_json_delta', partial_json })),
};
const OPENED = { text: { text: '' }, thinking: { thinking: '', signature: '' }, tool_use: { input: {} } };

// The events of `message(content)`, streamed: an array of pieces, a ping among them.
export function messageEvents(content, more = {}) {
  const whole = message(content, more);
  const { output_tokens, ...prompt } = whole.usage;
  return [
    named({ type: 'message_start', message: {
      ...whole, content: [], stop_reason: null, usage: { ...prompt, output_tokens: 1 } } }),
    named({ type: 'ping' }),
    ...whole.content.flatMap((block, index) => [
      named({ type: 'content_block_start', index, content_block: { ...block, ...OPENED[block.type] } }),
      ...DELTAS[block.type](block).map((delta) => named({ type: 'content_block_delta', index, delta })),
      named({ type: 'content_block_stop', index }),
    ]),
    named({ type: 'message_delta',
      delta: { stop_reason: whole.stop_reason, stop_sequence: null }, usage: { output_tokens } }),
    named({ type: 'message_stop' }),
  ];
}

// ---- Responses ----

export function response(text, more = {}) {
  return {
    id: 'resp_1', object: 'response', created_at: 1764000000, status: 'completed', error: null,
    incomplete_details: null, instructions: null, metadata: {}, model: 'gpt-4o-mini',
    output: [{
      id: 'msg_1', type: 'message', status: 'completed', role: 'assistant',
      content: [{ type: 'output_text', text, annotations: [], logprobs: [] }],
    }],
    parallel_tool_calls: true, temperature: 1, tool_choice: 'auto', tools: [], top_p: 1,
    usage: {
      input_tokens: 31, input_tokens_details: { cached_tokens: 8 }, output_tokens: 17,
      output_tokens_details: { reasoning_tokens: 4 }, total_tokens: 48,
    },
    ...more,
  };
}

export function responseEvents(pieces, more = {}) {
  const whole = response(pieces.join(''), more);
  const [item] = whole.output, [part] = item.content;
  const begun = { ...whole, status: 'in_progress', output: [], usage: null };
  const at = { item_id: item.id, output_index: 0, content_index: 0 };
  const events = [
    { type: 'response.created', response: begun },
    { type: 'response.in_progress', response: begun },
    { type: 'response.output_item.added', output_index: 0,
      item: { ...item, status: 'in_progress', content: [] } },
    { type: 'response.content_part.added', ...at, part: { ...part, text: '' } },
    ...pieces.map((delta) => ({ type: 'response.output_text.delta', ...at, delta, logprobs: [] })),
    { type: 'response.output_text.done', ...at, text: part.text, logprobs: [] },
    { type: 'response.content_part.done', ...at, part },
    { type: 'response.output_item.done', output_index: 0, item },
    { type: 'response.completed', response: whole },
  ];
  return events.map((e, sequence_number) => named({ ...e, sequence_number }));
}
