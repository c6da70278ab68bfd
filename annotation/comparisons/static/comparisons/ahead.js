// The pairs held ahead, three deep, so that the next one shows at once. The server leases them to this person;
// those never shown are given back when the page closes.

import { post } from "./api.js";

const DEEP = 3;

export class Ahead {
  // `around` gives {shown, leaving}: the pair on the page, and the ids of pairs whose answers are on their
  // way; `told` gets how many pairs are held.
  constructor({ urls, leaseMs, around, told }) {
    Object.assign(this, { urls, leaseMs, around, told });
    this.items = [];
    this.until = 0;
    this.asking = null;
  }

  get short() {
    return this.items.length < DEEP;
  }

  // The pair to show next, or null; a lease that ran out while someone was away is no longer theirs to show.
  take() {
    if (Date.now() > this.until) this.items = [];
    const item = this.items.shift() ?? null;
    this.told(this.items.length);
    return item;
  }

  putFirst(item) {
    this.items.unshift(item);
    this.told(this.items.length);
  }

  // Resolves when no request for pairs is under way.
  settled() {
    return Promise.resolve(this.asking).catch(() => {});
  }

  // Ask for what is missing; the server's answer. One request at a time.
  fetch(prefer) {
    this.asking ??= this.#ask(prefer).finally(() => (this.asking = null));
    return this.asking;
  }

  async #ask(prefer) {
    const asked = Date.now();
    const { shown, leaving } = this.around();
    const count = shown ? Math.max(1, DEEP - this.items.length) : 1; // the first pair waits for no other
    const answer = await post(this.urls.next, { held: this.#known(shown, leaving), count, prefer });
    this.until = asked + this.leaseMs;
    const lost = new Set(answer.lost);
    this.items = this.items.filter((item) => item.revises || !lost.has(item.id));
    const now = this.around();
    const known = new Set(this.#known(now.shown, now.leaving));
    this.items.push(...answer.items.filter((item) => !known.has(item.id)));
    this.told(this.items.length);
    return answer;
  }

  #known(shown, leaving) {
    return [...[shown, ...this.items].filter(Boolean).map((item) => item.id), ...leaving];
  }

  // A beacon could not carry the CSRF header; a request kept alive can, and outlives the page as well.
  giveBack(isEmpty) {
    const held = this.items.filter((item) => !item.revises && isEmpty(item)).map((item) => item.id);
    this.items = [];
    if (held.length) post(this.urls.release, { held }, { keepalive: true }).catch(() => {});
  }
}
