// The page of reports: how far those are that are being made.

import { find, put, say } from "../dashboard/dom.js";
import { announce, refresh } from "../dashboard/fragments.js";
import { get } from "../dashboard/rest.js";

const EVERY_MS = 1_000;
const WORDS = { waiting: "waiting", running: "being made" };

const unfinished = () => [...document.querySelectorAll("[data-state=waiting], [data-state=running]")];

function draw(row, { state, done, total }) {
  put(row, "data-state", state);
  say(find("[data-word]", row), WORDS[state]);
  if (!total) return; // they are not counted yet
  const progress = find("progress", row);
  progress.max = total;
  progress.value = done;
  say(find("[data-rows]", row), `${done.toLocaleString("en")} of ${total.toLocaleString("en")} rows`);
}

/** Ask how far they are. What is not told of any more is over: the server draws what became of it. */
async function look() {
  const rows = unfinished();
  if (rows.length === 0 || document.hidden) return;
  try {
    const told = await get(find("#made").dataset.progressAddress);
    for (const row of rows) if (told[row.dataset.report]) draw(row, told[row.dataset.report]);
    if (rows.every((row) => told[row.dataset.report])) return;
    announce("A report is over.");
    refresh();
  } catch (error) {
    console.warn("how far reports are is not known:", error.message);
  }
}

setInterval(look, EVERY_MS);
look();
