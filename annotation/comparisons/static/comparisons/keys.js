// One table of keys. Single keys do nothing while someone types, or while a dialog is open (but Escape, and
// the keys that the dialog itself names).

const TYPED = new Set(["text", "search", "email", "url", "number", "password"]);

function typing(target) {
  return target.tagName === "TEXTAREA" || (target.tagName === "INPUT" && TYPED.has(target.type)) || target.isContentEditable;
}

// `acts` maps a key ("1".."7", "arrowleft", "b", "?", "ctrl+enter") to a function.
export function listen(acts, dialogKeys) {
  document.addEventListener("keydown", (event) => {
    const name = event.key.toLowerCase();
    const submits = name === "enter" && (event.ctrlKey || event.metaKey);
    const modal = document.querySelector("dialog:modal");
    if (modal) {
      if (dialogKeys(modal, name)) event.preventDefault();
      return;
    }
    if (submits) return run(event, acts["ctrl+enter"]);
    if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
    if (typing(event.target)) {
      if (name === "escape") event.target.blur();
      return undefined;
    }
    return run(event, acts[name]);
  });
}

function run(event, act) {
  if (!act) return;
  event.preventDefault();
  if (!event.repeat || event.key.startsWith("Arrow")) act();
}
