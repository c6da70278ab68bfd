// The page's parts: showing a pair, reading and setting the answer. No requests are made here.

import { wordDifferences } from "./diff.js";

const $ = (id) => document.getElementById(id);
const all = (selector) => Array.from(document.querySelectorAll(selector));

export const element = $;

// An answer in the order shown: {values: {overall: 1..7, ...}, both_bad, flags: ["unsafe:left"], rationale}.
export function emptyAnswer() {
  return { values: {}, both_bad: false, flags: [], rationale: "" };
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
  };
}

export function isEmpty(answer) {
  const { values = {}, both_bad, flags = [], rationale } = answer || {};
  return !Object.keys(values).length && !both_bad && !flags.length && !rationale;
}

export function writeAnswer(answer) {
  const given = { ...emptyAnswer(), ...answer };
  for (const fieldset of all("[data-criterion]")) {
    check(fieldset, given.values[fieldset.dataset.criterion] ?? null);
  }
  $("both-bad").checked = given.both_bad;
  for (const input of all("#flags input")) input.checked = given.flags.includes(input.value);
  $("rationale").value = given.rationale;
  $("why").open = Boolean(given.rationale);
  countExtras();
}

export function countExtras() {
  const flags = all("#flags input:checked").length;
  $("flags-count").textContent = flags ? `(${flags})` : "";
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

export function showItem(item, text) {
  const last = item.messages.length - 1;
  $("prompt").innerHTML = item.messages[last].html;
  $("prompt").scrollTop = 0;
  $("thread").replaceChildren(...item.messages.slice(0, -1).map((message) => threadRow(message, text)));
  $("toggle-thread").hidden = last === 0;
  toggleThread(false);
  for (const side of ["left", "right"]) {
    const pane = $(`pane-${side}`);
    $(side).innerHTML = item[side].html;
    $(side).classList.toggle("is-cut", !item[side].ended);
    $(side).dataset.cut = item[side].ended ? "" : text.cut;
    pane.scrollTop = 0;
  }
  $("diff").setAttribute("aria-pressed", "false");
  for (const id of ["criteria", "flags", "why"]) if ($(id)) $(id).open = false;
  showSide("left");
  $("overall").classList.remove("is-missing");
  $("empty").hidden = true;
  $("item").hidden = false;
  markScrollers();
}

// Code and tables too wide for their column scroll in a box of their own: the keyboard has to reach it.
export function markScrollers() {
  for (const box of all(".compare-item pre, .compare-item .prose table")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

function threadRow(message, text) {
  const row = document.createElement("li");
  const role = document.createElement("p");
  role.className = "thread__role";
  role.textContent = text.roles[message.role] || message.role;
  const body = document.createElement("div");
  body.className = "prose";
  body.dir = "auto";
  body.innerHTML = message.html; // rendered and cleaned by the server
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

// Marks the words that only one side has; false when the texts are too long for it.
export function toggleDifferences(item) {
  const on = $("diff").getAttribute("aria-pressed") !== "true";
  const pair = on ? wordDifferences(item.left.text, item.right.text) : null;
  if (on && !pair) return false;
  $("diff").setAttribute("aria-pressed", String(on));
  ["left", "right"].forEach((side, index) => {
    if (on) $(side).replaceChildren(marked(pair[index]));
    else $(side).innerHTML = item[side].html;
  });
  markScrollers();
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
      mark.textContent = piece.text;
      box.append(mark);
    }
  }
  return box;
}

export function showEmpty(sentence) {
  $("item").hidden = true;
  $("empty").hidden = false;
  $("empty-says").textContent = sentence;
}

export function alertShow(sentence) {
  $("alert").hidden = !sentence;
  $("alert-says").textContent = sentence || "";
}

export function announce(sentence) {
  $("announce").textContent = sentence;
}

export function stateShow(sentence, meaning = "") {
  $("save-state").textContent = sentence;
  $("save-state").dataset.meaning = meaning;
}
