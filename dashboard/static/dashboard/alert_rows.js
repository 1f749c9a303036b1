// Alerts as rows, and what people do about one: acknowledge it, or have it be silent for a while.

import { find, icon, keyed, make, put, say, setIcon, show } from "./dom.js";
import { span, time } from "./format.js";
import { live } from "./live.js";
import { post } from "./rest.js";
import { accountPage } from "./words.js";

const LEVELS = ["warning", "critical", "emergency"];
const STATES = ["resolved", "silenced", "acknowledged", "firing"];

/** Alerts with what needs somebody first: firing, the worst, the newest. `rows`: [id, row]. */
export function urgentFirst(rows) {
  const of = (row) => [STATES.indexOf(row.state), LEVELS.indexOf(row.level), Date.parse(row.timestamp)];
  return rows.sort(([, a], [, b]) => {
    const [x, y] = [of(a), of(b)];
    return y[0] - x[0] || y[1] - x[1] || y[2] - x[2];
  });
}

const mayHandle = () => document.body.dataset.may.split(" ").includes("alerts");

function makeRow([id]) {
  const row = make(
    "li",
    { class: "alert-row" },
    make("span", { class: "level" }, icon("info"), make("span")),
    make("span", { class: "small muted", "data-when": true }),
    make("p", { class: "name", "data-message": true }),
    make("span", { class: "small name" }, make("a", { "data-account": true }), make("span", { "data-state": true })),
  );
  if (mayHandle()) row.append(makeButtons(id));
  return row;
}

function makeButtons(id) {
  const acknowledge = make("button", { type: "button", class: "quiet", "data-acknowledge": true }, "Acknowledge");
  const silence = make("button", { type: "button", class: "quiet", "data-silence": true }, "Silence");
  acknowledge.addEventListener("click", () => openDialog("acknowledge", id));
  silence.addEventListener("click", () => openDialog("silence", id));
  return make("span", { class: "row-buttons" }, acknowledge, silence);
}

/** What has become of an alert, in words. */
function stateWords(row) {
  const until = row.silenced_until && time(row.silenced_until, live.now());
  switch (row.state) {
    case "acknowledged":
      return `taken on by ${row.acknowledged_by}: ${row.note}`;
    case "silenced":
      return `silent until ${until}, ${row.silenced_by}: ${row.silence_reason}`;
    case "resolved":
      return `resolved ${time(row.resolved_at, live.now())}`;
    default:
      return row.times_published > 1 ? `told ${row.times_published} times` : "";
  }
}

function updateRow(node, [, row]) {
  put(node, "data-level", row.level);
  put(node, "data-alert-state", row.state);
  setIcon(node.querySelector("svg"), row.level);
  say(node.querySelector(".level > span"), row.level);
  say(node.querySelector("[data-when]"), `${time(row.timestamp, live.now())}, ${span(live.now() - Date.parse(row.timestamp))} ago`);
  say(node.querySelector("[data-message]"), row.message);
  const account = node.querySelector("[data-account]");
  // Silence is that of a part of the system, not of the firm.
  const whose = row.account_id ?? (row.metric === "silence_seconds" ? "" : "the firm");
  say(account, [whose, row.symbol].filter(Boolean).join(" "));
  put(account, "href", row.account_id ? accountPage(row.account_id) : null);
  show(account, account.textContent !== "");
  say(node.querySelector("[data-state]"), stateWords(row));
  const buttons = node.querySelector(".row-buttons");
  if (buttons === null) return;
  show(buttons, row.state !== "resolved");
  show(find("[data-acknowledge]", buttons), row.state === "firing");
  put(find("[data-acknowledge]", buttons), "aria-label", `Acknowledge: ${row.message}`);
  put(find("[data-silence]", buttons), "aria-label", `Silence: ${row.message}`);
}

/** Have a list hold alerts, [id, row] each, in this order. */
export function drawAlerts(list, rows) {
  keyed(list, rows, { key: ([id]) => id, make: makeRow, update: updateRow });
}

// ------------------------------------------------------------------------------------------------- dialogs
let asked = null;

/** Open a dialog, `acknowledge` or `silence`, for an alert of the picture. */
export function openDialog(what, id) {
  const dialog = find(`#${what}-dialog`);
  asked = id;
  find("form", dialog).reset();
  show(find(".error", dialog), false);
  say(find("[data-alert]", dialog), live.rows("alerts").get(id)?.message ?? "");
  dialog.showModal();
  find("[name=note], [name=reason]", dialog).focus();
}

function bodyOf(what, fields) {
  if (what === "acknowledge") return { note: fields.note.value.trim() };
  const until = new Date(live.now() + Number(fields.minutes.value) * 60_000).toISOString();
  return { until, reason: fields.reason.value.trim() };
}

async function send(what, dialog, form) {
  const words = form.elements.note ?? form.elements.reason;
  const error = find(".error", dialog);
  try {
    if (words.value.trim() === "") throw new Error(what === "silence" ? "Say why." : "Say what you do about it.");
    put(form, "aria-busy", "true");
    await post(`/risk/alerts/${encodeURIComponent(asked)}/${what}`, bodyOf(what, form.elements));
    dialog.close();
    say(find("#announcer"), what === "silence" ? "Silenced." : "Acknowledged.");
  } catch (problem) {
    say(error, problem.message);
    show(error, true);
    words.focus();
  } finally {
    put(form, "aria-busy", null);
  }
}

/** Have the dialogs of templates/dashboard/alert_dialogs.html work. */
export function startAlertDialogs() {
  for (const what of ["acknowledge", "silence"]) {
    const dialog = find(`#${what}-dialog`);
    const form = find("form", dialog);
    find("[data-cancel]", dialog).addEventListener("click", () => dialog.close());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!form.hasAttribute("aria-busy")) send(what, dialog, form);
    });
  }
}
