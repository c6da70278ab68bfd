// Which pairs other tabs of this person have before them, so that no pair is shown in two.

import { newKey } from "./api.js";
import { keysWith, read, write } from "./storage.js";

const BEAT_MS = 20_000;
const SILENT_MS = 180_000; // a tab in the background is woken once a minute

export class Tabs {
  // `holds` gives the ids of the pairs of this tab.
  constructor(prefix, holds) {
    this.prefix = prefix;
    this.holds = holds;
    this.key = prefix + newKey();
    // A lock that ends with the page tells the others that it is alive.
    navigator.locks?.request(this.key, () => new Promise(() => {}));
    setInterval(() => this.tell(), BEAT_MS);
  }

  tell() {
    write(this.key, { ids: this.holds(), at: Date.now() });
  }

  leave() {
    write(this.key, null);
  }

  async others() {
    const locks = navigator.locks ? await navigator.locks.query() : null;
    const alive = locks && new Set(locks.held.map((lock) => lock.name));
    const ids = [];
    for (const key of keysWith(this.prefix)) {
      if (key === this.key) continue;
      const tab = read(key);
      if (alive ? alive.has(key) : Date.now() - (tab?.at || 0) < SILENT_MS) ids.push(...(tab?.ids || []));
      else write(key, null);
    }
    return ids;
  }
}
