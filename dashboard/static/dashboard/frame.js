// What is around every page: the trading state, the connection, the clock, counts in the navigation, theme and keys.

import { find, put, say, show } from "./dom.js";
import { span, time } from "./format.js";
import { onKey, startKeys } from "./keys.js";
import { live } from "./live.js";
import { startPresence } from "./presence.js";
import { startStop } from "./stop.js";
import { startTheme } from "./theme_switch.js";
import { startTradingState } from "./trading_state.js";

const WORDS = {
  connecting: "connecting",
  live: "live",
  late: "late",
  reconnecting: "reconnecting",
  "signed-out": "signed out",
  forbidden: "not allowed",
};

const UNACKNOWLEDGED = "firing";

function drawCounts() {
  const firing = [...live.rows("alerts").values()].filter(({ state }) => state === UNACKNOWLEDGED).length;
  for (const [name, count] of [["alerts", firing], ["stops", live.rows("stops").size]]) {
    for (const place of document.querySelectorAll(`[data-count=${name}]`)) {
      show(place, count > 0);
      say(place, String(count));
    }
  }
}

const pageTitle = document.title;

/** The tab says what is wrong too, for those who look at another one. */
function drawTitle() {
  const state = live.one("trading")?.state ?? "ACTIVE";
  const firing = [...live.rows("alerts").values()].filter((alert) => alert.state === UNACKNOWLEDGED).length;
  const words = [state === "ACTIVE" ? "" : state, firing ? `${firing} to acknowledge` : "", pageTitle];
  document.title = words.filter(Boolean).join(" · ");
}

function drawConnection() {
  const place = find("#connection");
  put(place, "data-connection", live.state);
  say(find("[data-word]", place), WORDS[live.state]);
}

const BANNERS = {
  late: (age) => `Nothing was heard from the server for ${age}. What is below is old.`,
  reconnecting: (age) => `The live connection is lost. What is below is ${age} old. ${nextTry()}`,
  "signed-out": () => "You are signed out: what is below is old, and nothing can be pressed.",
  forbidden: () => "You may not look at this any more: what is below is old.",
};

function nextTry() {
  const wait = live.retryAt === null ? 0 : live.retryAt - Date.now();
  return wait > 1_000 ? `Trying again in ${span(wait)}.` : "Trying again now.";
}

function drawClock() {
  say(find("#clock"), live.at === null ? "--:--:--" : time(live.now(), live.now()));
  const banner = find("#banner");
  const words = BANNERS[live.state];
  // A break that is over within two seconds needs no shouting; the panels are marked at once.
  const silence = live.at === null ? 0 : live.now() - live.at;
  const shown = words !== undefined && (silence > 2_000 || live.state === "signed-out" || live.state === "forbidden");
  show(banner, shown);
  if (!shown) return;
  say(find("[data-word]", banner), words(span(silence)));
  show(find("a", banner), live.state === "signed-out");
}

function markWay() {
  for (const way of document.querySelectorAll("[data-way]")) {
    const path = new URL(way.href).pathname;
    const here = path === "/" ? location.pathname === "/" : location.pathname.startsWith(path);
    put(way, "aria-current", here ? "page" : null);
  }
}

function startBanner() {
  const { signIn } = document.body.dataset;
  const next = encodeURIComponent(location.pathname + location.search);
  find("#banner a").href = `${signIn}?next=${next}`;
}

startTheme();
startKeys();
markWay();
startBanner();
startStop();
startTradingState();
startPresence();
for (const way of document.querySelectorAll("[data-way]")) {
  const key = way.dataset.way;
  if (key) onKey(key, `to ${way.textContent.trim().split(/\s/)[0]}`, () => way.click());
}
live.on(["alerts", "stops"], drawCounts);
live.on(["alerts", "trading"], drawTitle);
live.onState(drawConnection);
setInterval(drawClock, 250);
live.start();
