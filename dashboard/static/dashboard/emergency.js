// Emergency stops: how far they have come, live, and what is pressed: re-enable, give up, ask again.

import { find, put, say, show } from "./dom.js";
import { announce, refresh } from "./fragments.js";
import { live } from "./live.js";
import { panel } from "./panels.js";
import { post } from "./rest.js";

// So often the leases are read again: nothing tells of their silence at once.
const LEASES_MS = 5_000;

const SAID = {
  "re-enable": "Trading is re-enabled.",
  "give-up": "The OMS is asked no more for what is left. Trading stays stopped.",
  "go-on": "The OMS is asked again.",
};

let drawn = null;

/** How the stops stand that the server drew, and that the picture has: a page of one stop is about that alone. */
const rendered = () => [...document.querySelectorAll(".stop-card[data-in-force=true]")].map((card) => card.dataset.standing);

function standing() {
  const only = find("#stops-now").dataset.only;
  const rows = [...live.rows("stops")].filter(([id]) => only === undefined || id === only);
  return rows.map(([id, row]) => `${id} ${row.status} ${row.given_up} ${row.residuals}`);
}

function look() {
  const now = JSON.stringify([...live.rows("stops")]);
  const isNew = drawn === null ? rendered().sort().join() !== standing().sort().join() : now !== drawn;
  if (isNew) refresh();
  drawn = now;
}

// --------------------------------------------------------------------------------------------------- acting
async function act(form, force) {
  const { act: what, stop } = form.dataset;
  const reason = form.elements.reason;
  show(find(".error", form), false);
  if (reason.value.trim() === "") return refuse(form, "Say why: it is recorded.");
  const body = { stop_id: stop, authorized_by: document.body.dataset.user, reason: reason.value.trim() };
  put(form, "aria-busy", "true");
  try {
    const made = await post(`/risk/emergency-stop/${what}`, force ? { ...body, force: true } : body);
    tell(form, what, made);
  } catch (problem) {
    refuse(form, problem.message);
    // Only what is breached can be borne; anything else is no better with force.
    if (problem.code === "still_breached") show(find("[name=force]", form), true);
  } finally {
    put(form, "aria-busy", null);
  }
}

function refuse(form, words) {
  const error = find(".error", form);
  say(error, words);
  show(error, true);
  form.elements.reason.focus();
}

function tell(form, what, made) {
  const waits = made.results?.find((each) => each.status === "approval_needed");
  const until = waits && new Date(waits.approve_before).toISOString().slice(11, 19);
  let words = waits ? `Asked. Somebody else has to approve it here before ${until} UTC; trading stays stopped.` : SAID[what];
  if (what === "re-enable" && !waits && !made.live) words = "It is lifted as soon as the live state can be reached.";
  const result = find(".result", form);
  say(result, words);
  show(result, true);
  announce(words);
  form.reset();
  // After a moment in which it can be read, the page shows what has become of the stop.
  setTimeout(() => {
    show(result, false);
    refresh();
  }, 1_500);
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form.act-form");
  if (form === null) return;
  event.preventDefault();
  if (!form.hasAttribute("aria-busy")) act(form, event.submitter?.name === "force");
});

panel(find("#stops-now"), ["stops", "trading"], look);
if (find("#leases-now")) setInterval(() => document.visibilityState === "visible" && refresh(), LEASES_MS);
