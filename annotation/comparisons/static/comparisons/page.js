// The page's parts: showing a pair, reading and setting the answer. No requests are made here.

import { marksCount, marksDraw, marksOf, marksSet } from "./marks.js";
import { draw, drawDifferences } from "./texts.js";

const $ = (id) => document.getElementById(id);
const all = (selector) => Array.from(document.querySelectorAll(selector));

export const element = $;

// An answer in the order shown: {values: {overall: 1..7, ...}, both_bad, flags: ["unsafe:left"], rationale,
// reasons: ["clear"], spans: [{side: "left", start, end, label}]}.
export function emptyAnswer() {
  return { values: {}, both_bad: false, flags: [], rationale: "", reasons: [], spans: [] };
}

function checkedValue(fieldset) {
  const input = fieldset.querySelector("input:checked");
  return input ? Number(input.value) : null;
}

function check(fieldset, value) {
  for (const input of fieldset.querySelectorAll("input")) input.checked = Number(input.value) === value;
}

export function readAnswer() {
  const values = {};
  for (const fieldset of all("[data-criterion]")) {
    const value = checkedValue(fieldset);
    if (value !== null) values[fieldset.dataset.criterion] = value;
  }
  return {
    values,
    both_bad: $("both-bad").checked,
    flags: all("#flags input:checked").map((input) => input.value),
    rationale: $("rationale").value,
    reasons: all("#why input:checked").map((input) => input.value),
    spans: marksOf(),
  };
}

export function isEmpty(answer) {
  const { values = {}, both_bad, flags = [], rationale, reasons = [], spans = [] } = answer || {};
  return !Object.keys(values).length && !both_bad && !flags.length && !rationale && !reasons.length && !spans.length;
}

export function writeAnswer(answer) {
  const given = { ...emptyAnswer(), ...answer };
  for (const fieldset of all("[data-criterion]")) {
    check(fieldset, given.values[fieldset.dataset.criterion] ?? null);
  }
  $("both-bad").checked = given.both_bad;
  for (const input of all("#flags input")) input.checked = given.flags.includes(input.value);
  for (const input of all("#why input")) input.checked = given.reasons.includes(input.value);
  $("rationale").value = given.rationale;
  marksSet(given.spans);
  $("why").open = Boolean(given.rationale || given.reasons.length);
  countExtras();
}

export function countExtras() {
  const flags = all("#flags input:checked").length;
  $("flags-count").textContent = flags ? `(${flags})` : "";
  const reasons = all("#why input:checked").length;
  $("why-count").textContent = reasons ? `(${reasons})` : "";
  marksCount();
  if ($("criteria")) {
    const given = all("#criteria input:checked").length;
    $("criteria-count").textContent = `(${given} / ${all("#criteria [data-criterion]").length})`;
  }
}

// The scale that keys act on: the criterion that has the focus, else the overall one.
export function activeScale() {
  return document.activeElement?.closest?.("[data-criterion]") || $("overall");
}

export function choose(scale, value) {
  check(scale, value);
  if (scale === document.activeElement?.closest?.("[data-criterion]")) {
    scale.querySelector("input:checked")?.focus();
  }
  changed(scale);
}

// A criterion answered by its number hands the keys on to the next one, the last to the overall scale.
export function handOn(scale) {
  const criteria = all("#criteria [data-criterion]");
  const place = criteria.indexOf(scale);
  if (place < 0) return;
  const next = criteria[place + 1];
  if (next) (next.querySelector("input:checked") || next.querySelector("input")).focus();
  else document.activeElement.blur();
}

export function changed(scale) {
  // Both bad stands beside the tie; a preference takes it away.
  if (scale === $("overall") && checkedValue(scale) !== 4) $("both-bad").checked = false;
  $("overall").classList.remove("is-missing");
}

// The chosen step of the overall scale in words.
export function chosenSays() {
  return $("overall").querySelector("input:checked").getAttribute("aria-label");
}

export function step(scale, by) {
  const now = checkedValue(scale);
  choose(scale, Math.min(7, Math.max(1, (now ?? 4) + by)));
}

export function setBothBad(on) {
  $("both-bad").checked = on;
  if (on) {
    check($("overall"), 4);
    $("overall").classList.remove("is-missing");
  }
}

// What is still to be said before an answer can be sent, in words; empty when nothing is.
export function missing(answer, text) {
  if (answer.values.overall) return "";
  $("overall").classList.add("is-missing");
  return text.choose_first;
}

export function missingFocus() {
  $("overall").querySelector("input").focus();
}

export function nextSide() {
  showSide($("pair").dataset.side === "left" ? "right" : "left");
}

export function showItem(item, text) {
  drawTexts(item, text);
  // What was said before belongs to the question: a system prompt or earlier turns are open at once.
  $("toggle-thread").hidden = item.messages.length === 1;
  toggleThread(item.messages.length > 1);
  $("prompt").scrollTop = 0;
  $("thread").scrollTop = 0;
  for (const side of ["left", "right"]) {
    $(side).classList.toggle("is-cut", !item[side].ended);
    $(side).dataset.cut = item[side].ended ? "" : text.cut;
    $(side).dataset.empty = item[side].text.trim() ? "" : text.empty;
    $(`pane-${side}`).scrollTop = 0;
  }
  for (const id of ["criteria", "flags", "why"]) if ($(id)) $(id).open = false;
  showSide("left");
  $("overall").classList.remove("is-missing");
  $("empty").hidden = true;
  talkHide();
  $("item").hidden = false;
  markScrollers();
}

// The texts of an item, rendered or as they were written.
export function drawTexts(item, text) {
  const differs = () => toggleDifferences(item, true);
  drawPrompt(item, text, differs);
  for (const side of ["left", "right"]) draw($(side), item[side], differs);
  $("diff").setAttribute("aria-pressed", "false");
  marksDraw(item, answersOf(item));
  markScrollers();
}

function answersOf(item) {
  return [["left", "A"], ["right", "B"]].map(([side, letter]) => ({ side, letter, box: $(side), part: item[side] }));
}

export function drawPrompt(item, text, differs = () => {}) {
  draw($("prompt"), item.messages.at(-1), differs);
  $("thread").replaceChildren(...item.messages.slice(0, -1).map((message) => threadRow(message, text)));
}

// Code and tables too wide for their column scroll in a box of their own: the keyboard has to reach it.
export function markScrollers() {
  for (const box of all(".compare-item pre, .compare-item .prose table")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

export function threadRow(message, text) {
  const row = document.createElement("li");
  const role = document.createElement("p");
  role.className = "thread__role";
  role.textContent = text.roles[message.role] || message.role;
  const body = document.createElement("div");
  body.className = "prose";
  body.dir = "auto";
  draw(body, message);
  row.append(role, body);
  return row;
}

export function toggleThread(on = $("thread").hidden) {
  $("thread").hidden = !on;
  markScrollers();
  $("toggle-thread").setAttribute("aria-expanded", String(on));
}

export function showSide(side) {
  $("pair").dataset.side = side;
  for (const each of ["left", "right"]) {
    $(`tab-${each}`).setAttribute("aria-selected", String(each === side));
    $(`tab-${each}`).tabIndex = each === side ? 0 : -1;
  }
  markScrollers();
}

// The two tabs of a narrow screen.
export function tabsBegin() {
  for (const side of ["left", "right"]) {
    $(`tab-${side}`).addEventListener("click", () => showSide(side));
    $(`tab-${side}`).addEventListener("keydown", (event) => {
      if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
      event.stopPropagation();
      const other = side === "left" ? "right" : "left";
      showSide(other);
      $(`tab-${other}`).focus();
    });
  }
}

// Marks the words that only one side has; false when the texts are too long for it.
export function toggleDifferences(item, on = $("diff").getAttribute("aria-pressed") !== "true") {
  const boxes = { left: $("left"), right: $("right") };
  if (on && !drawDifferences(boxes, item)) return false;
  const differs = () => toggleDifferences(item, true);
  if (!on) for (const side of ["left", "right"]) draw(boxes[side], item[side], differs);
  $("diff").setAttribute("aria-pressed", String(on));
  marksDraw(item, answersOf(item), !on);
  markScrollers();
  return true;
}

export function showEmpty(sentence) {
  talkHide();
  $("item").hidden = true;
  $("empty").hidden = false;
  $("empty-says").textContent = sentence;
}

function talkHide() {
  if ($("talk")) $("talk").hidden = true;
}

// One sentence at a time, of a kind ("signed out", "surplus", "refused"): what is over takes its own away.
export function alertShow(sentence, kind = "") {
  $("alert").hidden = !sentence;
  $("alert").dataset.kind = kind;
  $("alert-says").textContent = sentence || "";
  $("alert-sign-in").hidden = kind !== "signed out";
}

export function alertKind() {
  return $("alert").hidden ? "" : $("alert").dataset.kind;
}

export function alertClear(kind) {
  if (alertKind() === kind) alertShow("");
}

export function announce(sentence) {
  $("announce").textContent = sentence;
}

export function stateShow(sentence, meaning = "") {
  $("save-state").textContent = sentence;
  $("save-state").dataset.meaning = meaning;
}
