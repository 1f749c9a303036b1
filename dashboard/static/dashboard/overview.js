// The overview: what is wrong, how bad it is, what to press.

import { find, say, setIcon, put } from "./dom.js";
import { number } from "./format.js";
import { live } from "./live.js";
import { panel } from "./panels.js";

const LEVELS = { INFO: "Risk is normal", WARNING: "Risk is near a limit", CRITICAL: "Risk is critical" };

function drawHeadline() {
  const firm = live.one("firm");
  const place = find(".headline-level");
  const level = (firm?.risk_level ?? "UNKNOWN").toLowerCase();
  put(place, "data-level", level);
  setIcon(find("svg", place), level);
  say(find("[data-word]", place), LEVELS[firm?.risk_level] ?? "Risk is not known yet");
  say(find("[data-score]", place), firm?.risk_score === null || !firm ? "" : `score ${number(firm.risk_score, 0)} of 100`);
}

panel(find("#headline"), ["firm", "trading", "stops"], drawHeadline);
