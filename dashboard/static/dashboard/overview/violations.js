// Limits that are broken, or were today: the evidence.

import { find, icon, keyed, make, put, say, setIcon, show } from "../dom.js";
import { metric, sign, span, time } from "../format.js";
import { live } from "../live.js";
import { panel } from "../panels.js";
import { accountPage } from "../words.js";

const FEW = 8;

function makeRow() {
  return make(
    "li",
    {},
    make("span", { class: "level" }, icon("info"), make("span")),
    make("span", { class: "name" }, make("span", { "data-name": true }), " ", make("a", { "data-account": true })),
    make("span", { class: "small muted", "data-when": true }),
    make("span", { class: "small muted name", "data-worst": true }),
  );
}

function updateRow(node, [, row]) {
  const open = row.closed_at === null;
  const level = levelOf(row);
  put(node, "data-level", level);
  setIcon(node.querySelector("svg"), level);
  say(node.querySelector(".level > span"), isBlock(row) ? "blocked" : open ? "open" : "over");
  say(node.querySelector("[data-name]"), row.policy_name);
  const account = node.querySelector("[data-account]");
  say(account, [row.account_id ?? (row.kind === "fault" ? "" : "the firm"), row.symbol].filter(Boolean).join(" "));
  put(account, "href", row.account_id ? accountPage(row.account_id) : null);
  const since = `since ${time(row.opened_at, live.now())}`;
  say(node.querySelector("[data-when]"), open ? `${since}, ${span(live.now() - Date.parse(row.opened_at))}` : `${since}, over ${time(row.closed_at, live.now())}`);
  const worst = row.worst_value === null ? "undefined" : metric(row.metric, row.worst_value);
  say(node.querySelector("[data-worst]"), `at worst ${worst} / ${sign(row.operator)} ${metric(row.metric, row.threshold)}`);
}

/** Orders that were blocked before they broke a limit: the controls did what they are for. */
const isBlock = (row) => row.kind === "block";

const isOpen = (row) => row.closed_at === null && !isBlock(row);

function levelOf(row) {
  if (!isOpen(row)) return "info";
  return row.policy_type === "soft" ? "warning" : "critical";
}

/** Broken limits that are open first, then the newest. */
function ordered() {
  const rows = [...live.rows("violations")];
  const open = ([, row]) => Number(isOpen(row));
  return rows.sort((a, b) => open(b) - open(a) || (a[1].opened_at < b[1].opened_at ? 1 : -1));
}

function draw(place) {
  const rows = ordered();
  keyed(find("[data-rows]", place), rows.slice(0, FEW), { key: ([key]) => key, make: makeRow, update: updateRow });
  const open = rows.filter(([, row]) => isOpen(row)).length;
  const blocked = rows.filter(([, row]) => isBlock(row)).length;
  const over = rows.length - open - blocked;
  say(find("[data-summary]", place), rows.length ? `${open} open, ${over} over, ${blocked} of blocked orders` : "");
  const empty = find("[data-empty]", place);
  show(empty, rows.length === 0);
  say(empty, "No limit is broken, and none was in the last 24 hours.");
}

export function startViolations() {
  const place = find("#violations");
  panel(place, ["violations"], () => draw(place));
}
