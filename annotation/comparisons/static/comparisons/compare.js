// The compare page: shows a pair, or answers to be ranked, takes the answer, shows the next one at once (it was fetched before), and
// sends what was said from an outbox that survives a closed tab.

import { Ahead } from "./ahead.js";
import { actAs, newKey, post, Refused, SignedOut } from "./api.js";
import { Conversation } from "./conversation.js";
import { Countdown } from "./countdown.js";
import { Drafts } from "./drafts.js";
import { Guidelines } from "./guidelines.js";
import { Keymap } from "./keymap.js";
import { digitOf, listen } from "./keys.js";
import { marksBegin, marksKey, marksOpen } from "./marks.js";
import { Outbox } from "./outbox.js";
import * as pairs from "./page.js";
import * as ranking from "./ranking.js";
import { Rest } from "./rest.js";
import { read, readHere, write, writeHere } from "./storage.js";
import { Tabs } from "./tabs.js";
import { isRaw, rawSet, textsBegin } from "./texts.js";
import { Timing } from "./timing.js";
import { Tour } from "./welcome.js";

const $ = pairs.element;
const config = JSON.parse($("compare-config").textContent);
const { text } = config;
const page = config.ranks ? ranking : pairs;
const own = `outerloop:${config.user}:${config.campaign}:`;
const LOOK_AGAIN_MS = 20_000;
const TALK_AGAIN_MS = 3_000; // another tab has the turn, and may be through with it at any moment
// A second click of a double click, or a key that bounces, is no answer to a pair that has just come.
const UNREAD_MS = 300;

let current = null; // the pair on the page
let last = null; // what was done last, {item, answer, by: "submit" | "skip" | "park"}
let progress = config.progress;
let shownAt = 0;
let lookAgain = 0;
const leaving = new Map(); // pairs whose answers are on their way, by id

actAs(config.user, () => page.alertClear("signed out"));
const timing = new Timing(`${own}time:`);
const rest = new Rest({ key: `outerloop:${config.user}:worked`, minutes: config.break_minutes });

const drafts = new Drafts(`${own}draft:`, ({ state, at, item }) => {
  if (item && item !== current?.id) return;
  if (state === "saved") page.stateShow(text.saved.replace("{time}", clock(at)));
  else if (state === "saving") page.stateShow(text.saving);
  else page.stateShow(text[state], "attention");
});

const outbox = new Outbox(`${own}outbox:`, {
  told({ waiting, unkept, signedOut }) {
    if (signedOut) signedOutShow(signedOut);
    if (waiting) page.stateShow((unkept ? text.waiting_here : text.waiting).replace("{n}", waiting), "attention");
  },
  sent(entry, answer) {
    leaving.delete(entry.assignment);
    if (!answer) return; // another tab sent it
    if (answer.told) page.alertShow(answer.told, "told");
    if (answer.surplus) page.alertShow(text.surplus.replace("{about}", entry.about), "surplus");
    if (entry.parks) parkedShow(1);
    // What waits behind it is not in the server's figure yet.
    progress = { ...answer.progress, today: answer.progress.today + outbox.counted() };
    showProgress();
    if (talk && !current && !talk.shown) showWaiting(); // it goes on with what was just said
    else if (ahead.short) refill(); // the server may have held back while this one was on its way
  },
  refused(entry, error) {
    page.alertShow(`${text.refused} ${error.message}`, "refused");
    // What was answered and not taken is not counted; the server's own figure comes with the next answer.
    if (entry.counted) progress.today -= 1;
    showProgress();
    const said = answerOf(entry);
    if (talk && !current && !talk.shown) showWaiting();
    if (!said) return;
    if (error.status === 400) comeBack(entry, said);
    else drafts.store(entry.assignment, said); // nothing that was written is thrown away
  },
});

const ahead = new Ahead({
  urls: config.urls,
  leaseMs: config.lease_seconds * 1000,
  around: () => ({ shown: current, leaving: outbox.entries.map((entry) => entry.assignment) }),
  elsewhere: () => tabs.others(),
  told: (count) => {
    $("item").dataset.ahead = String(count);
    tabs.tell();
  },
});

const tabs = new Tabs(`${own}tab:`, { holds: () => ahead.ids(current, []), writing: () => Boolean(talk?.writing) });

const countdown = new Countdown({ box: $("undo-clock"), words: $("undo-says"), over: () => outbox.release() });

const talk = config.converses
  ? new Conversation({
      key: `${own}say`,
      urls: config.urls,
      text,
      working: () => tabs.tell(),
      arrived: turnArrived,
      moved: (says) => refill().then(() => says && talk.shown && talk.say(says)),
      signedOut: signedOutShow,
    })
  : null;

const guidelines = new Guidelines({
  current: config.guidelines,
  url: config.urls.acknowledge,
  text,
  acknowledged: () => (current ? refill() : begin()),
});

const keymap = new Keymap({ own: config.keys.own, given: config.keys.given, url: config.urls.preferences, text });
const tour = new Tour(config.urls.preferences);

function clock(time) {
  return time.toLocaleTimeString(config.language, { hour: "2-digit", minute: "2-digit" });
}

function showProgress() {
  const median = progress.median_seconds;
  $("progress").textContent = text.progress.replace("{n}", progress.today).replace("{goal}", progress.goal);
  $("median").textContent = median ? ` · ${text.median.replace("{s}", Math.round(median))}` : "";
}

function parkedShow(more = 0) {
  config.parked += more;
  $("parked-count").textContent = config.parked ? `(${config.parked})` : "";
}

function signedOutShow(error) {
  page.alertShow(error.message || text.signed_out, "signed out");
}

// ---------- the queue ----------

// Ask for the pairs that are missing, and show one where none is.
async function refill() {
  const says = await ask();
  if (current || talk?.writing) return;
  const item = ahead.take();
  if (item) show(item);
  else if (!says && talk?.state) talkThere();
  else nothingThere(says || (outbox.entries.length ? text.looking : text.nothing));
}

// No pair to show: a message can be written, or the turn is compared in another tab.
function talkThere() {
  if (talk.open) return talk.show();
  nothingThere(outbox.entries.length ? text.looking : text.talk_elsewhere, TALK_AGAIN_MS);
  return undefined;
}

// The two answers to a message are there, or there is nothing to compare in them.
function turnArrived(answer) {
  progress = answer.progress || progress;
  showProgress();
  const [item] = answer.items;
  if (item) return show(item);
  if (answer.says) return nothingThere(answer.says);
  if (!talk.open) return showWaiting();
  return talk.show(answer.same ? text.talk_same : "");
}

async function ask() {
  const quiet = outbox.entries.length ? null : outbox.added;
  try {
    const answer = await ahead.fetch(current ? null : readHere(`${own}open`) || read(`${own}open`));
    // A figure counted while an answer was on its way may or may not hold it.
    if (quiet === outbox.added) progress = answer.progress;
    showProgress();
    talk?.heard(answer.conversation);
    return answer.guidelines ? guidelines.arrived(answer.guidelines) : answer.says;
  } catch (error) {
    if (error instanceof SignedOut) signedOutShow(error);
    else if (error instanceof Refused) return error.message;
    return text.unreachable;
  }
}

function showWaiting() {
  current = null;
  page.showEmpty(text.looking);
  if (talk && outbox.entries.length) return undefined; // it goes on when the last answer is there
  return ahead.settled().then(refill);
}

function nothingThere(says, again = LOOK_AGAIN_MS) {
  page.showEmpty(says);
  page.announce(says);
  clearTimeout(lookAgain);
  lookAgain = setTimeout(() => current || showWaiting(), again);
}

function show(item, answer = null) {
  current = item;
  clearTimeout(lookAgain);
  page.showItem(item, text);
  $("ask").href = item.urls.ask;
  $("ask").hidden = false;
  const draft = answer ? null : drafts.newest(item);
  page.writeAnswer(answer || draft?.answer);
  if (draft && !page.isEmpty(draft.answer)) page.stateShow(text.restored.replace("{time}", clock(new Date(draft.at))));
  else if (!outbox.entries.length) page.stateShow(answer ? text.reopened : "");
  shownAt = performance.now();
  timing.begin(item.id, (answer || draft?.answer)?.seconds);
  $("prompt-label").focus({ preventScroll: true });
  page.announce(text.next_shown.replace("{n}", progress.today + 1));
  write(`${own}open`, item.id);
  writeHere(`${own}open`, item.id);
  tabs.tell();
  tour.begin();
  // A request that is under way may be the very one that brought this pair; those ahead come after it.
  ahead.settled().then(() => current && ahead.short && refill());
}

function moveOn() {
  const item = ahead.take();
  if (item) show(item);
  else showWaiting();
}

// ---------- what a person does ----------

function entered() {
  return { ...page.readAnswer(), seconds: timing.seconds() };
}

function changed() {
  if (!current) return;
  page.countExtras();
  drafts.keep(current, entered());
}

// A number, by key or by pointer: chosen, and with one-gesture voting sent as well. A pair that came back
// because the server refused its answer waits for Submit, since nobody was looking at it.
function choose(value) {
  if (!current) return;
  const gesture = config.one_gesture && !current.returned;
  if (gesture && performance.now() - shownAt < UNREAD_MS) return;
  const scale = page.activeScale();
  page.choose(scale, value);
  page.handOn(scale);
  if (config.ranks) return; // picked up, and not moved yet
  if (gesture) submit({ gesture });
  else changed();
}

function submit({ gesture = false } = {}) {
  if (!current) return;
  const answer = entered();
  const missing = page.missing(answer, text);
  if (missing) {
    page.stateShow(missing, "attention");
    page.announce(missing);
    page.missingFocus();
    return;
  }
  // An order that was confirmed as it came is in the answer from now on.
  if (config.ranks) answer.ranking = page.readAnswer().ranking;
  const chosen = gesture && !answer.both_bad ? page.chosenSays() : text.both_bad;
  const counted = !current.revises;
  if (counted) progress.today += 1;
  showProgress();
  page.stateShow("");
  const url = current.revises ? current.urls.revise : current.urls.submit;
  leave("submit", { url, counted, body: { ...answer, key: newKey() } }, { held: gesture });
  if (!gesture) return;
  countdown.start(text.sent_in.replace("{says}", chosen));
  page.announce(`${text.undo_says.replace("{says}", chosen)} ${current ? text.next_shown.replace("{n}", progress.today + 1) : ""}`);
}

// The pair on the page is done with, one way or another: what was said goes into the outbox.
function leave(by, entry, options) {
  const item = current;
  last = { item, answer: entered(), by };
  leaving.set(item.id, item);
  drafts.clear(item);
  timing.forget();
  countdown.stop();
  const about = item.messages.at(-1).text.slice(0, 60);
  outbox.add({ ...entry, assignment: item.id, about }, options);
  if (page.alertKind() === "rest") page.alertShow("");
  // What somebody has to know goes before.
  else if ($("alert").hidden && rest.due()) page.alertShow(text.rest.replace("{n}", config.break_minutes), "rest");
  moveOn();
}

function skip(reason) {
  if (!current) return;
  leave("skip", { url: current.urls.skip, body: { reason } });
  page.stateShow(text.skipped);
}

function park() {
  if (!current || config.converses) return;
  if (current.revises) return page.stateShow(text.park_answered, "attention");
  leave("park", { url: current.urls.park, parks: true, body: { answer: entered() } });
  return page.stateShow(text.parked);
}

// Take back what was done last ("undo": an answer, a skip, a parked pair) or open the last answer for a
// change ("edit"); the pair is shown again with what was said.
async function reopen(kind) {
  if (talk?.writing) return undefined;
  countdown.stop();
  const unsent = last ? outbox.take(last.item.id) : null;
  if (unsent) {
    if (unsent.counted) progress.today -= 1;
    leaving.delete(last.item.id);
    return putBack(last.item, last.answer);
  }
  if (!(await outbox.flush())) return page.stateShow(text.undo_offline, "attention");
  const door = last?.by === "park" && kind === "undo" ? "reopen" : kind;
  const mine = last && (kind === "undo" || last.by === "submit") ? last : null;
  return fetchBack(door, mine?.item.id, mine?.answer);
}

// `said` is what this page still knows of the pair: what was entered before a skip never went to the server.
async function fetchBack(door, assignment, said = null) {
  try {
    const answer = await post(config.urls[door], assignment ? { assignment } : {});
    if (answer.unparked) parkedShow(-1);
    const stored = answer.item.answer || answer.item.draft;
    await putBack(answer.item, page.isEmpty(stored) && said ? said : stored, answer.progress);
  } catch (error) {
    if (error instanceof SignedOut) signedOutShow(error);
    const says = error instanceof Refused ? error.message : text.undo_offline;
    page.stateShow(says, "attention");
    if (talk?.shown) talk.say(says);
    else if (!current) page.showEmpty(says);
  }
}

async function putBack(item, answer, counted = null) {
  await ahead.settled();
  // A look for the next pair that was under way may have counted before this answer was taken back.
  if (counted) progress = counted;
  ahead.drop(item.id);
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

// What an entry of the outbox says of its pair: an answer, or what was entered when it was parked; null of a skip.
function answerOf({ body }) {
  if (!body.values) return body.answer || null;
  const { values, ranking: order, both_bad, flags, rationale, reasons, spans, seconds } = body;
  return { values, ...(order && { ranking: order }), both_bad, flags, rationale, reasons, spans, seconds };
}

// The server refused an answer, or to park: what can be mended is shown again, now or when it is next given out.
function comeBack(entry, said) {
  const item = leaving.get(entry.assignment);
  leaving.delete(entry.assignment);
  if (item) putBack({ ...item, returned: true }, said);
  else drafts.store(entry.assignment, said);
}

// Texts as they were written, or rendered: remembered for the person, wherever they sign in.
function toggleRaw() {
  if (!current) return;
  rawSet(!isRaw());
  page.drawTexts(current, text);
  showRaw();
  post(config.urls.preferences, { text_view: isRaw() ? "raw" : "rendered" }).catch(() => {});
}

function showRaw() {
  $("raw").setAttribute("aria-pressed", String(isRaw()));
}

// ---------- wiring ----------

function toggle(id, focus) {
  const details = $(id);
  if (!details) return;
  details.open = !details.open;
  if (details.open) details.querySelector(focus)?.focus();
}

const acts = {
  to_a: () => (page.step(page.activeScale(), -1), changed()),
  to_b: () => (page.step(page.activeScale(), 1), changed()),
  both_bad: () => (page.setBothBad(!$("both-bad").checked), changed()),
  criteria: () => toggle("criteria", "input"),
  flags: () => toggle("flags", "input"),
  why: () => toggle("why", "textarea"),
  thread: () => $("toggle-thread").hidden || page.toggleThread(),
  raw: toggleRaw,
  same: () => config.ranks && current && page.same(),
  differences: () => current && !config.ranks && (page.toggleDifferences(current) || page.stateShow(text.too_long, "attention")),
  skip: () => current && $("skip-dialog").showModal(),
  park,
  undo: () => reopen("undo"),
  edit: () => reopen("edit"),
  guidelines: () => guidelines.show(),
  marks: () => current && marksOpen(),
  help: () => $("help").showModal(),
  side: () => page.nextSide(),
  escape: () => $("guidelines").open && $("guidelines").close(),
  submit: () => (talk?.shown ? talk.send() : submit()),
};
for (let value = 1; value <= 9; value += 1) {
  acts[`choose_${value}`] = () => choose(value);
}

listen(acts, (dialog, event) => {
  if (dialog.id === "help") return keymap.pressed(event);
  if (dialog.id === "mark-dialog") return !event.ctrlKey && !event.metaKey && !event.altKey && marksKey(digitOf(event));
  if (dialog.id !== "skip-dialog") return false;
  const reason = dialog.querySelectorAll("[name=reason]")[digitOf(event) - 1];
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
$("overall")?.addEventListener("click", (event) => {
  // Only a pointer's click is a vote: arrow keys, too, click what they pass.
  if (!config.one_gesture || !event.pointerType || event.target.name !== "overall") return;
  const item = current;
  setTimeout(() => item === current && choose(Number(event.target.value)));
});
$("skip-form").addEventListener("submit", () => skip(new FormData($("skip-form")).get("reason")));
$("skip-cancel").addEventListener("click", () => $("skip-dialog").close());
for (const [id, act] of Object.entries({ skip: "skip", park: "park", undo: "undo", "empty-undo": "undo", "talk-undo": "undo", edit: "edit", diff: "differences", raw: "raw", "open-guidelines": "guidelines", "open-help": "help", "toggle-thread": "thread" })) {
  $(id)?.addEventListener("click", acts[act]);
}
if (config.ranks) ranking.orderBegin(text, changed);
marksBegin({ names: config.span_labels, text, changed, says: page.announce });
$("look-again").addEventListener("click", showWaiting);
$("alert-close").addEventListener("click", () => page.alertShow(""));
page.tabsBegin();
addEventListener("resize", page.markScrollers);

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return lookIn();
  drafts.send();
  countdown.stop();
  return outbox.release();
});
addEventListener("focus", lookIn);
setInterval(lookIn, LOOK_AGAIN_MS);

// Whoever comes back may have signed in again meanwhile, in another tab.
async function lookIn() {
  // Another tab may have gone on with the conversation.
  if (talk?.shown && !talk.writing && !(await tabs.othersWrite())) refill();
  if (page.alertKind() !== "signed out") return;
  outbox.flush();
  refill();
}

addEventListener("pagehide", () => {
  outbox.leave();
  ahead.giveBack((item) => page.isEmpty(drafts.newest(item)?.answer));
  tabs.leave();
});
addEventListener("pageshow", (event) => event.persisted && (current ? refill() : showWaiting()));
addEventListener("beforeunload", (event) => (outbox.wouldLose || talk?.wouldLose) && event.preventDefault());

// The pair that an address names is opened first, as one's own answers lead to it.
function begin() {
  const named = config.open;
  config.open = null;
  if (!named) return showWaiting();
  page.showEmpty(text.looking);
  return fetchBack("reopen", named).then(() => current || nothingThere($("save-state").textContent));
}

textsBegin(text, config.raw);
showRaw();
showProgress();
parkedShow();
begin();
