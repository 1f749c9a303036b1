// The page on which a report is asked for: periods to press, and a look at what it would be.

import { find, make, put } from "../dashboard/dom.js";

const PAUSE_MS = 400;
const PATIENCE_MS = 20_000;

const form = find(".report-form");
let timer = null;
let asking = null;

/** What the form asks about, without what is left empty. */
function about() {
  const query = new URLSearchParams();
  for (const field of form.querySelectorAll(":scope > .list-filters [name]")) {
    if (field.value) query.set(field.name, field.value);
  }
  return query;
}

/** Put a part of the page in its place as the server draws it; one that was asked for earlier comes too late. */
async function fetchPart(part, signal) {
  const place = find(`[data-part=${part}]`);
  put(place, "aria-busy", "true");
  try {
    const within = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
    const path = `${form.dataset.preview}&part=${part}&${about()}`;
    const answer = await fetch(path, { credentials: "same-origin", signal: within });
    if (!answer.ok || answer.redirected) throw new Error(`the server answered ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    place.replaceChildren(...page.body.childNodes);
  } catch (error) {
    if (signal.aborted) return;
    place.replaceChildren(make("p", { class: "panel warning-note" }, `It cannot be looked at now: ${error.message}.`));
  } finally {
    if (!signal.aborted) put(place, "aria-busy", null);
  }
}

/** Look at the report as the form asks for it: how it begins, and then what is said of all of it. */
async function look() {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  await fetchPart("rows", signal);
  if (!signal.aborted) await fetchPart("summary", signal);
}

function lookSoon() {
  clearTimeout(timer);
  timer = setTimeout(look, PAUSE_MS);
}

for (const button of form.querySelectorAll("[data-since]")) {
  button.addEventListener("click", () => {
    form.elements.since.value = button.dataset.since;
    form.elements.until.value = button.dataset.until;
    lookSoon();
  });
}
form.addEventListener("input", (event) => {
  if (event.target.closest(".list-filters")?.parentElement === form) lookSoon();
});
look();
