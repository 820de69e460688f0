// Only improves: everything works without it.
"use strict";

// The second press of a button sends nothing: the first is under way.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  const button = event.submitter || form.querySelector("button");
  if (button && button.dataset.busy) {
    button.dataset.calm = button.textContent;
    button.textContent = button.dataset.busy;
    button.setAttribute("aria-disabled", "true");
  }
});

// Back from the next page: the form may be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.forms) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[data-calm]")) {
      button.textContent = button.dataset.calm;
      button.removeAttribute("aria-disabled");
      delete button.dataset.calm;
    }
  }
});

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// As the page's own refresh, which only works without script: but not while nobody looks.
const again = document.querySelector("[data-look-again]");
if (again) {
  setInterval(() => document.hidden || window.location.reload(), 1000 * again.dataset.lookAgain);
}
