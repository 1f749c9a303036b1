// Lists do not move under the reader: what has come or changed since is told, and shown when it is asked for.

import { find, say, show } from "./dom.js";
import { live } from "./live.js";

/**
 * Tell how a list differs from a section of the picture. `stateOf(row)`: what a row says of its state, as the page has
 * it in data-state; `momentOf(row)`: what the list is sorted by.
 */
export function tellChanges(section, { stateOf, momentOf }) {
  const notice = find("[data-list-change]");
  const isNewest = !new URLSearchParams(location.search).toString();
  live.on([section], () => {
    const shown = new Map([...document.querySelectorAll("[data-row]")].map((row) => [row.dataset.row, row]));
    const newest = Date.parse(find("[data-row] time")?.dateTime ?? "1970-01-01");
    let come = 0;
    let changed = 0;
    for (const [id, row] of live.rows(section)) {
      const there = shown.get(id);
      if (there) changed += Number(there.dataset.state !== stateOf(row));
      else if (isNewest && Date.parse(momentOf(row)) > newest) come += 1;
    }
    show(notice, come + changed > 0);
    const words = [come && `${come} new`, changed && `${changed} changed`].filter(Boolean).join(", ");
    say(find("[data-word]", notice), `${words} since this list was read.`);
  });
}
