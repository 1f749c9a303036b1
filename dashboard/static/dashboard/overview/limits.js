// What is used of every limit, the binding one first.

import { find, say, show } from "../dom.js";
import { bindingFirst, drawLimits } from "../limit_rows.js";
import { live } from "../live.js";
import { panel } from "../panels.js";
import { levelOf } from "../words.js";

const FEW = 10;

let all = false;

function draw(place) {
  const rows = bindingFirst([...live.rows("limits")]);
  const broken = rows.filter(([, row]) => row.holds === false).length;
  const near = rows.filter(([, row]) => levelOf(row) !== "info").length - broken;
  drawLimits(find("[data-rows]", place), all ? rows : rows.slice(0, FEW));
  say(find("[data-summary]", place), rows.length === 0 ? "" : `${broken} broken, ${near} near, of ${rows.length}`);
  const more = find("[data-more]", place);
  show(more, rows.length > FEW);
  say(more, all ? `Show the first ${FEW}` : `Show all ${rows.length}`);
  const empty = find("[data-empty]", place);
  show(empty, rows.length === 0);
  say(empty, "No limit has a value yet: they get one when the first account reports its state.");
}

export function startLimits() {
  const place = find("#limits");
  panel(place, ["limits"], () => draw(place));
  find("[data-more]", place).addEventListener("click", () => {
    all = !all;
    draw(place);
  });
}
