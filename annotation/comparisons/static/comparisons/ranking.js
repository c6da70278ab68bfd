// The page's parts where three answers or more are put in order; what it shares with pairs is in page.js. The
// answers stay where they are: what moves is their letters, in one row, best first: B > A = C.

import { begun, dropped, levelsOf, moved, orderOf, tied } from "./order.js";
import { marksDraw, marksOf, marksSet } from "./marks.js";
import { draw } from "./texts.js";
import * as pairs from "./page.js";

export { alertClear, alertKind, alertShow, announce, element, markScrollers, showEmpty, stateShow, toggleThread } from "./page.js";

const $ = pairs.element;
const all = (selector) => Array.from(document.querySelectorAll(selector));
const DRAG_PX = 6;

let order = [];
let picked = null; // the answer that keys and buttons move
let touched = false; // whether the order is a person's; until then it is the one in which the answers came
let asked = false; // whether they were asked if that order is theirs
let words = {};
let told = () => {};

const letter = (answer) => String.fromCharCode(65 + answer);

// `text` are the words of the page; `changed` is called when the order is another one.
export function orderBegin(text, changed) {
  words = text;
  told = changed;
  $("rank-up").addEventListener("click", () => step(null, -1));
  $("rank-down").addEventListener("click", () => step(null, 1));
  $("rank-same").addEventListener("click", same);
  $("order").addEventListener("click", (event) => {
    const chip = event.target.closest("[data-answer]");
    if (chip) pick(Number(chip.dataset.answer));
  });
  $("order").addEventListener("keydown", (event) => {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    step(null, by);
  });
  dragBegin();
}

export function readAnswer() {
  const said = all("#flags input:checked").map((input) => input.value);
  return {
    values: {},
    ranking: touched ? levelsOf(order) : [],
    both_bad: $("both-bad").checked,
    flags: said,
    rationale: $("rationale").value,
    reasons: all("#why input:checked").map((input) => input.value),
    spans: marksOf(),
  };
}

export function isEmpty(answer) {
  return !answer?.ranking?.length && pairs.isEmpty(answer);
}

export function writeAnswer(answer) {
  const { ranking = [], both_bad = false, flags = [], rationale = "", reasons = [], spans = [] } = answer || {};
  const count = all("#answers .pane").length;
  touched = ranking.length === count;
  order = touched ? orderOf(ranking) : begun(count);
  picked = null;
  asked = false;
  drawOrder();
  $("both-bad").checked = both_bad;
  for (const input of all("#flags input")) input.checked = flags.includes(input.value);
  for (const input of all("#why input")) input.checked = reasons.includes(input.value);
  $("rationale").value = rationale;
  marksSet(spans);
  $("why").open = Boolean(rationale || reasons.length);
  countExtras();
}

export const countExtras = pairs.countExtras;

// An order in which nobody has moved anything is asked about once: it may be right as it came.
export function missing() {
  if (touched) return "";
  if (asked) {
    touched = true;
    return "";
  }
  asked = true;
  $("order").classList.add("is-missing");
  return words.rank_first;
}

export function missingFocus() {
  $("order").querySelector("[data-answer]").focus();
}

// ---------- the order ----------

// Called by the number of an answer: from then on keys and buttons move it.
export function choose(_, value) {
  if (value <= all("#answers .pane").length) pick(value - 1);
}

function pick(answer) {
  picked = picked === answer ? null : answer;
  drawOrder();
  if (picked === null) return pairs.announce(words.put_down.replace("{a}", letter(answer)));
  showSide(answer);
  return pairs.announce(words.picked.replace("{a}", placeSays(answer)));
}

export function step(_, by) {
  if (!hasPicked()) return;
  set(moved(order, picked, by));
}

export function same() {
  if (!hasPicked()) return;
  set(tied(order, picked));
}

function hasPicked() {
  if (picked !== null) return true;
  pairs.stateShow(words.pick_first, "attention");
  pairs.announce(words.pick_first);
  return false;
}

function set(next) {
  order = next;
  touched = true;
  drawOrder();
  pairs.stateShow("");
  pairs.announce(`${placeSays(picked)}. ${orderSays()}`);
  told();
}

function orderSays() {
  const levels = order.map((level) => level.map(letter).join(` ${words.and_equal} `));
  return words.order.replace("{order}", levels.join(`, ${words.then} `));
}

function placeSays(answer) {
  const place = order.findIndex((level) => level.includes(answer));
  const others = order[place].filter((other) => other !== answer).map(letter);
  const says = words.place.replace("{a}", letter(answer)).replace("{n}", place + 1).replace("{of}", order.length);
  return others.length ? `${says}, ${words.equal_with.replace("{others}", others.join(", "))}` : says;
}

function drawOrder() {
  const list = $("order");
  const focused = list.contains(document.activeElement);
  const rows = order.flatMap((level, place) => level.map((answer, n) => row(answer, place, n)));
  list.replaceChildren(...rows);
  list.classList.toggle("is-unset", !touched);
  list.classList.remove("is-missing");
  for (const pane of all("#answers .pane")) pane.classList.toggle("is-picked", Number(pane.dataset.answer) === picked);
  if (focused && picked !== null) list.querySelector(`[data-answer="${picked}"]`).focus({ preventScroll: true });
}

function row(answer, place, n) {
  const item = document.createElement("li");
  if (place || n) {
    const sign = document.createElement("span");
    sign.className = "order__sign";
    sign.setAttribute("aria-hidden", "true");
    sign.textContent = n ? "=" : ">";
    item.append(sign);
  }
  const chip = document.createElement("button");
  chip.type = "button";
  chip.className = "order__chip";
  chip.dataset.answer = answer;
  chip.textContent = letter(answer);
  chip.setAttribute("aria-label", placeSays(answer));
  chip.setAttribute("aria-pressed", String(answer === picked));
  item.append(chip);
  return item;
}

// By pointer: onto another letter is beside it, onto its middle is the same level.
function dragBegin() {
  let drag = null;
  const list = $("order");
  list.addEventListener("pointerdown", (event) => {
    const chip = event.target.closest("[data-answer]");
    if (chip && event.isPrimary && event.button === 0) drag = { answer: Number(chip.dataset.answer), x: event.clientX, y: event.clientY, on: false };
  });
  addEventListener("pointermove", (event) => {
    if (!drag) return;
    drag.on ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > DRAG_PX;
    if (!drag.on) return;
    list.querySelector(`[data-answer="${drag.answer}"]`)?.classList.add("is-dragged");
    const aim = aimOf(event, drag.answer);
    for (const chip of all("#order [data-where]")) delete chip.dataset.where;
    if (aim) list.querySelector(`[data-answer="${aim.target}"]`).dataset.where = aim.where;
  });
  addEventListener("pointerup", (event) => {
    const done = drag;
    drag = null;
    if (!done?.on) return;
    // The click that ends a drag picks nothing up.
    const swallow = (click) => click.stopPropagation();
    addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => removeEventListener("click", swallow, { capture: true }));
    picked = done.answer;
    const aim = aimOf(event, done.answer);
    if (aim) set(dropped(order, done.answer, aim.target, aim.where));
    else drawOrder();
  });
  addEventListener("pointercancel", () => {
    if (drag) drawOrder();
    drag = null;
  });
}

function aimOf(event, answer) {
  const chips = all("#order [data-answer]").filter((chip) => Number(chip.dataset.answer) !== answer);
  const box = $("order").getBoundingClientRect();
  if (event.clientY < box.top - 40 || event.clientY > box.bottom + 40) return null;
  const near = chips
    .map((chip) => ({ chip, at: chip.getBoundingClientRect() }))
    .map(({ chip, at }) => ({ chip, at, far: Math.hypot(event.clientX - (at.left + at.right) / 2, event.clientY - (at.top + at.bottom) / 2) }))
    .sort((a, b) => a.far - b.far)[0];
  if (!near) return null;
  const part = (event.clientX - near.at.left) / near.at.width;
  return { target: Number(near.chip.dataset.answer), where: part < 0.25 ? "before" : part > 0.75 ? "after" : "same" };
}

// ---------- the answers ----------

export function showItem(item, text) {
  drawTexts(item, text);
  $("toggle-thread").hidden = item.messages.length === 1;
  pairs.toggleThread(item.messages.length > 1);
  $("prompt").scrollTop = 0;
  $("thread").scrollTop = 0;
  item.answers.forEach((answer, place) => {
    const box = $(`answer-${place}`);
    box.classList.toggle("is-cut", !answer.ended);
    box.dataset.cut = answer.ended ? "" : text.cut;
    box.dataset.empty = answer.text.trim() ? "" : text.empty;
    $(`pane-${place}`).scrollTop = 0;
  });
  $("answers").scrollTop = 0;
  for (const id of ["flags", "why"]) $(id).open = false;
  showSide(0);
  $("empty").hidden = true;
  $("item").hidden = false;
  pairs.markScrollers();
}

export function drawTexts(item, text) {
  pairs.drawPrompt(item, text);
  item.answers.forEach((answer, place) => draw($(`answer-${place}`), answer, () => {}));
  marksDraw(item, item.answers.map((part, place) => ({ side: String(place + 1), letter: letter(place), box: $(`answer-${place}`), part })));
  pairs.markScrollers();
}

// Where there is room for one answer alone, a tab shows it; where all are seen, it is brought into view.
export function showSide(answer) {
  $("answers").dataset.side = String(answer);
  for (const pane of all("#answers .pane")) pane.classList.toggle("is-shown", Number(pane.dataset.answer) === answer);
  for (const tab of all("#answer-tabs [role=tab]")) {
    const mine = Number(tab.dataset.answer) === answer;
    tab.setAttribute("aria-selected", String(mine));
    tab.tabIndex = mine ? 0 : -1;
  }
  if (!$("item").hidden) $(`pane-${answer}`).scrollIntoView({ block: "nearest", inline: "nearest" });
  pairs.markScrollers();
}

export function nextSide() {
  const count = all("#answers .pane").length;
  showSide((Number($("answers").dataset.side) + 1) % count);
}

export function tabsBegin() {
  const tabs = all("#answer-tabs [role=tab]");
  for (const tab of tabs) {
    const place = Number(tab.dataset.answer);
    tab.addEventListener("click", () => showSide(place));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.stopPropagation();
      const next = (place + by + tabs.length) % tabs.length;
      showSide(next);
      tabs[next].focus();
    });
  }
}

export const activeScale = () => null;
export const handOn = () => {};
export const changed = () => {};

export function setBothBad(on) {
  $("both-bad").checked = on;
}
