// Limits as rows: the name, a bar of what is used, and the numbers.

import { icon, keyed, make, put, say, setIcon, show } from "./dom.js";
import { metric, sign, utilisation } from "./format.js";
import { CRITICAL, WARNING, accountPage, levelOf } from "./words.js";

const used = (row) => (row.utilisation === null ? Infinity : Number(row.utilisation));

/** Limits with the binding one first: broken ones, then by what is used of them. `rows`: [key, row]. */
export function bindingFirst(rows) {
  const broken = ([, row]) => Number(row.holds === false);
  return rows.sort((a, b) => broken(b) - broken(a) || used(b[1]) - used(a[1]) || (a[1].name < b[1].name ? -1 : 1));
}

function makeRow() {
  const bar = make("div", { class: "bar", "aria-hidden": "true" }, make("span"), make("i"), make("i"));
  bar.children[1].style.setProperty("--at", WARNING);
  bar.children[2].style.setProperty("--at", CRITICAL);
  return make(
    "li",
    { class: "limit-row" },
    make("span", { class: "level" }, icon("info"), make("span", { class: "hidden", "data-level-word": true })),
    make("span", { class: "limit-name name" }, make("span", { "data-name": true }), make("em", { "data-broken": true }, "broken")),
    make("span", { class: "limit-used number", "data-used": true }),
    bar,
    make("span", { class: "limit-value small muted", "data-value": true }),
    make("span", { class: "limit-who small" }, make("a", { class: "name", "data-account": true }), make("span", { "data-symbol": true })),
  );
}

function updateRow(node, [, row]) {
  const level = levelOf(row);
  put(node, "data-level", level);
  setIcon(node.querySelector("svg"), level);
  say(node.querySelector("[data-level-word]"), `${level}, ${row.type}`);
  say(node.querySelector("[data-name]"), row.name);
  show(node.querySelector("[data-broken]"), row.holds === false);
  say(node.querySelector("[data-used]"), utilisation(row.utilisation));
  node.querySelector(".bar > span").style.setProperty("--used", Math.min(1, Math.max(0, used(row))));
  const value = row.value === null ? "undefined" : metric(row.metric, row.value);
  say(node.querySelector("[data-value]"), `${value} / ${sign(row.operator)} ${metric(row.metric, row.threshold)}`);
  const account = node.querySelector("[data-account]");
  say(account, row.account_id ?? "the firm");
  put(account, "href", row.account_id ? accountPage(row.account_id) : null);
  say(node.querySelector("[data-symbol]"), row.symbol ?? "");
}

/** Have a list hold limits, [key, row] each, in this order. */
export function drawLimits(list, rows) {
  keyed(list, rows, { key: ([key]) => key, make: makeRow, update: updateRow });
}
