// The guidelines beside the pair, and the dialog in which a new version is read before the next pair.

import { post, Refused } from "./api.js";
import { element as $, stateShow } from "./page.js";

export class Guidelines {
  // `current` is the version the page came with, or null; `acknowledged` is called once a new one was read.
  constructor({ current, url, text, acknowledged }) {
    Object.assign(this, { current, url, text, acknowledged });
    $("guidelines-done").addEventListener("click", () => this.#done());
    $("guidelines").addEventListener("cancel", (event) => this.#isNew() && event.preventDefault());
  }

  show(isNew = false) {
    if (!this.current) return stateShow(this.text.no_guidelines);
    $("guidelines-version").textContent = this.text.version.replace("{n}", this.current.number);
    $("guidelines-text").innerHTML = this.current.html;
    $("guidelines-new").hidden = !isNew;
    $("guidelines-change").textContent = this.current.change_note || this.text.guidelines_new;
    $("guidelines-done").textContent = isNew ? this.text.have_read : this.text.close;
    $("guidelines-done").dataset.acknowledges = isNew ? "yes" : "";
    const dialog = $("guidelines");
    if (isNew) dialog.showModal();
    else if (dialog.open) dialog.close();
    else dialog.show();
    if (dialog.open) $("guidelines-title").focus();
    return undefined;
  }

  // A version that has to be read first; says so.
  arrived(fresh) {
    this.current = fresh;
    if (!$("guidelines").open) this.show(true);
    return this.text.read_first;
  }

  #isNew() {
    return $("guidelines-done").dataset.acknowledges === "yes";
  }

  async #done() {
    if (!this.#isNew()) return $("guidelines").close();
    try {
      await post(this.url, { version: this.current.version_id });
      $("guidelines").close();
      this.acknowledged();
    } catch (error) {
      $("guidelines-change").textContent = error instanceof Refused ? error.message : this.text.unreachable;
    }
    return undefined;
  }
}
