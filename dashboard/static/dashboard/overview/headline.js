// The first line: what is wrong, how bad it is, what to press.

import { find, keyed, make, put, say, setIcon, show } from "../dom.js";
import { number, span } from "../format.js";
import { live } from "../live.js";
import { panel } from "../panels.js";
import { openStop } from "../stop.js";
import { scopeWords, stopPage } from "../words.js";

const LEVELS = {
  INFO: "Risk is normal",
  WARNING: "Risk is near a limit",
  CRITICAL: "Risk is critical",
  UNKNOWN: "Risk is not known yet",
};

/** What is recommended, what the button says, and what it asks for; and which trading states are enough already. */
const ADVICE = {
  none: { words: "Nothing has to be done." },
  reduce_only: {
    words: "Let only orders pass that reduce positions.",
    button: "Reduce only…",
    asked: { state: "REDUCING" },
    enough: ["REDUCING", "HALTED"],
  },
  halt: { words: "Halt trading.", button: "Halt trading…", asked: { state: "HALTED" }, enough: ["HALTED"] },
  unwind: {
    words: "Halt trading and close the positions: equity does not cover the margin.",
    button: "Halt and unwind…",
    asked: { state: "HALTED", unwind: true },
    enough: [],
  },
};

const worst = ["UNKNOWN", "INFO", "WARNING", "CRITICAL"];

/** The firm's row; for who sees some accounts only, the worst of these. */
function seen() {
  const firm = live.one("firm");
  if (firm) return firm;
  const rows = [...live.rows("accounts").values()];
  const levels = rows.map((row) => row.risk_level);
  const level = worst.findLast((each) => levels.includes(each)) ?? "UNKNOWN";
  const scores = rows.map((row) => row.risk_score).filter((score) => score !== null);
  const score = scores.length ? Math.max(...scores.map(Number)) : null;
  return { risk_level: level, risk_score: score, tier: "none", critical_issues: [], warnings: [], of_accounts: true };
}

function drawVerdict(place, firm) {
  const level = firm.risk_level.toLowerCase();
  put(place, "data-level", level);
  setIcon(find("svg", place), level);
  say(find("[data-word]", place), LEVELS[firm.risk_level] ?? LEVELS.UNKNOWN);
  const of = firm.of_accounts ? "of your riskiest account" : "of the firm";
  say(find("[data-score]", place), firm.risk_score === null ? "" : `score ${number(firm.risk_score, 0)} of 100, ${of}`);
}

function stopLines() {
  return [...live.rows("stops")].map(([id, stop]) => {
    const what = stop.state === "HALTED" ? "Halted" : "Reducing only";
    const since = stop.engaged_at ? `${span(live.now() - Date.parse(stop.engaged_at))} ago` : "at a time not known";
    const words = `${what} ${scopeWords(stop.scope)}, ${since} by ${stop.triggered_by ?? "somebody"}: ${stop.reason ?? "no reason known"}`;
    return { key: `stop ${id}`, words, href: stopPage(id), level: "emergency" };
  });
}

function issueLines(firm) {
  const critical = firm.critical_issues.map((words) => ({ key: words, words, level: "critical" }));
  return [...critical, ...firm.warnings.map((words) => ({ key: words, words, level: "warning" }))];
}

function drawIssues(list, lines) {
  keyed(list, lines, {
    key: ({ key }) => key,
    make: ({ href }) => make("li", { class: "name" }, make(href ? "a" : "span", href ? { href } : {})),
    update: (node, { words, level }) => {
      put(node, "data-level", level);
      say(node.firstElementChild, words);
    },
  });
}

const MOST_LINES = 6;

function draw(place) {
  const firm = seen();
  drawVerdict(find(".verdict", place), firm);
  const stops = stopLines();
  const issues = issueLines(firm);
  const lines = [...stops, ...issues].slice(0, MOST_LINES);
  const left = stops.length + issues.length - lines.length;
  if (left > 0) lines.push({ key: "more", words: `and ${left} more`, level: "info" });
  drawIssues(find("[data-issues]", place), lines);
  drawAdvice(place, firm, stops.length);
}

function drawAdvice(place, firm, stops) {
  const advice = ADVICE[firm.tier ?? "none"] ?? ADVICE.none;
  const state = live.one("trading")?.state;
  const done = advice.enough?.includes(state) ?? false;
  say(find("[data-advice]", place), adviceWords(firm, advice, state, done, stops));
  const button = find("[data-act] button", place);
  const needed = Boolean(advice.button) && !done;
  if (button === null) return;
  show(button, needed);
  say(button, advice.button ?? "");
  button.onclick = () => openStop({ ...advice.asked, reason: firm.critical_issues[0] });
}

function adviceWords(firm, advice, state, done, stops) {
  if (state === "RECOVERING") return "No order passes while the live state is restored; that ends by itself.";
  if (done) return "What is recommended is in force. See the stop through.";
  if (advice.button) return `Recommended: ${advice.words}`;
  if (stops > 0) return "Trading is stopped, in all or in part.";
  if (firm.risk_level === "UNKNOWN") return "No account has reported its state: nothing can be said of risk.";
  if (firm.risk_level === "CRITICAL" || firm.critical_issues.length) return "Look at what is critical, below.";
  return firm.risk_level === "WARNING" ? "Nothing has to be done yet: look at what is near its limit." : advice.words;
}

export function startHeadline() {
  const place = find("#headline");
  if (find("#stop-dialog")) {
    find("[data-act]", place).append(make("button", { type: "button", class: "danger", hidden: true }));
  }
  panel(place, ["firm", "accounts", "trading", "stops"], () => draw(place));
}
