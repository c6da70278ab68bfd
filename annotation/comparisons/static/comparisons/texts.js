// A prompt or an answer on the page: rendered by the server, or as it was written, with spaces at the end of
// a line and tabs to be seen.

import { wordDifferences } from "./diff.js";

const UNSEEN = /\t|[^\S\n\t]+(?=\n|$)|[\u00a0\u2000-\u200a\u202f\u205f\u3000]/g;
const GLYPHS = { "\t": "→\t", "\n": "↵\n", "\r": "␍" };

const ALIKE = "аеорсухіјѕԁһԛԝАВЕКМНОРСТХУІЈЅҮΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρ";

let raw = false;
let says = {};

// `words` are those of the page; `asWritten` whether texts are shown as they were written.
export function textsBegin(words, asWritten) {
  says = words;
  raw = asWritten;
}

export function isRaw() {
  return raw;
}

export function rawSet(on) {
  raw = on;
}

// Shows {html, text} in `box`; `differs` is called by the mark at a place that only looks alike.
export function draw(box, part, differs) {
  box.classList.toggle("is-raw", raw);
  if (raw) box.replaceChildren(rawBox(part.text));
  else box.innerHTML = part.html; // rendered and cleaned by the server
  for (const mark of box.querySelectorAll(".otherwise")) mark.replaceWith(otherwise(differs));
}

function otherwise(differs) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "otherwise";
  button.textContent = says.otherwise;
  button.addEventListener("click", differs);
  return button;
}

function rawBox(text) {
  const box = document.createElement("div");
  box.className = "raw";
  box.dir = "auto";
  let from = 0;
  for (const found of text.matchAll(UNSEEN)) {
    box.append(text.slice(from, found.index), unseen(found[0]));
    from = found.index + found[0].length;
  }
  box.append(text.slice(from));
  return box;
}

// Spaces that the eye would miss, on a ground of their own.
function unseen(text) {
  const span = document.createElement("span");
  span.className = text === "\t" ? "unseen unseen--tab" : "unseen";
  span.textContent = text;
  return span;
}

// Both answers with the words marked that only one has; false when the texts are too long for it.
export function drawDifferences(boxes, item) {
  const pair = wordDifferences(item.left.text, item.right.text);
  if (!pair) return false;
  ["left", "right"].forEach((side, index) => {
    boxes[side].classList.remove("is-raw");
    boxes[side].replaceChildren(marked(pair[index]));
  });
  return true;
}

function marked(pieces) {
  const box = document.createElement("div");
  box.className = "words";
  box.dir = "auto";
  for (const piece of pieces) {
    if (!piece.only) box.append(piece.text);
    else {
      const mark = document.createElement("mark");
      mark.textContent = piece.text.trim() ? named(piece.text) : spaces(piece.text);
      box.append(mark);
    }
  }
  return box;
}

function spaces(text) {
  return text.replace(/[\t\n\r]/g, (each) => GLYPHS[each]).replace(/[^\S\n\r\t]/g, (each) => (each === " " ? "·" : code(each)));
}

// A letter of another alphabet than the word around it looks like one of that word: its number is shown.
function named(text) {
  const latin = /[a-z]/i.test(text) && /[\p{Script=Cyrillic}\p{Script=Greek}]/u.test(text);
  const foreign = latin || [...text].every((each) => ALIKE.includes(each)) ? /[\p{Script=Cyrillic}\p{Script=Greek}\p{M}\u200c\u200d\ufe00-\ufe0f]/gu : /[\p{M}\u200c\u200d\ufe00-\ufe0f]/gu;
  return text.replace(foreign, (each) => each + code(each));
}

function code(character) {
  return `⟨U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
}
