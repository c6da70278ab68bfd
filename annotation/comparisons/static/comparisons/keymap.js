// The part of the keys' dialog in which a person gives an act another key.

import { post, Refused } from "./api.js";
import { bindingOf, keysSet } from "./keys.js";
import { element as $ } from "./page.js";

export class Keymap {
  // `own` are the keys that this person changed, `given` those that hold without.
  constructor({ own, given, url, text }) {
    Object.assign(this, { own, given, url, text });
    this.waitsFor = null;
    for (const button of document.querySelectorAll("[data-change-key]")) {
      button.addEventListener("click", () => this.#ask(button));
    }
    $("keys-reset").addEventListener("click", () => this.#keep({}));
    $("help").addEventListener("close", () => this.#stop());
    keysSet({ ...given, ...own });
  }

  // A key pressed while the dialog is open; whether it was taken as the new key of an act.
  pressed(event) {
    if (!this.waitsFor || ["Shift", "Control", "Alt", "AltGraph", "Meta"].includes(event.key)) return false;
    const act = this.waitsFor.dataset.changeKey;
    this.#stop();
    if (event.key === "Escape") return this.#say(this.text.keys_unchanged);
    const binding = bindingOf(event);
    if (!binding) return this.#say(this.text.key_refused);
    this.#keep({ ...this.own, [act]: binding });
    return true;
  }

  #ask(button) {
    this.#stop();
    this.waitsFor = button;
    button.setAttribute("aria-pressed", "true");
    this.#say(this.text.press_key.replace("{act}", button.dataset.says));
  }

  #stop() {
    this.waitsFor?.setAttribute("aria-pressed", "false");
    this.waitsFor = null;
  }

  #say(sentence) {
    $("keys-says").textContent = sentence;
    return true;
  }

  async #keep(own) {
    try {
      const answer = await post(this.url, { keys: own });
      this.own = answer.keys;
      keysSet({ ...this.given, ...this.own });
      this.#say(Object.keys(this.own).length ? this.text.keys_kept : this.text.keys_reset);
    } catch (error) {
      this.#say(error instanceof Refused ? error.message : this.text.unreachable);
    }
  }
}
