// What was entered for a pair and not submitted yet: to local storage at once, to the server a moment later.

import { post } from "./api.js";
import { forgetOld, read, write } from "./storage.js";

const PAUSE_MS = 500;
const KEPT_MS = 7 * 24 * 3600 * 1000;

export class Drafts {
  // `told` gets the state to show: {state: "saving" | "saved" | "local" | "lost", at}; "lost" is a
  // draft that neither the server nor this browser would take.
  constructor(prefix, told) {
    this.prefix = prefix;
    this.told = told;
    this.timer = 0;
    forgetOld(prefix, KEPT_MS);
  }

  // The newer of the local and the server's draft, or null.
  newest(item) {
    const local = read(this.prefix + item.id);
    const server = item.draft_at ? { answer: item.draft, at: Date.parse(item.draft_at) } : null;
    if (!local) return server;
    return !server || local.at >= server.at ? local : server;
  }

  // To local storage alone; whether it took it.
  store(id, answer) {
    return write(this.prefix + id, { answer, at: Date.now() });
  }

  keep(item, answer) {
    const kept = this.store(item.id, answer);
    clearTimeout(this.timer);
    this.told({ state: "saving" });
    this.pending = { item, answer, kept };
    this.timer = setTimeout(() => this.send(), PAUSE_MS);
  }

  async send() {
    clearTimeout(this.timer);
    const pending = this.pending;
    this.pending = null;
    if (!pending) return;
    try {
      const answer = await post(pending.item.urls.draft, { answer: pending.answer }, { keepalive: true });
      pending.item.draft = pending.answer;
      pending.item.draft_at = answer.saved_at;
      if (!this.pending) this.told({ state: "saved", at: new Date(answer.saved_at), item: pending.item.id });
    } catch {
      this.told({ state: pending.kept ? "local" : "lost", item: pending.item.id });
    }
  }

  clear(item) {
    if (this.pending?.item.id === item.id) {
      clearTimeout(this.timer);
      this.pending = null;
    }
    write(this.prefix + item.id, null);
  }
}
