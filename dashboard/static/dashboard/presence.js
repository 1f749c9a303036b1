// Somebody who looks at a page and moves on it is there, though nothing is asked of the server: their session is kept
// from growing idle, so that the stop button works when it is needed.

import { get } from "./rest.js";

const EVERY_MS = 4 * 60_000;

let last = Date.now();

function tell() {
  if (Date.now() - last < EVERY_MS) return;
  last = Date.now();
  // Whatever it answers: a session that is over is told by the live connection.
  get("/risk/emergency-stop").catch(() => {});
}

export function startPresence() {
  for (const name of ["pointermove", "pointerdown", "keydown", "wheel"]) {
    document.addEventListener(name, tell, { passive: true });
  }
}
