// The live conversation: a message to the policy, its two answers while they are written, and what is said of
// them. What was typed lies in local storage until the server has made a turn of it.

import { post, Refused, SignedOut, stream } from "./api.js";
import { element as $, threadRow } from "./page.js";
import { read, write } from "./storage.js";

export class Conversation {
  // `working` is called as the policy begins and ends to write, `arrived` gets the server's last word on a message, `moved` is called where the conversation is not where
  // this page saw it, `signedOut` with the error.
  constructor({ key, urls, text, working, arrived, moved, signedOut }) {
    Object.assign(this, { key, urls, text, working, arrived, moved, signedOut });
    this.state = null;
    this.writing = false;
    this.kept = true;
    this.box = $("talk-text");
    this.box.value = read(key)?.text || "";
    this.box.addEventListener("input", () => this.#keep());
    $("talk-form").addEventListener("submit", (event) => (event.preventDefault(), this.send()));
    $("talk-end").addEventListener("click", () => this.end());
  }

  get shown() {
    return !$("talk").hidden;
  }

  // Whether a message can be written, and not only compared in this or in another tab.
  get open() {
    return Boolean(this.state) && !this.state.waits;
  }

  get wouldLose() {
    return !this.kept && Boolean(this.box.value.trim());
  }

  // What the server says of the conversation. A message that has become a turn is no draft any more.
  heard(state) {
    if (!state) return;
    this.state = state;
    if (state.waits && state.said === this.box.value.trim()) this.#clear(state.said);
  }

  show(note = "") {
    const { id, turn, turns, over, messages } = this.state;
    $("item").hidden = true;
    $("empty").hidden = true;
    $("talk-answers").hidden = true;
    $("talk-place").textContent = this.text.talk_place.replace("{n}", turn).replace("{of}", turns);
    $("talk-opening").hidden = turn > 1 || !$("talk-opening").textContent.trim();
    $("talk-thread").replaceChildren(...messages.map((message) => threadRow(message, this.text)));
    $("talk-thread").hidden = !messages.length;
    $("talk-end").hidden = !id;
    this.#note(note || (over ? this.text.talk_over : ""));
    const before = this.shown;
    $("talk").hidden = false;
    $("talk-said").scrollTop = $("talk-said").scrollHeight;
    if (!before) this.box.focus({ preventScroll: true });
  }

  say(sentence) {
    this.#note(sentence, "attention");
  }

  async send() {
    const text = this.box.value.trim();
    if (this.writing) return;
    if (!text) return this.say(this.text.talk_empty);
    const { id, turn } = this.state;
    this.#begin(text);
    try {
      const last = await stream(this.urls.say, { conversation: id, turn, text }, (event) => this.#written(event));
      if (last.error) return this.#failed(last.error);
      if (!last.items) return this.#failed(this.text.talk_broken);
      this.#finish();
      this.#clear(text);
      this.heard(last.conversation);
      return this.arrived(last);
    } catch (error) {
      if (error instanceof SignedOut) this.signedOut(error);
      const refused = error instanceof Refused;
      this.#failed(refused ? error.message : this.text.talk_broken);
      if (refused && error.status === 409) this.moved(error.message);
    }
  }

  async end() {
    if (this.writing) return;
    try {
      const answer = await post(this.urls.end, { conversation: this.state.id });
      if (!answer.conversation) return this.moved("");
      this.heard(answer.conversation);
      this.show(this.text.talk_ended);
    } catch (error) {
      if (error instanceof SignedOut) this.signedOut(error);
      this.say(error instanceof Refused ? error.message : this.text.talk_broken);
    }
  }

  #begin(text) {
    this.#working(true);
    this.#note("");
    for (const side of ["left", "right"]) $(`talk-${side}`).textContent = "";
    $("talk-answers").hidden = false;
    const row = threadRow({ role: "user", html: "", text: "" }, this.text);
    row.className = "talk__sent";
    row.lastChild.textContent = text;
    $("talk-thread").append(row);
    $("talk-thread").hidden = false;
    $("talk-said").scrollTop = $("talk-said").scrollHeight;
  }

  #written({ left, right }) {
    if (left === undefined) return;
    $("talk-left").textContent = left;
    $("talk-right").textContent = right;
  }

  // Nothing came of it: the message is in its field again, as it was typed.
  #failed(sentence) {
    this.#finish();
    $("talk-thread").querySelector(".talk__sent")?.remove();
    $("talk-thread").hidden = !$("talk-thread").children.length;
    $("talk-answers").hidden = true;
    this.say(sentence);
    this.box.focus({ preventScroll: true });
  }

  #finish() {
    this.#working(false);
    $("talk-state").textContent = "";
  }

  #working(on) {
    this.writing = on;
    this.working();
    this.box.readOnly = on;
    for (const id of ["talk-send", "talk-end", "talk-undo"]) $(id).disabled = on;
    $("talk-answers").setAttribute("aria-busy", String(on));
    $("talk-state").textContent = on ? this.text.talk_writing : "";
  }

  #note(sentence, meaning = "") {
    $("talk-note").hidden = !sentence;
    $("talk-note").textContent = sentence;
    $("talk-note").classList.toggle("note--attention", meaning === "attention");
  }

  #keep() {
    const typed = this.box.value;
    this.kept = write(this.key, typed ? { text: typed, at: Date.now() } : null);
    $("talk-state").textContent = typed ? this.text[this.kept ? "talk_kept" : "talk_unkept"] : "";
  }

  // What was sent is no draft any more; another tab may have kept one of its own meanwhile.
  #clear(sent) {
    this.box.value = "";
    if ((read(this.key)?.text || "").trim() === sent) write(this.key, null);
    this.kept = true;
    $("talk-state").textContent = "";
  }
}
