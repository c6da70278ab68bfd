// Answers on their way. Each lies in local storage until the server has it, so that a closed tab, a lost
// connection or a session that ran out loses nothing; each carries a key, so that sending twice counts once.

import { post, Refused, SignedOut } from "./api.js";
import { read, write } from "./storage.js";

const RETRY_MS = 10_000;

export class Outbox {
  // `told` gets {waiting, signedOut}; `sent` each accepted answer; `refused` what the server will never take.
  constructor(name, { told, sent, refused }) {
    this.name = name;
    this.entries = read(name) || [];
    Object.assign(this, { told, sent, refused });
    this.running = null;
    addEventListener("online", () => this.flush());
    setInterval(() => this.entries.length && this.flush(), RETRY_MS);
  }

  add(entry) {
    this.entries.push(entry);
    write(this.name, this.entries);
    return this.flush();
  }

  // Take back an answer that has not left yet; null when it has, or is leaving now.
  take(assignment) {
    const index = this.entries.findIndex((entry) => entry.assignment === assignment);
    if (index < 0 || (index === 0 && this.running)) return null;
    const [entry] = this.entries.splice(index, 1);
    write(this.name, this.entries);
    this.told({ waiting: this.entries.length, signedOut: false });
    return entry;
  }

  flush() {
    this.running ??= this.#sendAll().finally(() => (this.running = null));
    return this.running;
  }

  async #sendAll() {
    let signedOut = false;
    while (this.entries.length) {
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
    this.told({ waiting: this.entries.length, signedOut });
    return this.entries.length === 0;
  }

  #drop(entry) {
    this.entries = this.entries.filter((other) => other !== entry);
    write(this.name, this.entries);
  }
}
