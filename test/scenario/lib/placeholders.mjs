// What is shown of an exchange equals it except for placeholders, and these stand only where something
// was found.
import assert from 'node:assert/strict';

const PLACEHOLDER = /\[\[secret:[a-z0-9-]+:k\d+:[A-Z2-7]{26}\]\]/;

// The string that was sent, with pieces of it replaced; false if anything else differs.
function matches(shown, sent) {
  const pieces = shown.split(PLACEHOLDER);
  const last = pieces.at(-1);
  if (!sent.startsWith(pieces[0]) || !sent.endsWith(last)) return false;
  let at = pieces[0].length;
  for (const piece of pieces.slice(1, -1)) {
    const found = sent.indexOf(piece, at + 1);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return pieces.length === 1 ? shown === sent : at < sent.length - last.length;
}

// Puts what was sent in the place of strings that equal it but for placeholders.
function filledIn(shown, sent) {
  if (typeof shown === 'string' && typeof sent === 'string') return matches(shown, sent) ? sent : shown;
  if (!shown || !sent || typeof shown !== 'object' || typeof sent !== 'object') return shown;
  if (Array.isArray(shown)) return shown.map((v, i) => filledIn(v, sent[i]));
  return Object.fromEntries(Object.entries(shown).map(([k, v]) => [k, filledIn(v, sent[k])]));
}

// `findings`: how many the log has of the exchange. Without any, it is identity.
export function assertShown(shown, sent, findings) {
  assert.deepEqual(findings > 0 ? filledIn(shown, sent) : shown, sent);
}
