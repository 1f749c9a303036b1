// Panels: parts of a page that show sections of the picture, and say so themselves when what they show is old.

import { find, make, put, say, show } from "./dom.js";
import { span, time } from "./format.js";
import { live } from "./live.js";

const CONNECTION = {
  connecting: "not connected yet",
  late: "nothing was heard since",
  reconnecting: "the connection is lost, trying again",
  "signed-out": "you are signed out",
  forbidden: "you may not look any more",
};

/** Sections that are as old as the monitor's last look, and after how long of its silence they are old. */
const MONITORED = new Set(["firm", "accounts"]);
const MONITOR_SILENT_MS = 5_000;

const panels = [];

/**
 * Have an element show sections of the picture.
 *
 * `draw()` is called whenever one of them has changed. Whatever makes what is shown old is laid over the element: a
 * broken connection, a section that the server cannot read, a monitor that is silent, or a fault in `draw` itself.
 */
export function panel(element, sections, draw) {
  const made = { element, sections, failed: null, note: make("p", { class: "old-note", hidden: true }) };
  element.classList.add("live");
  (find(".panel-head", element) ?? element).after(made.note);
  if (made.note.parentElement !== element) element.prepend(made.note);
  panels.push(made);
  live.on([...sections, "trouble", "health"], () => {
    try {
      draw();
      made.failed = null;
    } catch (error) {
      made.failed = live.at;
      console.error(error);
    }
    mark(made);
  });
  mark(made);
}

/** Return since when (ms) a panel is old and why, or null where it is not. */
function oldness({ sections, failed }) {
  if (live.at === null || live.state !== "live") return { since: live.at, why: CONNECTION[live.state] };
  if (failed !== null) return { since: failed, why: "this part of the page has a fault; load it again" };
  for (const name of sections) {
    const trouble = live.rows("trouble").get(name);
    if (trouble) return { since: Date.parse(trouble.since), why: trouble.why };
  }
  return sections.some((name) => MONITORED.has(name)) ? monitorSilence() : null;
}

/** The monitor's last look at the accounts, in ms since the epoch; null before the first. */
export function monitorLookedAt() {
  const age = live.one("health")?.monitor_age_ms ?? null;
  return age === null ? null : live.at - age;
}

function monitorSilence() {
  const health = live.one("health");
  if (!health) return null;
  const looked = monitorLookedAt();
  if (looked === null) return { since: null, why: "the monitor has not looked yet" };
  if (live.now() - looked > MONITOR_SILENT_MS) return { since: looked, why: "the monitor is silent" };
  // Before the first account has a state it has nothing to tell.
  const told = health.monitor_at === null ? null : Date.parse(health.monitor_at);
  const isUnheard = told !== null && live.now() - told > MONITOR_SILENT_MS;
  return isUnheard ? { since: told, why: "the monitor looks, but is not heard here" } : null;
}

function mark(panel) {
  const old = oldness(panel);
  put(panel.element, "data-old", old !== null);
  show(panel.note, old !== null);
  if (old === null) return;
  const age = old.since === null ? "" : `as of ${time(old.since, live.now())}, ${span(live.now() - old.since)} ago: `;
  say(panel.note, `${age}${old.why ?? "not connected"}`);
}

live.onState(() => panels.forEach(mark));
setInterval(() => panels.forEach(mark), 500);
