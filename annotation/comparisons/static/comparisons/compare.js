// The compare page: shows a pair, takes the answer, shows the next one at once (it was fetched before), and
// sends what was said from an outbox that survives a closed tab.

import { newKey, post, Refused, SignedOut } from "./api.js";
import { Drafts } from "./drafts.js";
import { listen } from "./keys.js";
import { Outbox } from "./outbox.js";
import * as page from "./page.js";
import { read, write } from "./storage.js";

const config = JSON.parse(page.element("compare-config").textContent);
const { text } = config;
const $ = page.element;
const own = `outerloop:${config.user}:${config.campaign}:`;
const LOOK_AGAIN_MS = 20_000;

let current = null; // the pair on the page
let upcoming = null; // the pair fetched ahead
let last = null; // the pair answered last, {item, answer}
let guidelines = config.guidelines;
let progress = config.progress;
let shownAt = 0;
let hiddenMs = 0;
let fetching = null;
let lookAgain = 0;

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
  sent(_entry, answer) {
    progress = answer.progress;
    showProgress();
  },
  refused(entry, error) {
    page.alertShow(`${text.refused} ${error.message}`);
    // What was answered and not taken is not counted; the server's own figure comes with the next answer.
    if (entry.counted) progress.today -= 1;
    showProgress();
  },
});

function clock(time) {
  return time.toLocaleTimeString(config.language, { hour: "2-digit", minute: "2-digit" });
}

function showProgress() {
  const median = progress.median_seconds ? ` · ${text.median.replace("{s}", Math.round(progress.median_seconds))}` : "";
  $("progress").textContent = text.progress.replace("{n}", progress.today).replace("{goal}", progress.goal) + median;
}

// ---------- the queue ----------

function ahead(item) {
  upcoming = item;
  $("item").dataset.ahead = item ? "ready" : "";
}

function fetchNext() {
  fetching ??= askNext().finally(() => (fetching = null));
  return fetching;
}

async function askNext() {
  // What is on its way arrives first: the server then knows which places are free.
  await outbox.flush();
  const held = [current, upcoming].filter(Boolean).map((item) => item.id);
  const leaving = outbox.entries.map((entry) => entry.assignment);
  try {
    const prefer = current ? null : read(`${own}open`);
    const answer = await post(config.urls.next, { held: [...held, ...leaving], prefer });
    if (!outbox.entries.length) progress = answer.progress;
    showProgress();
    if (answer.guidelines) return newGuidelines(answer.guidelines);
    const item = answer.item;
    if (!item || [current, upcoming].some((known) => known?.id === item.id)) return answer.says;
    if (outbox.entries.some((entry) => entry.assignment === item.id)) return answer.says;
    if (current) ahead(item);
    else show(item);
    return answer.says;
  } catch (error) {
    if (error instanceof SignedOut) page.alertShow(text.signed_out);
    else if (error instanceof Refused) return error.message;
    return text.unreachable;
  }
}

async function showWaiting() {
  current = null;
  page.showEmpty(text.looking);
  const says = await fetchNext();
  if (current) return;
  page.showEmpty(says || text.nothing);
  page.announce(says || text.nothing);
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
  // A request that is under way may be the very one that brought this pair; the one ahead comes after it.
  Promise.resolve(fetching).then(() => current && !upcoming && fetchNext());
}

function moveOn() {
  const item = upcoming;
  ahead(null);
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

function submit() {
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
  drafts.clear(item);
  last = { item, answer };
  const url = item.revises ? item.urls.revise : item.urls.submit;
  const counted = !item.revises;
  if (counted) progress.today += 1;
  showProgress();
  page.stateShow("");
  outbox.add({ assignment: item.id, url, counted, body: { ...answer, seconds: secondsSpent(), key: newKey() } });
  moveOn();
}

function skip(reason) {
  if (!current) return;
  const item = current;
  drafts.clear(item);
  outbox.add({ assignment: item.id, url: item.urls.skip, body: { reason } });
  moveOn();
}

// Take the last answer back ("undo") or open it for a change ("edit"); both show it again with what was said.
async function reopen(kind) {
  if (!last && !config.urls[kind]) return;
  const unsent = last ? outbox.take(last.item.id) : null;
  if (unsent) {
    if (unsent.counted) progress.today -= 1;
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
  await fetching;
  // A look for the next pair that was under way may have counted before this answer was taken back.
  if (counted) progress = counted;
  if (current?.id === item.id) current = null;
  if (current) {
    drafts.send();
    ahead(current);
  }
  last = null;
  showProgress();
  show(item, answer);
}

// ---------- guidelines ----------

function showGuidelines(isNew) {
  if (!guidelines) return page.stateShow(text.no_guidelines);
  $("guidelines-version").textContent = text.version.replace("{n}", guidelines.number);
  $("guidelines-text").innerHTML = guidelines.html;
  $("guidelines-new").hidden = !isNew;
  $("guidelines-change").textContent = guidelines.change_note || text.guidelines_new;
  $("guidelines-done").textContent = isNew ? text.have_read : text.close;
  $("guidelines-done").dataset.acknowledges = isNew ? "yes" : "";
  const dialog = $("guidelines");
  if (isNew) dialog.showModal();
  else if (dialog.open) dialog.close();
  else dialog.show();
  if (dialog.open) $("guidelines-title").focus();
  return undefined;
}

function newGuidelines(fresh) {
  guidelines = fresh;
  if (!$("guidelines").open) showGuidelines(true);
  return text.read_first;
}

async function guidelinesDone() {
  if (!$("guidelines-done").dataset.acknowledges) return $("guidelines").close();
  try {
    await post(config.urls.acknowledge, { version: guidelines.version_id });
    $("guidelines").close();
    if (current) fetchNext();
    else showWaiting();
  } catch (error) {
    $("guidelines-change").textContent = error instanceof Refused ? error.message : text.unreachable;
  }
  return undefined;
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
  g: () => showGuidelines(false),
  "?": () => $("help").showModal(),
  a: () => page.showSide($("pair").dataset.side === "left" ? "right" : "left"),
  escape: () => $("guidelines").open && $("guidelines").close(),
  "ctrl+enter": submit,
};
for (let value = 1; value <= 7; value += 1) {
  acts[value] = () => current && (page.choose(page.activeScale(), value), changed());
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
$("skip-form").addEventListener("submit", () => skip(new FormData($("skip-form")).get("reason")));
$("skip-cancel").addEventListener("click", () => $("skip-dialog").close());
for (const [id, key] of Object.entries({ skip: "s", undo: "u", "empty-undo": "u", edit: "e", diff: "d", "open-guidelines": "g", "open-help": "?", "toggle-thread": "t" })) {
  $(id).addEventListener("click", acts[key]);
}
$("look-again").addEventListener("click", showWaiting);
$("alert-close").addEventListener("click", () => page.alertShow(""));
$("guidelines-done").addEventListener("click", guidelinesDone);
$("guidelines").addEventListener("cancel", (event) => {
  if ($("guidelines-done").dataset.acknowledges) event.preventDefault();
});
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
let hiddenSince = 0;
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    hiddenSince = performance.now();
    drafts.send();
  } else if (hiddenSince) hiddenMs += performance.now() - hiddenSince;
});

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
