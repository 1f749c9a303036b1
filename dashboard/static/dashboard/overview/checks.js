// How many orders are checked, how many pass, how long it takes, and why others do not.

import { find, keyed, make, say, show } from "../dom.js";
import { micros, number, percent } from "../format.js";
import { live } from "../live.js";
import { panel } from "../panels.js";
import { reasonWords } from "../words.js";

const FIGURES = [
  ["Checks", (row) => `${number(row.per_s, 1)} /s`],
  ["Approved", (row) => percent(row.approval_rate)],
  ["Half within", (row) => micros(row.p50_us)],
  ["99 % within", (row) => micros(row.p99_us)],
];

function drawFigures(place, row) {
  keyed(place, FIGURES, {
    key: ([name]) => name,
    make: ([name]) => make("div", {}, make("dt", {}, name), make("dd")),
    update: (node, [, show_]) => say(node.lastElementChild, show_(row)),
  });
}

function drawReasons(place, reasons) {
  const most = Math.max(1, ...reasons.map(([, count]) => count));
  keyed(place, reasons, {
    key: ([code]) => code,
    make: ([code]) =>
      make(
        "li",
        {},
        make("a", { class: "name", href: `/decisions/?reason=${encodeURIComponent(code)}` }, reasonWords(code)),
        make("b", { class: "number" }),
        make("div", { class: "bar", "aria-hidden": "true" }, make("span")),
      ),
    update: (node, [, count]) => {
      say(node.children[1], number(count));
      node.querySelector(".bar > span").style.setProperty("--used", count / most);
    },
  });
}

function draw(place) {
  const row = live.one("checks") ?? {};
  const reasons = Object.entries(row.by_reason ?? {}).filter(([, count]) => count > 0);
  reasons.sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  drawFigures(find("[data-figures]", place), row);
  drawReasons(find("[data-reasons]", place), reasons);
  show(find("[data-reasons-title]", place), reasons.length > 0);
  const none = !row.approved && !row.rejected;
  const empty = find("[data-empty]", place);
  show(empty, none);
  if (none && empty.childElementCount === 0) {
    const docs = make("a", { href: "/api/docs" }, "POST /risk/check");
    empty.replaceChildren("No order was checked in the last minute. An OMS asks by ", docs, ", over NATS or gRPC.");
  }
}

export function startChecks() {
  const place = find("#checks");
  panel(place, ["checks"], () => draw(place));
}
