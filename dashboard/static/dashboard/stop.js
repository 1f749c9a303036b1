// The stop button: trading is stopped by the REST API, whatever has become of the live connection.

import { find, make, put, say, show } from "./dom.js";
import { time } from "./format.js";
import { onKey } from "./keys.js";
import { live } from "./live.js";
import { post } from "./rest.js";

const HOLD_MS = 900;
const WORD = "STOP";

const VERBS = { HALTED: "halt", REDUCING: "reduce only" };

let dialog, form;
let engaged = false;

/** Open the dialog. `asked`: a state, a scope and an id to begin with, as a recommendation has them. */
export function openStop(asked = {}) {
  if (dialog === undefined || dialog.open) return;
  reset();
  form.elements.state.value = asked.state ?? "HALTED";
  form.elements.unwind.checked = asked.unwind ?? false;
  if (asked.scope) form.elements.scope.value = asked.scope;
  form.elements.scope_id.value = asked.id ?? "";
  form.elements.reason.value = asked.reason ?? "";
  drawForm();
  dialog.showModal();
  form.elements.reason.focus();
}

function reset() {
  engaged = false;
  form.reset();
  form.elements.confirmation.value = "";
  show(find("#stop-error"), false);
  show(find("#stop-result"), false);
  for (const part of form.querySelectorAll("[data-asking]")) show(part, true);
  say(find("#stop-close"), "Cancel");
}

/** What is asked for now, in words: "halt account desk-1". */
function inWords() {
  const { state, scope, scope_id: id } = form.elements;
  const where = scope.value === "global" ? "everywhere" : `${scope.value} ${id.value || "…"}`;
  return `${VERBS[state.value]} ${where}`;
}

function drawForm() {
  const { scope, scope_id: id } = form.elements;
  show(find("#stop-id-field"), scope.value !== "global");
  const ids = scope.value === "account" ? [...live.rows("accounts").keys()] : [];
  find("#stop-ids").replaceChildren(...ids.map((each) => make("option", { value: each })));
  put(id, "required", scope.value !== "global");
  say(find("#stop-hold [data-word]"), `Hold to ${inWords()}`);
}

/** Say what is missing, with the focus on it; true where nothing is. */
function isComplete() {
  const { scope, scope_id: id, reason } = form.elements;
  if (scope.value !== "global" && id.value.trim() === "") return fail(`Say which ${scope.value}.`, id);
  if (reason.value.trim() === "") return fail("Say why, in a word or two: it is recorded.", reason);
  return true;
}

function fail(words, field) {
  say(find("#stop-error"), words);
  show(find("#stop-error"), true);
  field?.focus();
  return false;
}

async function engage() {
  if (!isComplete()) return;
  const { state, scope, scope_id: id, reason, unwind } = form.elements;
  const body = {
    reason: reason.value.trim(),
    triggered_by: document.body.dataset.user,
    scope: scope.value === "global" ? { type: "global" } : { type: scope.value, id: id.value.trim() },
    state: state.value,
    unwind: unwind.checked,
  };
  show(find("#stop-error"), false);
  put(form, "aria-busy", "true");
  const started = performance.now();
  try {
    const made = await post("/risk/emergency-stop", body);
    showResult(made, performance.now() - started);
  } catch (error) {
    const unknown = error.status === 0 || error.status >= 500;
    fail(unknown ? `${error.message} The stop may or may not be in force: send it again, that does no harm.` : error.message);
  } finally {
    put(form, "aria-busy", null);
  }
}

function showResult(made, tookMs) {
  engaged = true;
  const where = made.scope.type === "global" ? "everywhere" : `for ${made.scope.type} ${made.scope.id}`;
  const what = made.state === "HALTED" ? "Trading is halted" : "Only reducing orders pass";
  const lines = [
    make("strong", {}, `${what} ${where}.`),
    make("span", {}, `In force since ${time(made.engaged_at)} UTC; the answer took ${Math.round(tookMs)} ms.`),
  ];
  if (!made.new) lines.push(make("span", {}, "A stop that asks for no less was in force already."));
  if (!made.recorded) lines.push(make("span", {}, "It is in force; its record waits for the database."));
  lines.push(make("a", { href: `/emergency/${encodeURIComponent(made.stop_id)}/` }, "See what the stop does"));
  find("#stop-result").replaceChildren(...lines);
  show(find("#stop-result"), true);
  for (const part of form.querySelectorAll("[data-asking]")) show(part, false);
  say(find("#stop-close"), "Close");
  find("#stop-close").focus();
}

/** The red button: pressed for a second by mouse, finger, Space or Enter; what is let go before does nothing. */
function startHold(button) {
  let timer = null;
  const begin = () => {
    if (timer !== null || !isComplete()) return;
    button.classList.add("holding");
    timer = setTimeout(() => {
      end();
      engage();
    }, HOLD_MS);
  };
  const end = () => {
    clearTimeout(timer);
    timer = null;
    button.classList.remove("holding");
  };
  button.addEventListener("pointerdown", (event) => event.button === 0 && begin());
  for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"]) button.addEventListener(name, end);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    if (!event.repeat) begin();
  });
  button.addEventListener("keyup", end);
}

export function startStop() {
  dialog = find("#stop-dialog") ?? undefined;
  if (dialog === undefined) return;
  form = find("#stop-form");
  find("#stop-open").addEventListener("click", () => openStop());
  find("#stop-close").addEventListener("click", () => dialog.close());
  onKey("s", "stop trading", () => openStop());
  form.addEventListener("input", drawForm);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (engaged || form.hasAttribute("aria-busy")) return;
    const { confirmation } = form.elements;
    if (!isComplete()) return;
    if (confirmation.value.trim().toUpperCase() === WORD) engage();
    else if (document.activeElement !== confirmation) confirmation.focus();
    else fail(`Type ${WORD} to confirm, or hold the red button.`, confirmation);
  });
  startHold(find("#stop-hold"));
}
