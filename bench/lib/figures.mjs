// Figures of several runs: their medians with the spread, as a table and as lines for scripts.

const figures = new Map(); // name -> { unit, values }

export function note(name, unit, value) {
  if (!figures.has(name)) figures.set(name, { unit, values: [] });
  figures.get(name).values.push(value);
}

export const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;

const shown = (v, unit) => v.toFixed(unit === 'ratio' ? 3 : unit === '1/s' ? 0 : 1);

export function report(word, runs) {
  if (!figures.size) return;
  const width = Math.max(...[...figures.keys()].map((n) => n.length));
  console.log(`\n${'median of ' + runs}${' '.repeat(Math.max(1, width - 10))}  value  spread`);
  const lines = [];
  for (const [name, { unit, values }] of figures) {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
    const spread = `${shown(sorted[0], unit)}..${shown(sorted.at(-1), unit)}`;
    console.log(`${name.padEnd(width)} ${shown(middle, unit).padStart(7)}  ${spread} ${unit}`);
    lines.push(`${word} ${name} ${shown(middle, unit)} ${unit}`);
  }
  console.log(`\n${lines.join('\n')}`);
}
