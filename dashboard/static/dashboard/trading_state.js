// The trading state, in view on every page. While the live connection is away it is asked for over REST, so that what is
// shown of it is never older than some seconds without saying so.

import { find, put, say, setIcon } from "./dom.js";
import { live } from "./live.js";
import { get } from "./rest.js";

const STATES = { ACTIVE: "active", REDUCING: "reducing only", HALTED: "halted", RECOVERING: "recovering" };
const EVERY_MS = 3_000;

let asked = null;

/** Return the state for every order and how many stops are in force, as GET /risk/emergency-stop has them. */
async function ask() {
  try {
    const { results } = await get("/risk/emergency-stop");
    const everywhere = results.filter(({ scope }) => scope.type === "global").map(({ state }) => state);
    const state = everywhere.includes("HALTED") ? "HALTED" : (everywhere[0] ?? "ACTIVE");
    return { state, stops: results.length };
  } catch (error) {
    return error.code === "recovering" ? { state: "RECOVERING", stops: null } : null;
  }
}

function draw() {
  const place = find("#trading-state");
  const isLive = live.state === "live";
  const trading = (isLive ? null : asked) ?? live.one("trading");
  const state = trading?.state ?? "unknown";
  put(place, "data-state", state.toLowerCase());
  put(place, "data-old", !isLive && asked === null && trading !== null);
  setIcon(find("svg", place), state in STATES ? state.toLowerCase() : "unknown");
  const stops = trading?.stops ?? 0;
  const isInPart = state === "ACTIVE" && stops > 0;
  put(place, "data-in-part", isInPart);
  const partly = isInPart ? `, ${stops} ${stops === 1 ? "stop" : "stops"} in part` : "";
  say(find("[data-word]", place), (STATES[state] ?? "not known yet") + partly);
}

async function askWhileAway() {
  const isAway = live.state !== "live";
  asked = isAway ? await ask() : null;
  if (isAway) draw();
}

export function startTradingState() {
  live.on(["trading", "stops"], draw);
  live.onState(draw);
  setInterval(askWhileAway, EVERY_MS);
}
