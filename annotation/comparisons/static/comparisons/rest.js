// How long a person has worked without a pause, in whatever tab or campaign, and when to speak of a break.

import { read, write } from "./storage.js";

const TICK_MS = 5000;
// What is longer than this between two ticks was no work: the machine slept, or the page was put away.
const LONGEST_MS = 15_000;
const PAUSE_MS = 5 * 60_000;

export class Rest {
  // `minutes` of work after which `due` is answered with true, once; 0 is never.
  constructor({ key, minutes }) {
    this.key = key;
    this.after = minutes * 60_000;
    if (minutes) setInterval(() => this.#tick(), TICK_MS);
  }

  // Whether it is time to speak of a break; the work is counted anew from then on.
  due() {
    const { ms = 0, at = 0 } = read(this.key) || {};
    if (!this.after || ms < this.after || Date.now() - at > PAUSE_MS) return false;
    write(this.key, { ms: 0, at });
    return true;
  }

  // Two tabs tick at different times: each counts what passed since either did.
  #tick() {
    if (document.hidden || !document.hasFocus()) return;
    const now = Date.now();
    const { ms = 0, at = 0 } = read(this.key) || {};
    const passed = now - at;
    write(this.key, { ms: passed > PAUSE_MS ? 0 : ms + Math.min(Math.max(passed, 0), LONGEST_MS), at: now });
  }
}
