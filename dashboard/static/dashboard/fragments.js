// Parts of a page that the server draws, fetched again when what they show has changed.

import { drawBars } from "./bars.js";
import { say, find } from "./dom.js";

const PAUSE_MS = 1_000;
const PATIENCE_MS = 10_000;

/** What fragments were last made of, to leave those alone that have not changed. */
const sources = new WeakMap();

let fetchedAt = 0;
let waits = false;
let runs = false;
let again = false;

/** Fetch the page again, at most once a second, and put its fragments in the place of these. */
export function refresh() {
  if (waits) return;
  if (runs) {
    // One after the other: an older answer that comes later must not take the place of a newer one.
    again = true;
    return;
  }
  waits = true;
  setTimeout(fetchNow, Math.max(0, fetchedAt + PAUSE_MS - Date.now()));
}

async function fetchNow() {
  waits = false;
  runs = true;
  fetchedAt = Date.now();
  try {
    const answer = await fetch(location.href, { credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE_MS) });
    // Whoever is signed out is led elsewhere: the connection says so.
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-fragment]")) if (part.isConnected) replace(part, page);
  } catch (error) {
    console.warn("the page could not be fetched again:", error.message);
  } finally {
    runs = false;
    if (again) {
      again = false;
      refresh();
    }
  }
}

/** Put what a fragment has become in its place; where somebody types in it, only in that of the parts around. */
function replace(part, page) {
  const fresh = page.getElementById(part.id);
  if (fresh === null || fresh.innerHTML === sources.get(part)) return;
  if (isInUse(part)) {
    sources.delete(part);
    for (const inner of part.querySelectorAll("[data-fragment]")) if (inner.isConnected) replace(inner, page);
    return;
  }
  sources.set(part, fresh.innerHTML);
  const open = [...part.querySelectorAll("details")].map((details) => details.open);
  const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  part.replaceChildren(...fresh.childNodes);
  [...part.querySelectorAll("details")].forEach((details, place) => (details.open = open[place] ?? details.open));
  if (focused) [...part.querySelectorAll("a")].find((each) => each.getAttribute("href") === focused)?.focus();
  drawBars(part);
}

/** Whether somebody types in a part, has typed, or reads what a form has answered. */
function isInUse(part) {
  if (part.querySelector("form[aria-busy], form .error:not([hidden]), form .result:not([hidden])")) return true;
  const typed = [...part.querySelectorAll("input, textarea")].some((field) => field.value !== field.defaultValue);
  return typed || (part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select"));
}

/** Say something to those who listen to the page. */
export function announce(words) {
  say(find("#announcer"), words);
}
