// Parts of answers that are marked with a label: selected in the text by mouse or finger, or by keyboard in a dialog
// that has the text in a field; drawn in the text, listed and taken away in the dialog.

import { charactersOf, pieces, startsOf, stretchesIn, stretchOf } from "./places.js";

const $ = (id) => document.getElementById(id);
const MOST = 100;
const SETTLED_MS = 120;
const GAP_PX = 8;

let labels = [];
let words = {};
let told = () => {};
let announce = () => {};
let item = null; // whose answers are on the page
let sides = []; // {side, letter, box, part}
let readable = false; // whether the boxes show the texts, rather than their differences
let marks = []; // {side, start, end, label}, in characters of the answer
let chosen = null; // what the bar would mark: {side, start, end}

// `labels` are those of the campaign; without any nothing can be marked. `changed` is called at each change.
export function marksBegin({ names, text, changed, says }) {
  labels = names;
  words = text;
  told = changed;
  announce = says;
  if (!labels.length) return;
  let timer = 0;
  document.addEventListener("selectionchange", () => {
    clearTimeout(timer);
    timer = setTimeout(selected, SETTLED_MS);
  });
  for (const side of ["pointerdown", "mousedown"]) {
    $("mark-bar").addEventListener(side, (event) => event.preventDefault()); // the selection stays
  }
  $("mark-bar").addEventListener("click", (event) => barClicked(event.target.closest("button")));
  $("item").addEventListener("click", (event) => markClicked(event.target.closest(".marked")));
  for (const event of ["scroll", "resize"]) addEventListener(event, barHide, { capture: true, passive: true });
  dialogBegin();
}

export function marksOf() {
  return marks.map((mark) => ({ ...mark }));
}

// Marks that came with an answer or a draft; what is beyond a text, or of a label that is gone, is left out.
export function marksSet(given = []) {
  marks = given.filter(({ side, end, label }) => {
    const part = partOf(side);
    return part && labels.some(({ key }) => key === label) && end < startsOf(part).length;
  });
  paint();
}

// The texts of an item were drawn: `drawn` are its answers, `texts` whether as texts.
export function marksDraw(shown, drawn, texts = true) {
  if (shown !== item) marks = [];
  item = shown;
  sides = drawn;
  readable = texts;
  paint();
}

export function marksCount() {
  if ($("marks-count")) $("marks-count").textContent = marks.length ? `(${marks.length})` : "";
}

// By key: the dialog, with what is selected on the page.
export function marksOpen() {
  if (!labels.length || !item) return;
  const part = chosen ? { ...chosen } : null;
  barHide();
  dialogShow(part);
}

// The key of a label in the dialog; whether it was one.
export function marksKey(digit) {
  if (!labels[digit - 1]) return false;
  dialogMark(labels[digit - 1].key);
  return true;
}

function partOf(side) {
  return sides.find((each) => each.side === side)?.part;
}

function nameOf(key) {
  return labels.find((label) => label.key === key).name;
}

function quoteOf(mark) {
  const part = partOf(mark.side);
  const starts = startsOf(part);
  return part.text.slice(starts[mark.start], starts[mark.end]);
}

function shortened(text) {
  const line = text.replace(/\s+/g, " ").trim() || "␣";
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}

function says(mark) {
  const { letter } = sides.find((each) => each.side === mark.side);
  return words.mark_says.replace("{a}", letter).replace("{label}", nameOf(mark.label)).replace("{quote}", shortened(quoteOf(mark)));
}

function add(mark) {
  const same = (other) => other.side === mark.side && other.start === mark.start && other.end === mark.end && other.label === mark.label;
  if (marks.some(same)) return words.mark_there.replace("{says}", says(mark));
  if (marks.length >= MOST) return words.marks_full.replace("{n}", MOST);
  marks = [...marks, mark].sort((a, b) => a.side.localeCompare(b.side) || a.start - b.start || a.end - b.end);
  paint();
  told();
  return words.marked.replace("{says}", says(mark));
}

function remove(mark) {
  const sentence = words.unmarked.replace("{says}", says(mark));
  marks = marks.filter((other) => other !== mark);
  paint();
  told();
  return sentence;
}

// ---------- in the text ----------

function paint() {
  for (const each of sides) {
    unpaint(each.box);
    if (readable) paintSide(each);
  }
  marksCount();
}

function unpaint(box) {
  for (const mark of box.querySelectorAll(".marked")) mark.replaceWith(...mark.childNodes);
  box.normalize();
}

function paintSide({ side, box, part }) {
  const mine = marks.filter((mark) => mark.side === side);
  if (!mine.length) return;
  const starts = startsOf(part);
  const stretches = mine.map((mark) => ({ mark, from: starts[mark.start], to: starts[mark.end] }));
  const cuts = stretches.flatMap(({ from, to }) => [from, to]);
  for (const piece of pieces(box, part.text).reverse()) {
    for (const [from, to] of stretchesIn(piece, cuts)) {
      const over = stretches.filter((each) => each.from < to && each.to > from);
      if (over.length) wrap(piece, from, to, over);
    }
  }
}

function wrap(piece, from, to, over) {
  const top = over.at(-1).mark;
  const element = document.createElement("mark");
  element.className = `marked marked--${labels.find(({ key }) => key === top.label).colour}`;
  element.title = over.map(({ mark }) => nameOf(mark.label)).join(", ");
  element.dataset.marks = over.map(({ mark }) => marks.indexOf(mark)).join(" ");
  const ends = over.filter((each) => each.to === to).map(({ mark }) => labels.findIndex(({ key }) => key === mark.label) + 1);
  if (ends.length) element.dataset.n = ends.join(",");
  if (piece.end) {
    piece.node.replaceWith(element);
    element.append(piece.node);
    return;
  }
  const range = document.createRange();
  range.setStart(piece.node, piece.from + from - piece.at);
  range.setEnd(piece.node, piece.from + to - piece.at);
  range.surroundContents(element);
}

// ---------- the bar beside what is selected ----------

function selected() {
  const selection = document.getSelection();
  const range = selection.rangeCount && !selection.isCollapsed ? selection.getRangeAt(0) : null;
  const within = range && sides.find(({ box }) => box.contains(range.startContainer) || box.contains(range.endContainer));
  if (!within) {
    if (chosen) barHide();
    return;
  }
  if (!readable) return;
  const stretch = stretchOf(pieces(within.box, within.part.text), range);
  if (!stretch) return;
  chosen = { side: within.side, ...charactersOf(within.part, stretch) };
  const buttons = labels.map(button);
  barShow(words.mark_as, buttons, range.getBoundingClientRect());
}

function markClicked(element) {
  if (!element || !document.getSelection().isCollapsed) return;
  const over = element.dataset.marks.split(" ").map((n) => marks[Number(n)]);
  const buttons = over.map((mark) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "button button--small";
    made.dataset.remove = marks.indexOf(mark);
    made.textContent = words.remove_mark.replace("{label}", nameOf(mark.label));
    return made;
  });
  barShow(words.mark_here, buttons, element.getBoundingClientRect());
}

function button({ key, name, colour, help }) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = `button button--small swatched swatched--${colour}`;
  made.dataset.label = key;
  made.title = help;
  made.textContent = name;
  return made;
}

function barClicked(pressed) {
  if (!pressed) return;
  if (pressed.dataset.remove) announce(remove(marks[Number(pressed.dataset.remove)]));
  else if (chosen) {
    announce(add({ ...chosen, label: pressed.dataset.label }));
    document.getSelection().removeAllRanges();
  }
  barHide();
}

function barShow(sentence, buttons, at) {
  const bar = $("mark-bar");
  $("mark-bar-says").textContent = sentence;
  $("mark-bar-buttons").replaceChildren(...buttons);
  bar.hidden = false;
  const { width, height } = bar.getBoundingClientRect();
  const below = at.bottom + GAP_PX;
  const top = below + height < innerHeight ? below : Math.max(GAP_PX, at.top - height - GAP_PX);
  bar.style.top = `${top}px`;
  bar.style.left = `${Math.max(GAP_PX, Math.min(at.left, innerWidth - width - GAP_PX))}px`;
}

function barHide() {
  chosen = null;
  $("mark-bar").hidden = true;
}

// ---------- the dialog ----------

function dialogBegin() {
  $("open-marks").addEventListener("click", marksOpen);
  // Nothing is written here: the field is one for its cursor, by which a keyboard selects.
  for (const kind of ["beforeinput", "drop", "paste"]) {
    $("mark-text").addEventListener(kind, (event) => event.preventDefault());
  }
  for (const radio of document.querySelectorAll("[name=mark-side]")) {
    radio.addEventListener("change", () => dialogText(radio.value));
  }
  for (const made of document.querySelectorAll("#mark-dialog [data-label]")) {
    made.addEventListener("click", () => dialogMark(made.dataset.label));
  }
  $("mark-list").addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-remove]");
    if (!pressed) return;
    dialogSays(remove(marks[Number(pressed.dataset.remove)]));
    dialogList();
    ($("mark-list").querySelector("button") || $("mark-text")).focus();
  });
}

function dialogShow(part) {
  const shown = part?.side ?? sides.find(({ box }) => box.offsetParent)?.side ?? sides[0].side;
  document.querySelector(`[name=mark-side][value="${shown}"]`).checked = true;
  dialogText(shown);
  if (part) {
    const starts = startsOf(partOf(shown));
    const { text } = partOf(shown);
    $("mark-text").setSelectionRange(inField(text, starts[part.start]), inField(text, starts[part.end]));
  }
  dialogSays("");
  dialogList();
  $("mark-dialog").showModal();
  $("mark-text").focus();
}

function dialogText(side) {
  $("mark-text").value = partOf(side).text;
  $("mark-text").setSelectionRange(0, 0);
}

function dialogMark(label) {
  const { side } = sides.find((each) => document.querySelector(`[name=mark-side][value="${each.side}"]`).checked);
  const { text } = partOf(side);
  const field = $("mark-text");
  const from = inText(text, field.selectionStart);
  const to = inText(text, field.selectionEnd);
  if (from >= to) {
    dialogSays(words.select_first);
    field.focus();
    return;
  }
  dialogSays(add({ side, ...charactersOf(partOf(side), [from, to]), label }));
  dialogList();
}

function dialogSays(sentence) {
  $("mark-says").textContent = sentence;
}

function dialogList() {
  const rows = marks.map((mark, n) => {
    const row = document.createElement("li");
    const what = document.createElement("span");
    what.dir = "auto";
    what.textContent = says(mark);
    const away = document.createElement("button");
    away.type = "button";
    away.className = "button button--quiet button--small";
    away.dataset.remove = n;
    away.textContent = words.remove;
    away.setAttribute("aria-label", words.remove_this.replace("{says}", says(mark)));
    row.append(what, away);
    return row;
  });
  $("mark-list").replaceChildren(...rows);
  $("mark-none").hidden = marks.length > 0;
}

// A field has one character for the two of a line that ends with \r\n.
function inField(text, at) {
  return text.slice(0, at).replaceAll("\r\n", "\n").length;
}

function inText(text, place) {
  let at = 0;
  for (let n = 0; n < place; n += 1) at += text.startsWith("\r\n", at) ? 2 : 1;
  return at;
}
