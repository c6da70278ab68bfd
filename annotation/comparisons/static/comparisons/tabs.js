// Which pairs other tabs of this person have before them, so that no pair is shown in two.

import { newKey } from "./api.js";
import { keysWith, read, write } from "./storage.js";

const BEAT_MS = 20_000;
const SILENT_MS = 180_000; // a tab in the background is woken once a minute

export class Tabs {
  // `holds` gives the ids of the pairs of this tab, `writing` whether it waits for the answers of a message.
  constructor(prefix, { holds, writing }) {
    Object.assign(this, { prefix, holds, writing });
    this.key = prefix + newKey();
    // A lock that ends with the page tells the others that it is alive.
    navigator.locks?.request(this.key, () => new Promise(() => {}));
    setInterval(() => this.tell(), BEAT_MS);
  }

  tell() {
    write(this.key, { ids: this.holds(), writing: this.writing(), at: Date.now() });
  }

  leave() {
    write(this.key, null);
  }

  // The ids of the pairs that other tabs hold.
  async others() {
    return (await this.#alive()).flatMap((tab) => tab.ids || []);
  }

  // Whether a pair is being made for another tab, which does not hold it yet.
  async othersWrite() {
    return (await this.#alive()).some((tab) => tab.writing);
  }

  async #alive() {
    const locks = navigator.locks ? await navigator.locks.query() : null;
    const alive = locks && new Set(locks.held.map((lock) => lock.name));
    const tabs = [];
    for (const key of keysWith(this.prefix)) {
      if (key === this.key) continue;
      const tab = read(key);
      if (alive ? alive.has(key) : Date.now() - (tab?.at || 0) < SILENT_MS) tabs.push(tab || {});
      else write(key, null);
    }
    return tabs;
  }
}
