// Whether what is on the page can be trusted: who looks, how old it is, which limits hold.

import { find, icon, keyed, make, put, say, setIcon } from "../dom.js";
import { span, time } from "../format.js";
import { live } from "../live.js";
import { monitorLookedAt, panel } from "../panels.js";

const MONITOR_LATE_MS = 5_000;
const JOURNAL_LATE_S = 10;

function facts() {
  const health = live.one("health");
  const book = live.one("book");
  return [monitorFact(), statesFact(), journalFact(health), bookFact(book)];
}

function monitorFact() {
  const looked = monitorLookedAt();
  if (looked === null) return ["Monitor", "has not looked yet", "unknown"];
  const age = live.now() - looked;
  return ["Monitor", `looked ${span(age)} ago`, age > MONITOR_LATE_MS ? "critical" : "info"];
}

function statesFact() {
  const stale = [...live.rows("stale").keys()];
  const known = live.rows("accounts").size;
  if (stale.length === 0) return known ? ["Account states", "all fresh", "info"] : ["Account states", "none reported", "unknown"];
  const names = stale.slice(0, 5).join(", ") + (stale.length > 5 ? " …" : "");
  return ["Account states", `${stale.length} old or missing: ${names}. Their orders are blocked.`, "critical"];
}

function journalFact(health) {
  const lag = health?.journal_lag_s;
  if (lag === null || lag === undefined) return ["Journal", "not known", "unknown"];
  return ["Journal", `written within ${span(Number(lag) * 1000)}`, Number(lag) > JOURNAL_LATE_S ? "warning" : "info"];
}

function bookFact(book) {
  if (!book) return ["Limits", "no book is published", "unknown"];
  const why = book.reason ? `: ${book.reason}` : "";
  return ["Limits", `book ${book.version}, ${time(book.created_at, live.now())} by ${book.actor}${why}`, "info"];
}

function draw(place) {
  keyed(find("[data-facts]", place), facts(), {
    key: ([name]) => name,
    make: ([name]) => make("div", {}, make("dt", {}, make("span", { class: "level" }, icon("info")), name), make("dd", { class: "name" })),
    update: (node, [, words, level]) => {
      put(node.querySelector(".level"), "data-level", level);
      setIcon(node.querySelector("svg"), level);
      say(node.lastElementChild, words);
    },
  });
}

export function startSystem() {
  const place = find("#system");
  panel(place, ["health", "stale", "book"], () => draw(place));
  setInterval(() => live.at !== null && draw(place), 1_000);
}
