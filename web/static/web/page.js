// What every page may use, by attributes alone:
//   data-copy="text"      copies on click and says so in place
//   data-confirm="…?"     on a form, on one of its buttons, or on what htmx sends by itself: asks once, in
//                         a dialog, before anything is sent (data-confirm-yes, data-confirm-no: the answers)
//   data-unfold           on a button in `.folds`: shows and hides the parts that a phone folds (outerloop.css)
//   data-autosubmit       on a form: sent when one of its fields changes (filters)

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.dataset.copied = button.dataset.copiedText || "copied";
  setTimeout(() => delete button.dataset.copied, 1500);
});

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function dialogButton(className, text, act) {
  const button = element("button", className, text);
  button.type = "button";
  button.addEventListener("click", act);
  return button;
}

function askOnce({ confirm, confirmYes, confirmNo }, verb, goOn) {
  const dialog = element("dialog", "", "");
  dialog.setAttribute("aria-label", confirm);
  const box = element("div", "stack", "");
  const row = element("div", "actions", "");
  const stay = dialogButton("button", confirmNo || "Go back", () => dialog.close());
  const go = dialogButton("button button--bad", confirmYes || verb || "Go ahead", () => {
    dialog.close();
    goOn();
  });
  row.append(stay, go);
  box.append(element("p", "", confirm), row);
  dialog.append(box);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  stay.focus();
}

let confirmed = null; // the form that is being sent after a yes

document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    // A form sent by a script has no submitter: its button speaks for it.
    const submitter = event.submitter || [...form.elements].find((one) => one.type === "submit");
    const asks = [submitter, form].find((one) => one?.dataset.confirm);
    if (!asks || confirmed === form) return;
    event.preventDefault();
    event.stopPropagation();
    askOnce(asks.dataset, submitter?.textContent.trim(), () => {
      confirmed = form;
      form.requestSubmit(event.submitter);
      confirmed = null;
    });
  },
  true,
);

// What htmx sends without a form's submit: a button or a link with hx-post, hx-delete ...
document.addEventListener("htmx:confirm", (event) => {
  const sender = event.detail.elt;
  if (event.detail.triggeringEvent?.type === "submit" || !sender.dataset.confirm) return;
  event.preventDefault();
  askOnce(sender.dataset, sender.textContent.trim(), () => event.detail.issueRequest(true));
});

// Nothing changes under an open question: what follows by itself waits for its next turn.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (document.querySelector("dialog[open]")) event.detail.shouldSwap = false;
});

function unfold(folds, open) {
  folds.classList.toggle("is-unfolded", open);
  folds.querySelector("[data-unfold]").setAttribute("aria-expanded", open);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-unfold]");
  if (button) unfold(button.closest(".folds"), button.ariaExpanded === "false");
});

// A link into a folded part opens it.
function unfoldTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folds = target?.closest(".folds__part")?.closest(".folds");
  if (!folds) return;
  unfold(folds, true);
  target.scrollIntoView();
}
addEventListener("hashchange", unfoldTarget);
addEventListener("DOMContentLoaded", unfoldTarget);

document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form && "autosubmit" in form.dataset) form.requestSubmit();
});

// Live pages (`live` in base.html): what is open, and what a person typed or chose, is theirs.
const THEIRS = ["value", "checked", "selected"];
if (window.Idiomorph) {
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
    !(node.matches("details") && name === "open") &&
    !(node.matches("input:not([type=hidden]), textarea, option") && THEIRS.includes(name));
}

// A poll that is answered by another page (signed out meanwhile) shows that page as a whole.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id !== "live" || event.detail.xhr.status !== 200) return;
  if (event.detail.serverResponse.includes('id="live"')) return;
  event.detail.shouldSwap = false;
  location.reload();
});
