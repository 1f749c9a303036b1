// Whether what is on the page can be trusted: who looks, how old it is, which limits hold.

import { find, icon, keyed, make, put, say, setIcon } from "../dom.js";
import { span, time } from "../format.js";
import { live } from "../live.js";
import { panel } from "../panels.js";

const MONITOR_LATE_MS = 5_000;
const JOURNAL_LATE_S = 10;

function facts() {
  const health = live.one("health");
  const book = live.one("book");
  return [monitorFact(health), statesFact(health), natsFact(health), journalFact(health), bookFact(book)];
}

function monitorFact(health) {
  if (!health?.monitor_at) return ["Monitor", "has not looked yet", "unknown"];
  const age = live.now() - Date.parse(health.monitor_at);
  return ["Monitor", `looked ${span(age)} ago`, age > MONITOR_LATE_MS ? "critical" : "info"];
}

function statesFact(health) {
  const stale = health?.stale_accounts ?? [];
  const oldest = health?.oldest_state_ms;
  if (stale.length === 0) {
    return oldest === null || oldest === undefined
      ? ["Account states", "none reported", "unknown"]
      : ["Account states", `the oldest is ${span(oldest)} old`, "info"];
  }
  const names = stale.slice(0, 5).join(", ") + (stale.length > 5 ? " …" : "");
  return ["Account states", `${stale.length} old: ${names}. Orders of these are blocked.`, "critical"];
}

function natsFact(health) {
  const nats = health?.nats;
  if (nats === null || nats === undefined) return ["NATS", "is not used", "info"];
  return nats ? ["NATS", "connected", "info"] : ["NATS", "is away: feeds and publishing wait", "critical"];
}

function journalFact(health) {
  const lag = health?.journal_lag_s;
  if (lag === null || lag === undefined) return ["Journal", "not known", "unknown"];
  return ["Journal", `written within ${span(Number(lag) * 1000)}`, Number(lag) > JOURNAL_LATE_S ? "warning" : "info"];
}

function bookFact(book) {
  if (!book) return ["Limits", "no book is published", "unknown"];
  const why = book.reason ? `: ${book.reason}` : "";
  return ["Limits", `book ${book.version}, ${time(book.published_at, live.now())} by ${book.actor}${why}`, "info"];
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
  panel(place, ["health", "book"], () => draw(place));
  setInterval(() => live.at !== null && draw(place), 1_000);
}
