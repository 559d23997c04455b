// The queries of examples/grafana.json, as Grafana's ClickHouse data source would send them: the macros that
// they use, and the project variable, filled in.
import { readFileSync } from 'node:fs';

const FILE = new URL('../../../examples/grafana.json', import.meta.url);

export function dashboard({ from, to, projects }) {
  const day = (s) => `toDate('${new Date(s * 1000).toISOString().slice(0, 10)}')`;
  const fill = (sql) => sql
    .replace(/\$__timeFilter\((\w+)\)/g, (_, c) => `${c} >= toDateTime(${from}) AND ${c} <= toDateTime(${to})`)
    .replace(/\$__dateFilter\((\w+)\)/g, (_, c) => `${c} >= ${day(from)} AND ${c} <= ${day(to)}`)
    .replaceAll('${project:singlequote}', projects.map((p) => `'${p}'`).join(','));
  const { panels, templating } = JSON.parse(readFileSync(FILE, 'utf8'));
  return [
    ...templating.list.filter((v) => v.type === 'query').map((v) => ({ view: `variable ${v.name}`, sql: fill(v.query) })),
    ...panels.flatMap((p) => p.targets.map((t) => ({ view: p.description, sql: fill(t.rawSql) }))),
  ];
}
