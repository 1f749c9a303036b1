// Bars that the server draws: how much of a limit is used, in an attribute, since no style may stand in the page.

import { make } from "./dom.js";

/** Give the bars under a node their lengths. */
export function drawBars(under = document) {
  for (const bar of under.querySelectorAll(".bar[data-used]")) setBar(bar, bar.dataset.used);
}

/** Set a bar to a utilisation: a fraction as text; null or "beyond" is beyond measure. */
export function setBar(bar, used) {
  if (bar.firstElementChild === null) bar.append(make("span"));
  const share = used === null || used === "beyond" ? 1 : Math.min(1, Math.max(0, Number(used)));
  bar.firstElementChild.style.setProperty("--used", Number.isFinite(share) ? share : 0);
}
