// How long a pair was before its rater, over reloads: the time in which this page was in front.

import { forgetOld, read, write } from "./storage.js";

const TICK_MS = 2000;
// A machine that slept wakes with a tick that took hours: what is longer than this was no reading.
const LONGEST_MS = 10_000;
const KEPT_MS = 7 * 24 * 3600 * 1000;

export class Timing {
  constructor(prefix) {
    this.prefix = prefix;
    this.id = null;
    this.ms = 0;
    this.since = null;
    forgetOld(prefix, KEPT_MS);
    setInterval(() => this.#tick(), TICK_MS);
    for (const name of ["focus", "blur", "pagehide"]) addEventListener(name, () => this.#tick());
    document.addEventListener("visibilitychange", () => this.#tick());
  }

  // The pair `id` is shown; `seconds` were spent on it before, as far as the server knows.
  begin(id, seconds = 0) {
    this.#tick();
    this.id = id;
    this.ms = Math.max(read(this.prefix + id)?.ms || 0, 1000 * (seconds || 0));
    this.since = inFront() ? performance.now() : null;
  }

  seconds() {
    return Math.round((this.ms + this.#running()) / 100) / 10;
  }

  // The pair was answered or given up: its time went with it.
  forget() {
    if (this.id) write(this.prefix + this.id, null);
    this.id = null;
  }

  #running() {
    return this.since === null ? 0 : Math.min(performance.now() - this.since, LONGEST_MS);
  }

  #tick() {
    if (!this.id) return;
    this.ms += this.#running();
    this.since = inFront() ? performance.now() : null;
    write(this.prefix + this.id, { ms: this.ms, at: Date.now() });
  }
}

function inFront() {
  return !document.hidden && document.hasFocus();
}
