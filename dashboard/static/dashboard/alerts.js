// The list of alerts: acknowledge and silence, and what has changed since.

import { openDialog, startAlertDialogs } from "./alert_rows.js";
import { find, say } from "./dom.js";
import { refresh } from "./fragments.js";
import { tellChanges } from "./list_changes.js";

function start() {
  if (find("#acknowledge-dialog") === null) return;
  startAlertDialogs();
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-act]");
    if (button === null) return;
    const { act, id } = button.dataset;
    openDialog(act, id);
    say(find(`#${act}-dialog [data-alert]`), button.closest(".entry").querySelector(".name").textContent);
  });
  for (const dialog of document.querySelectorAll("#acknowledge-dialog, #silence-dialog")) {
    dialog.addEventListener("close", refresh);
  }
}

start();
tellChanges("alerts", { stateOf: (row) => row.state, momentOf: (row) => row.timestamp });
