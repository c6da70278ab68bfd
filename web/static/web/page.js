// What every page may use, by attributes alone:
//   data-copy="text"      copies on click and says so in place
//   data-confirm="…?"     on a form: asks once, in a dialog, before it is sent
//   data-autosubmit       on a form: sent when one of its fields changes (filters)

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.dataset.copied = button.dataset.copiedText || "copied";
  setTimeout(() => delete button.dataset.copied, 1500);
});

function askOnce(form, submitter) {
  const dialog = document.createElement("dialog");
  const question = document.createElement("p");
  question.textContent = form.dataset.confirm;
  const row = document.createElement("div");
  row.className = "actions";
  const stay = document.createElement("button");
  stay.type = "button";
  stay.className = "button";
  stay.textContent = form.dataset.confirmNo || "Go back";
  const go = document.createElement("button");
  go.type = "button";
  go.className = "button button--bad";
  go.textContent = form.dataset.confirmYes || (submitter ? submitter.textContent.trim() : "Go ahead");
  const box = document.createElement("div");
  box.className = "stack";
  row.append(stay, go);
  box.append(question, row);
  dialog.append(box);
  document.body.append(dialog);
  stay.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  go.addEventListener("click", () => {
    form.dataset.confirmed = "yes";
    dialog.close();
    form.requestSubmit(submitter || undefined);
  });
  dialog.showModal();
  stay.focus();
}

document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    if (!form.dataset.confirm || form.dataset.confirmed) return;
    event.preventDefault();
    event.stopPropagation();
    askOnce(form, event.submitter);
  },
  true,
);

document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form && "autosubmit" in form.dataset) form.requestSubmit();
});
