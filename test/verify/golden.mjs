// The golden ledger, test/vectors/ledger.txt: lines "name hex".
import { readFileSync } from 'node:fs';

export function vectors(file = new URL('../vectors/ledger.txt', import.meta.url)) {
  const all = new Map(readFileSync(file, 'utf8').split('\n').filter((l) => l && l[0] !== '#')
    .map((l) => [l.split(' ')[0], Buffer.from(l.split(' ')[1] ?? '', 'hex')]));
  const get = (name) => {
    if (!all.has(name)) throw new Error(`no vector ${name}`);
    return all.get(name);
  };
  return { get, text: (name) => get(name).toString('utf8'), names: [...all.keys()] };
}
