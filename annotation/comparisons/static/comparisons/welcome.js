// What comes before the first pair: a short tour that can be skipped.

import { post } from "./api.js";
import { element as $ } from "./page.js";

export class Tour {
  // `url` takes the note that the tour was seen or skipped; there is none to show where the page has no dialog.
  constructor(url) {
    this.url = url;
    this.dialog = $("tour");
    if (!this.dialog) return;
    this.steps = [...this.dialog.querySelectorAll("[data-about]")];
    $("tour-next").addEventListener("click", () => this.#next());
    $("tour-skip").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.#done());
  }

  begin() {
    if (!this.dialog || this.dialog.open) return;
    this.at = -1;
    this.dialog.showModal();
    this.#next();
  }

  #next() {
    this.at += 1;
    if (this.at === this.steps.length) return this.dialog.close();
    this.steps.forEach((step, index) => (step.hidden = index !== this.at));
    this.#point(this.steps[this.at].dataset.about);
    $("tour-place").textContent = `${this.at + 1} / ${this.steps.length}`;
    $("tour-next").textContent = this.at === this.steps.length - 1 ? $("tour-next").dataset.last : $("tour-next").dataset.more;
    return $("tour-next").focus();
  }

  #point(selector) {
    for (const box of document.querySelectorAll(".is-pointed-at")) box.classList.remove("is-pointed-at");
    if (selector) document.querySelector(selector)?.classList.add("is-pointed-at");
  }

  #done() {
    this.#point("");
    this.dialog = null;
    post(this.url, { toured: true }).catch(() => {}); // it is shown again, which does no harm
  }
}
