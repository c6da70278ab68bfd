// Places in an answer: between what stands on the page (text nodes, rendered or as written) and its characters.
// The answer counts characters in code points, as the server does; the page's text counts UTF-16 units, and spells
// characters out that nobody would see (⟨U+200B⟩).

// What Markdown takes away where an element begins or ends: a text that is there again would be found in it.
const FENCE = /[\s>*+\-\d.)]*(?:`{3,}|~{3,})[^\n]*\n/y;
const ITEM = /[\s>]*(?:[-+*]|\d{1,9}[.)])[ \t]+/y;
const HEADING = /[\s>]*#{1,6}[ \t]+/y;
const TARGET = /[*_`~]*\]\((?:<[^>\n]*>|(?:[^()\s\\]|\\.|\([^()\s]*\))*)(?:\s+(?:"[^"]*"|'[^']*'|\([^)]*\)))?\s*\)/y;
const RULE = /[^\n]*\n[ \t>]*\|?[ \t]*:?-+[^\n]*(?:\n|$)/y;
const FORMULA = /\s*(?:\$\$[\s\S]*?\$\$|\\\([\s\S]*?\\\)|\\\[[\s\S]*?\\\]|\$[^$]*\$)/y;
const BEFORE = { PRE: FENCE, LI: ITEM, H1: HEADING, H2: HEADING, H3: HEADING, H4: HEADING, H5: HEADING, H6: HEADING };
const AFTER = { A: TARGET, THEAD: RULE };
const NEAR = 200;

const known = new WeakMap();

// Where each character of the answer begins in `part.text`, and last where it ends.
export function startsOf(part) {
  if (!known.has(part)) known.set(part, startsFound(part));
  return known.get(part);
}

function startsFound(part) {
  const spelled = new Set(part.spelled);
  const found = [];
  for (let at = 0, n = 0; at < part.text.length; n += 1) {
    found.push(at);
    if (spelled.has(n)) at = part.text.indexOf("⟩", at) + 1;
    else at += part.text.codePointAt(at) > 0xffff ? 2 : 1;
  }
  return [...found, part.text.length];
}

// The characters of the answer that hold a stretch of `part.text`.
export function charactersOf(part, [from, to]) {
  const starts = startsOf(part);
  return { start: lastUpTo(starts, from), end: firstFrom(starts, to) };
}

function lastUpTo(starts, at) {
  let low = 0;
  for (let high = starts.length - 1; low < high; ) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= at) low = middle;
    else high = middle - 1;
  }
  return low;
}

function firstFrom(starts, at) {
  const below = lastUpTo(starts, at);
  return starts[below] === at ? below : below + 1;
}

// What of the page is which stretch of `source`: {node, from, to, at}, in the order of the page. A formula is one
// piece, {node, at, end}, since it is drawn otherwise than it is written.
export function pieces(box, source) {
  const found = [];
  let at = 0;

  function skip(pattern) {
    if (!pattern) return false;
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (match) at = pattern.lastIndex;
    return Boolean(match);
  }

  function visit(node) {
    if (node.nodeType === Node.TEXT_NODE) return text(node);
    if (node.classList?.contains("otherwise")) return undefined;
    if (node.localName === "math") return formula(node);
    skip(BEFORE[node.tagName]);
    node.childNodes.forEach(visit);
    skip(AFTER[node.tagName]);
    return undefined;
  }

  function formula(node) {
    const from = at;
    if (skip(FORMULA)) found.push({ node, at: from + source.slice(from, at).search(/\S/), end: at });
  }

  // A text stands in the source as it is, but for code whose lines were indented there, and escaped bars in tables.
  function text(node) {
    const said = node.data;
    if (source.startsWith(said, at)) return take(node, 0, said.length, at);
    if (!said.trim() && !node.parentNode.classList.contains("kept")) return undefined;
    const there = source.indexOf(said, at);
    if (there >= 0 && there - at <= NEAR) return take(node, 0, said.length, there);
    for (const line of said.matchAll(/[^\n]+/g)) lineOf(node, line.index, line[0]);
    return undefined;
  }

  function lineOf(node, from, line) {
    const there = source.indexOf(line, at);
    if (there >= 0 && there - at <= NEAR) return take(node, from, from + line.length, there);
    for (let n = 0; n < line.length; n += 1) {
      const letter = source.indexOf(line[n], at);
      if (letter >= 0 && letter - at <= NEAR) take(node, from + n, from + n + 1, letter);
    }
    return undefined;
  }

  function take(node, from, to, there) {
    if (to > from) found.push({ node, from, to, at: there });
    at = there + to - from;
  }

  visit(box);
  return found;
}

// The stretch of the source that a selection of the page covers, or null for none.
export function stretchOf(found, range) {
  let from = Infinity;
  let to = 0;
  for (const piece of found) {
    if (!range.intersectsNode(piece.node)) continue;
    const [start, end] = within(piece, range);
    if (start >= end) continue;
    from = Math.min(from, start);
    to = Math.max(to, end);
  }
  return from < to ? [from, to] : null;
}

function within(piece, range) {
  if (piece.end) return [piece.at, piece.end];
  const start = range.startContainer === piece.node ? Math.max(piece.from, range.startOffset) : piece.from;
  const end = range.endContainer === piece.node ? Math.min(piece.to, range.endOffset) : piece.to;
  return [piece.at + start - piece.from, piece.at + end - piece.from];
}

// The stretches of one piece that begin and end where one of `cuts` does, last first: those before stay in place
// while they are wrapped.
export function stretchesIn(piece, cuts) {
  const end = piece.end ?? piece.at + piece.to - piece.from;
  if (piece.end) return [[piece.at, end]];
  const points = [piece.at, ...cuts.filter((cut) => cut > piece.at && cut < end), end];
  const ordered = [...new Set(points)].sort((a, b) => a - b);
  return ordered.slice(1).map((to, n) => [ordered[n], to]).reverse();
}
