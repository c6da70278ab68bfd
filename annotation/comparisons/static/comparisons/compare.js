// The compare page: shows a pair, takes the answer, shows the next one at once (it was fetched before), and
// sends what was said from an outbox that survives a closed tab.

import { Ahead } from "./ahead.js";
import { newKey, post, Refused, SignedOut } from "./api.js";
import { Countdown } from "./countdown.js";
import { Drafts } from "./drafts.js";
import { Guidelines } from "./guidelines.js";
import { listen } from "./keys.js";
import { Outbox } from "./outbox.js";
import * as page from "./page.js";
import { read, write } from "./storage.js";

const config = JSON.parse(page.element("compare-config").textContent);
const { text } = config;
const $ = page.element;
const own = `outerloop:${config.user}:${config.campaign}:`;
const LOOK_AGAIN_MS = 20_000;
// A second click of a double click, or a key that bounces, is no answer to a pair that has just come.
const UNREAD_MS = 300;

let current = null; // the pair on the page
let last = null; // the pair answered last, {item, answer}
let progress = config.progress;
let shownAt = 0;
let hiddenMs = 0;
let lookAgain = 0;
const leaving = new Map(); // pairs whose answers are on their way, by id

const drafts = new Drafts(`${own}draft:`, ({ state, at, item }) => {
  if (item && item !== current?.id) return;
  if (state === "saved") page.stateShow(text.saved.replace("{time}", clock(at)));
  else if (state === "local") page.stateShow(text.local, "attention");
  else page.stateShow(text.saving);
});

const outbox = new Outbox(`${own}outbox`, {
  told({ waiting, signedOut }) {
    if (signedOut) page.alertShow(text.signed_out);
    else if (waiting) page.stateShow(text.waiting.replace("{n}", waiting), "attention");
  },
  sent(entry, answer) {
    leaving.delete(entry.assignment);
    // What waits behind it is not in the server's figure yet.
    progress = { ...answer.progress, today: answer.progress.today + outbox.counted() };
    showProgress();
    if (ahead.short) refill(); // the server may have held back while this one was on its way
  },
  refused(entry, error) {
    page.alertShow(`${text.refused} ${error.message}`);
    // What was answered and not taken is not counted; the server's own figure comes with the next answer.
    if (entry.counted) progress.today -= 1;
    showProgress();
    if (error.status === 400 && entry.body.values) comeBack(entry);
  },
});

const ahead = new Ahead({
  urls: config.urls,
  leaseMs: config.lease_seconds * 1000,
  around: () => ({ shown: current, leaving: outbox.entries.map((entry) => entry.assignment) }),
  told: (count) => ($("item").dataset.ahead = String(count)),
});

const countdown = new Countdown({ box: $("undo-clock"), words: $("undo-says"), over: () => outbox.release() });

const guidelines = new Guidelines({
  current: config.guidelines,
  url: config.urls.acknowledge,
  text,
  acknowledged: () => (current ? refill() : showWaiting()),
});

function clock(time) {
  return time.toLocaleTimeString(config.language, { hour: "2-digit", minute: "2-digit" });
}

function showProgress() {
  const median = progress.median_seconds;
  $("progress").textContent = text.progress.replace("{n}", progress.today).replace("{goal}", progress.goal);
  $("median").textContent = median ? ` · ${text.median.replace("{s}", Math.round(median))}` : "";
}

// ---------- the queue ----------

// Ask for the pairs that are missing, and show one where none is.
async function refill() {
  const says = await ask();
  if (current) return;
  const item = ahead.take();
  if (item) show(item);
  else nothingThere(says || (outbox.entries.length ? text.looking : text.nothing));
}

async function ask() {
  const quiet = outbox.entries.length ? null : outbox.added;
  try {
    const answer = await ahead.fetch(current ? null : read(`${own}open`));
    // A figure counted while an answer was on its way may or may not hold it.
    if (quiet === outbox.added) progress = answer.progress;
    showProgress();
    return answer.guidelines ? guidelines.arrived(answer.guidelines) : answer.says;
  } catch (error) {
    if (error instanceof SignedOut) page.alertShow(text.signed_out);
    else if (error instanceof Refused) return error.message;
    return text.unreachable;
  }
}

function showWaiting() {
  current = null;
  page.showEmpty(text.looking);
  return refill();
}

function nothingThere(says) {
  page.showEmpty(says);
  page.announce(says);
  clearTimeout(lookAgain);
  lookAgain = setTimeout(() => current || showWaiting(), LOOK_AGAIN_MS);
}

function show(item, answer = null) {
  current = item;
  clearTimeout(lookAgain);
  page.showItem(item, text);
  const draft = answer ? null : drafts.newest(item);
  page.writeAnswer(answer || draft?.answer);
  if (draft && !page.isEmpty(draft.answer)) page.stateShow(text.restored.replace("{time}", clock(new Date(draft.at))));
  else if (!outbox.entries.length) page.stateShow(answer ? text.reopened : "");
  shownAt = performance.now();
  hiddenMs = 0;
  $("prompt-label").focus({ preventScroll: true });
  page.announce(text.next_shown.replace("{n}", progress.today + 1));
  write(`${own}open`, item.id);
  // A request that is under way may be the very one that brought this pair; those ahead come after it.
  ahead.settled().then(() => current && ahead.short && refill());
}

function moveOn() {
  const item = ahead.take();
  if (item) show(item);
  else showWaiting();
}

function secondsSpent() {
  return Math.round((performance.now() - shownAt - hiddenMs) / 100) / 10;
}

// ---------- what a person does ----------

function changed() {
  if (!current) return;
  page.countExtras();
  drafts.keep(current, page.readAnswer());
}

// A number, by key or by pointer: chosen, and with one-gesture voting sent as well. A pair that came back
// because the server refused its answer waits for Submit, since nobody was looking at it.
function choose(value) {
  if (!current) return;
  const gesture = config.one_gesture && !current.returned;
  if (gesture && performance.now() - shownAt < UNREAD_MS) return;
  page.choose(page.activeScale(), value);
  if (gesture) submit({ gesture });
  else changed();
}

function submit({ gesture = false } = {}) {
  if (!current) return;
  const answer = page.readAnswer();
  if (!answer.values.overall) {
    $("overall").classList.add("is-missing");
    page.stateShow(text.choose_first, "attention");
    page.announce(text.choose_first);
    $("overall").querySelector("input").focus();
    return;
  }
  const item = current;
  const chosen = answer.both_bad ? text.both_bad : page.chosenSays();
  drafts.clear(item);
  last = { item, answer };
  leaving.set(item.id, item);
  const url = item.revises ? item.urls.revise : item.urls.submit;
  const counted = !item.revises;
  if (counted) progress.today += 1;
  showProgress();
  page.stateShow("");
  countdown.stop();
  const body = { ...answer, seconds: secondsSpent(), key: newKey() };
  outbox.add({ assignment: item.id, url, counted, body }, { held: gesture });
  moveOn();
  if (!gesture) return;
  countdown.start(text.sent_in.replace("{says}", chosen));
  page.announce(`${text.undo_says.replace("{says}", chosen)} ${current ? text.next_shown.replace("{n}", progress.today + 1) : ""}`);
}

function skip(reason) {
  if (!current) return;
  const item = current;
  drafts.clear(item);
  countdown.stop();
  outbox.add({ assignment: item.id, url: item.urls.skip, body: { reason } });
  moveOn();
}

// Take the last answer back ("undo") or open it for a change ("edit"); both show it again with what was said.
async function reopen(kind) {
  countdown.stop();
  const unsent = last ? outbox.take(last.item.id) : null;
  if (unsent) {
    if (unsent.counted) progress.today -= 1;
    leaving.delete(last.item.id);
    return putBack(last.item, last.answer);
  }
  if (!(await outbox.flush())) return page.stateShow(text.undo_offline, "attention");
  try {
    const answer = await post(config.urls[kind], last ? { assignment: last.item.id } : {});
    putBack(answer.item, answer.item.answer, answer.progress);
  } catch (error) {
    const says = error instanceof Refused ? error.message : text.undo_offline;
    page.stateShow(says, "attention");
    if (!current) page.showEmpty(says);
  }
}

async function putBack(item, answer, counted = null) {
  await ahead.settled();
  // A look for the next pair that was under way may have counted before this answer was taken back.
  if (counted) progress = counted;
  if (current?.id === item.id) current = null;
  if (current) {
    drafts.send();
    ahead.putFirst(current);
  }
  last = null;
  if (!item.revises) drafts.store(item.id, answer);
  showProgress();
  show(item, answer);
}

// The server refused an answer that can be mended: its pair is shown again, now or when it is next given out.
function comeBack({ assignment, body }) {
  const { values, both_bad, flags, rationale } = body;
  const answer = { values, both_bad, flags, rationale };
  const item = leaving.get(assignment);
  leaving.delete(assignment);
  if (item) putBack({ ...item, returned: true }, answer);
  else drafts.store(assignment, answer);
}

// ---------- wiring ----------

function toggle(id, focus) {
  const details = $(id);
  if (!details) return;
  details.open = !details.open;
  if (details.open) details.querySelector(focus)?.focus();
}

const acts = {
  arrowleft: () => (page.step(page.activeScale(), -1), changed()),
  arrowright: () => (page.step(page.activeScale(), 1), changed()),
  b: () => (page.setBothBad(!$("both-bad").checked), changed()),
  c: () => toggle("criteria", "input"),
  f: () => toggle("flags", "input"),
  w: () => toggle("why", "textarea"),
  t: () => $("toggle-thread").hidden || page.toggleThread(),
  d: () => current && (page.toggleDifferences(current) || page.stateShow(text.too_long, "attention")),
  s: () => current && $("skip-dialog").showModal(),
  u: () => reopen("undo"),
  e: () => reopen("edit"),
  g: () => guidelines.show(),
  "?": () => $("help").showModal(),
  a: () => page.showSide($("pair").dataset.side === "left" ? "right" : "left"),
  escape: () => $("guidelines").open && $("guidelines").close(),
  "ctrl+enter": () => submit(),
};
for (let value = 1; value <= 7; value += 1) {
  acts[value] = () => choose(value);
}

listen(acts, (dialog, key) => {
  if (dialog.id !== "skip-dialog") return false;
  const reasons = dialog.querySelectorAll("[name=reason]");
  const reason = reasons[Number(key) - 1];
  if (!reason) return false;
  reason.checked = true;
  reason.focus();
  return true;
});

$("item").addEventListener("submit", (event) => (event.preventDefault(), submit()));
$("item").addEventListener("input", (event) => {
  const scale = event.target.closest("[data-criterion]");
  if (scale) page.changed(scale);
  if (event.target.id === "both-bad") page.setBothBad(event.target.checked);
  changed();
});
$("overall").addEventListener("click", (event) => {
  // Only a pointer's click is a vote: arrow keys, too, click what they pass.
  if (!config.one_gesture || !event.pointerType || event.target.name !== "overall") return;
  const item = current;
  setTimeout(() => item === current && choose(Number(event.target.value)));
});
$("skip-form").addEventListener("submit", () => skip(new FormData($("skip-form")).get("reason")));
$("skip-cancel").addEventListener("click", () => $("skip-dialog").close());
for (const [id, key] of Object.entries({ skip: "s", undo: "u", "empty-undo": "u", edit: "e", diff: "d", "open-guidelines": "g", "open-help": "?", "toggle-thread": "t" })) {
  $(id).addEventListener("click", acts[key]);
}
$("look-again").addEventListener("click", showWaiting);
$("alert-close").addEventListener("click", () => page.alertShow(""));
for (const side of ["left", "right"]) {
  $(`tab-${side}`).addEventListener("click", () => page.showSide(side));
  $(`tab-${side}`).addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    event.stopPropagation();
    const other = side === "left" ? "right" : "left";
    page.showSide(other);
    $(`tab-${other}`).focus();
  });
}
addEventListener("resize", page.markScrollers);
let hiddenSince = 0;
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    hiddenSince = performance.now();
    drafts.send();
    countdown.stop();
    outbox.release();
  } else if (hiddenSince) hiddenMs += performance.now() - hiddenSince;
});

addEventListener("pagehide", () => {
  outbox.leave();
  ahead.giveBack((item) => page.isEmpty(drafts.newest(item)?.answer));
});
addEventListener("pageshow", (event) => event.persisted && (current ? refill() : showWaiting()));

// Nothing sensitive is shown before it was agreed to, once on each device for each wording.
function agreed() {
  const dialog = $("sensitive");
  const key = `${own}agreed`;
  if (!dialog || read(key) === dialog.textContent) return Promise.resolve();
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
  return new Promise((resolve) => {
    $("sensitive-accept").addEventListener("click", () => {
      write(key, dialog.textContent);
      dialog.close();
      resolve();
    });
  });
}

showProgress();
agreed().then(showWaiting);
