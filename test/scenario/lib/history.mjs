// Rebuilds what a client sent and was answered from the opened turns, as doc/turn.md says: a reader
// of its own beside the one in `safehouse show`, so that the two can be compared.
const SIGNIFICANT = ['role', 'content', 'tool_calls', 'function_call', 'refusal', 'reasoning_content', 'audio', 'name'];
const empty = (v) => v === null || v === undefined || v === '' || (Array.isArray(v) && v.length === 0);

function repeated(answer, replayed) {
  const message = answer.choices[replayed?.choice ?? 0].message;
  if (!replayed || (!('without' in replayed) && !('with' in replayed))) return message;
  const out = {};
  for (const name of SIGNIFICANT)
    if (!empty(message[name]) && !(replayed.without ?? []).includes(name)) out[name] = message[name];
  return { ...out, ...replayed.with };
}

// rows: [{id, parent, kept, body}] of turns, bodies opened. Gives id -> {request, response, turn}.
export function histories(rows) {
  const byId = new Map(rows.map((r) => [r.id, { ...r, turn: JSON.parse(r.body) }]));
  const done = new Map();
  const build = (id) => {
    if (done.has(id)) return done.get(id);
    const row = byId.get(id);
    const { turn } = row;
    let messages = turn.messages, tools = turn.tools, params = turn.params;
    if (!/^0[0-]+0$/.test(row.parent)) {
      const parent = build(row.parent);
      const history = [...parent.request.messages];
      if (Number(row.kept) > history.length) history.push(repeated(parent.turn.answer, turn.replayed));
      messages = [...history.slice(0, Number(row.kept)), ...messages];
      if (tools === undefined && !(turn.gone ?? []).includes('tools')) tools = parent.request.tools;
      params ??= parent.params;
    }
    const request = { ...params, messages };
    if (tools !== undefined) request.tools = tools;
    const it = { request, params, response: turn.answer, turn };
    done.set(id, it);
    return it;
  };
  for (const id of byId.keys()) build(id);
  return done;
}
