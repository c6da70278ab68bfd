// Answers on their way. Each lies in local storage under a key of its own until the server has it, so that a
// closed tab, a lost connection or a session that ran out loses nothing and no tab overwrites another's; each
// carries a key, so that sending twice counts once. One tab at a time sends, and takes up what others left
// behind. The newest may be held for a moment, so that it can be taken back before it has left.

import { newKey, post, Refused, SignedOut } from "./api.js";
import { keysWith, read, write } from "./storage.js";

const RETRY_MS = 10_000;
// A tab that is alive sends its own answers; those of one that is gone are taken up after this time.
const LEFT_MS = 15_000;

export class Outbox {
  // `told` gets {waiting, unkept, signedOut}; `sent` each accepted answer (null: another tab sent it);
  // `refused` what the server will never take.
  constructor(prefix, { told, sent, refused }) {
    Object.assign(this, { prefix, told, sent, refused });
    this.entries = [];
    this.added = 0;
    this.running = null;
    this.#takeUp(0);
    addEventListener("online", () => this.flush());
    setInterval(() => this.flush(), RETRY_MS);
    this.flush();
  }

  add(entry, { held = false } = {}) {
    for (const before of this.entries) this.#let(before);
    const made = { ...entry, id: newKey(), at: Date.now(), held };
    made.kept = write(this.prefix + made.id, made);
    this.entries.push(made);
    this.added += 1;
    return this.flush();
  }

  // What was held goes now.
  release() {
    for (const entry of this.entries) this.#let(entry);
    return this.flush();
  }

  // Take back an answer that has not left yet; null when it has, or is leaving now.
  take(assignment) {
    const index = this.entries.findIndex((entry) => entry.assignment === assignment);
    if (index < 0 || (index === 0 && this.running)) return null;
    const entry = this.entries[index];
    this.#drop(entry);
    this.#tell(null);
    return entry;
  }

  // How many answers to pairs not answered before are on their way.
  counted() {
    return this.entries.filter((entry) => entry.counted).length;
  }

  // Whether closing this page would lose an answer: the browser would not keep it.
  get wouldLose() {
    return this.entries.some((entry) => !entry.kept);
  }

  flush() {
    this.running ??= this.#sendAll().finally(() => (this.running = null));
    return this.running;
  }

  // The page closes: everything goes at once, in requests that outlive it. What does not arrive is still in
  // local storage and goes again; what arrives twice counts once.
  leave() {
    for (const entry of this.entries) {
      this.#let(entry);
      post(entry.url, entry.body, { keepalive: true }).catch(() => {});
    }
  }

  async #sendAll() {
    let signedOut = null;
    this.#takeUp(LEFT_MS);
    while (this.entries.length && !this.entries[0].held) {
      const entry = this.entries[0];
      try {
        const answer = await alone(this.prefix, () => this.#send(entry));
        this.#drop(entry);
        this.sent(entry, answer);
      } catch (error) {
        if (error instanceof SignedOut) signedOut = error;
        if (!(error instanceof Refused)) break;
        this.#drop(entry);
        this.refused(entry, error);
      }
    }
    return this.#tell(signedOut) === 0;
  }

  #send(entry) {
    const sentElsewhere = entry.kept && !read(this.prefix + entry.id);
    return sentElsewhere ? null : post(entry.url, entry.body);
  }

  // Answers that another tab, or this one before a reload, has left behind.
  #takeUp(olderThan) {
    const known = new Set(this.entries.map((entry) => entry.id));
    for (const key of keysWith(this.prefix)) {
      const entry = known.has(key.slice(this.prefix.length)) ? null : read(key);
      if (!entry || Date.now() - entry.at < (entry.held ? LEFT_MS : olderThan)) continue;
      this.entries.push({ ...entry, held: false, kept: true });
    }
    this.entries.sort((a, b) => a.at - b.at);
  }

  #let(entry) {
    if (!entry.held) return;
    entry.held = false;
    if (entry.kept) write(this.prefix + entry.id, entry);
  }

  #tell(signedOut) {
    const waiting = this.entries.filter((entry) => !entry.held).length;
    this.told({ waiting, unkept: this.wouldLose, signedOut });
    return waiting;
  }

  #drop(entry) {
    this.entries = this.entries.filter((other) => other !== entry);
    write(this.prefix + entry.id, null);
  }
}

// One tab at a time, where the browser has locks (it has none on a page without TLS; twice sent counts once).
function alone(name, act) {
  return navigator.locks ? navigator.locks.request(name, act) : act();
}
