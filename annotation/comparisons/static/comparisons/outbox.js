// Answers on their way. Each lies in local storage until the server has it, so that a closed tab, a lost
// connection or a session that ran out loses nothing; each carries a key, so that sending twice counts once.
// The newest may be held for a moment, so that it can be taken back before it has left.

import { post, Refused, SignedOut } from "./api.js";
import { read, write } from "./storage.js";

const RETRY_MS = 10_000;

export class Outbox {
  // `told` gets {waiting, signedOut}; `sent` each accepted answer; `refused` what the server will never take.
  constructor(name, { told, sent, refused }) {
    this.name = name;
    this.entries = read(name) || [];
    this.added = 0;
    Object.assign(this, { told, sent, refused });
    this.running = null;
    addEventListener("online", () => this.flush());
    setInterval(() => this.entries.length && this.flush(), RETRY_MS);
    this.release();
  }

  add(entry, { held = false } = {}) {
    for (const before of this.entries) before.held = false;
    this.entries.push({ ...entry, held });
    this.added += 1;
    write(this.name, this.entries);
    return this.flush();
  }

  // What was held goes now.
  release() {
    for (const entry of this.entries) entry.held = false;
    write(this.name, this.entries.length ? this.entries : null);
    return this.flush();
  }

  // Take back an answer that has not left yet; null when it has, or is leaving now.
  take(assignment) {
    const index = this.entries.findIndex((entry) => entry.assignment === assignment);
    if (index < 0 || (index === 0 && this.running)) return null;
    const [entry] = this.entries.splice(index, 1);
    write(this.name, this.entries);
    this.#tell(false);
    return entry;
  }

  // How many answers to pairs not answered before are on their way.
  counted() {
    return this.entries.filter((entry) => entry.counted).length;
  }

  flush() {
    this.running ??= this.#sendAll().finally(() => (this.running = null));
    return this.running;
  }

  // The page closes: everything goes at once, in requests that outlive it. What does not arrive is still in
  // local storage and goes again; what arrives twice counts once.
  leave() {
    for (const entry of this.entries) {
      entry.held = false;
      post(entry.url, entry.body, { keepalive: true }).catch(() => {});
    }
    if (this.entries.length) write(this.name, this.entries);
  }

  async #sendAll() {
    let signedOut = false;
    while (this.entries.length && !this.entries[0].held) {
      const entry = this.entries[0];
      try {
        const answer = await post(entry.url, entry.body);
        this.#drop(entry);
        this.sent(entry, answer);
      } catch (error) {
        signedOut = error instanceof SignedOut;
        if (!(error instanceof Refused)) break;
        this.#drop(entry);
        this.refused(entry, error);
      }
    }
    return this.#tell(signedOut) === 0;
  }

  #tell(signedOut) {
    const waiting = this.entries.filter((entry) => !entry.held).length;
    this.told({ waiting, signedOut });
    return waiting;
  }

  #drop(entry) {
    this.entries = this.entries.filter((other) => other !== entry);
    write(this.name, this.entries);
  }
}
