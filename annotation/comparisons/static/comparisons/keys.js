// The keys: each act has one, by its letter, or by its place where this keyboard has another letter there
// (the digit row of a French one, every letter of a Russian one). Single keys do nothing while someone types,
// or while a dialog is open (but Escape, and the keys that the dialog itself names).

const TYPED = new Set(["text", "search", "email", "url", "number", "password"]);
const NAMES = { arrowleft: "←", arrowright: "→", arrowup: "↑", arrowdown: "↓" };

let keys = {};
let layout = null;

function typing(target) {
  return target.tagName === "TEXTAREA" || (target.tagName === "INPUT" && TYPED.has(target.type)) || target.isContentEditable;
}

function keyOf(event) {
  return event.key.toLowerCase();
}

// The act of a key, or undefined.
export function actOf(event) {
  const key = keyOf(event);
  const named = Object.keys(keys).find((act) => keys[act].key === key);
  if (named || /^[a-z0-9]$/.test(key) || event.shiftKey) return named;
  return Object.keys(keys).find((act) => keys[act].code && keys[act].code === event.code);
}

// The digit that a key stands for, by its name or its place, or 0.
export function digitOf(event) {
  const found = /^[1-9]$/.exec(event.key) || /^Digit([1-9])$/.exec(event.shiftKey ? "" : event.code);
  return found ? Number(found.at(-1)) : 0;
}

// `acts` maps the name of an act to a function; "submit" is on Ctrl+Enter.
export function listen(acts, dialogKeys) {
  document.addEventListener("keydown", (event) => {
    const key = keyOf(event);
    const submits = key === "enter" && (event.ctrlKey || event.metaKey);
    const modal = document.querySelector("dialog:modal");
    if (modal) {
      if (dialogKeys(modal, event)) event.preventDefault();
      return undefined;
    }
    if (submits) return run(event, acts.submit);
    if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
    if (typing(event.target)) {
      if (key === "escape") event.target.blur();
      return undefined;
    }
    return run(event, key === "escape" ? acts.escape : acts[actOf(event)]);
  });
}

function run(event, act) {
  if (!act) return;
  event.preventDefault();
  if (!event.repeat || event.key.startsWith("Arrow")) act();
}

// `given` are {act: {key, code}}; the labels of the page follow, as this keyboard has them.
export async function keysSet(given) {
  keys = given;
  labelsShow();
  layout ??= await navigator.keyboard?.getLayoutMap?.().catch(() => null);
  labelsShow();
}

export function labelOf({ key, code }) {
  if (NAMES[key]) return NAMES[key];
  const here = layout?.get(code);
  const reached = !here || here.toLowerCase() === key || [...layout.values()].includes(key);
  return reached ? key.toUpperCase() : `${key.toUpperCase()} ${here.toUpperCase()}`;
}

function labelsShow() {
  for (const box of document.querySelectorAll("[data-key-of]")) {
    const binding = keys[box.dataset.keyOf];
    if (!binding) continue;
    box.textContent = labelOf(binding);
    box.closest("[aria-keyshortcuts]")?.setAttribute("aria-keyshortcuts", binding.key);
    const input = box.closest("label")?.querySelector("input[aria-keyshortcuts]");
    input?.setAttribute("aria-keyshortcuts", binding.key);
  }
}

// The key that was pressed, as it is kept; null for one that is no key by itself.
export function bindingOf(event) {
  const key = keyOf(event);
  const single = [...key].length === 1 && key !== " ";
  const alone = !event.ctrlKey && !event.metaKey && !event.altKey;
  return alone && (single || NAMES[key]) ? { key, code: event.shiftKey ? "" : event.code } : null;
}
