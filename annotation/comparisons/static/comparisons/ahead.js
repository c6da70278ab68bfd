// The pairs held ahead, three deep, so that the next one shows at once. The server leases them to this person;
// those never shown are given back when the page closes.

import { post } from "./api.js";

const DEEP = 3;
const MOST_NAMED = 100; // the server takes no more

export class Ahead {
  // `around` gives {shown, leaving}: the pair on the page, and the ids of pairs whose answers are on their
  // way; `elsewhere` those that other tabs hold; `told` gets how many pairs are held.
  constructor({ urls, leaseMs, around, elsewhere, told }) {
    Object.assign(this, { urls, leaseMs, around, elsewhere, told });
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

  // A pair that is shown by another way than its turn.
  drop(id) {
    this.items = this.items.filter((item) => item.id !== id);
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
    const others = await this.elsewhere();
    const { shown, leaving } = this.around();
    const count = shown ? Math.max(1, DEEP - this.items.length) : 1; // the first pair waits for no other
    const answer = await post(this.urls.next, { held: [...this.ids(shown, leaving), ...others].slice(0, MOST_NAMED), count, prefer });
    this.until = asked + this.leaseMs;
    const lost = new Set(answer.lost);
    this.items = this.items.filter((item) => item.revises || !lost.has(item.id));
    const now = this.around();
    const known = new Set(this.ids(now.shown, now.leaving));
    this.items.push(...answer.items.filter((item) => !known.has(item.id)));
    this.told(this.items.length);
    return answer;
  }

  ids(shown, leaving) {
    return [...[shown, ...this.items].filter(Boolean).map((item) => item.id), ...leaving];
  }

  // A beacon could not carry the CSRF header; a request kept alive can, and outlives the page as well.
  giveBack(isEmpty) {
    const held = this.items.filter((item) => !item.revises && isEmpty(item)).map((item) => item.id);
    this.items = [];
    if (held.length) post(this.urls.release, { held }, { keepalive: true }).catch(() => {});
  }
}
