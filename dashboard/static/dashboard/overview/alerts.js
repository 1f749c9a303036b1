// The alert feed.

import { drawAlerts, openDialog, startAlertDialogs, urgentFirst } from "../alert_rows.js";
import { find, say, show } from "../dom.js";
import { onKey } from "../keys.js";
import { live } from "../live.js";
import { panel } from "../panels.js";

const MOST = 40;

let known = null;

function draw(place) {
  const rows = urgentFirst([...live.rows("alerts")]);
  drawAlerts(find("[data-rows]", place), rows.slice(0, MOST));
  announce(rows);
  const firing = rows.filter(([, row]) => row.state === "firing").length;
  say(find("[data-summary]", place), rows.length ? `${firing} need somebody, ${rows.length} in all` : "");
  const empty = find("[data-empty]", place);
  show(empty, rows.length === 0);
  say(empty, "No alert: nothing needs you, and nothing was resolved in the last hour.");
}

/** Have a screen reader say the first alert that came since the last look, and no more of them. */
function announce(rows) {
  const firing = rows.filter(([, row]) => row.state === "firing");
  const fresh = known === null ? [] : firing.filter(([id]) => !known.has(id));
  known = new Set(firing.map(([id]) => id));
  if (fresh.length) say(find("#announcer"), `New ${fresh[0][1].level} alert: ${fresh[0][1].message}`);
}

/** Acknowledge the alert that needs somebody most. */
function acknowledgeFirst() {
  const [first] = urgentFirst([...live.rows("alerts")]);
  if (first?.[1].state === "firing") openDialog("acknowledge", first[0]);
}

export function startAlerts() {
  const place = find("#alerts");
  startAlertDialogs();
  if (document.body.dataset.may.split(" ").includes("alerts")) {
    onKey("k", "acknowledge the first alert", acknowledgeFirst);
  }
  panel(place, ["alerts"], () => draw(place));
}
