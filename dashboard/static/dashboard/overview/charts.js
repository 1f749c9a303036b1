// The firm over time.

import { startCharts as start } from "../charts.js";
import { find } from "../dom.js";
import { live } from "../live.js";

function read() {
  const firm = live.one("firm");
  return !firm?.at ? null : { at: firm.at, equity: firm.equity, ...firm.metrics };
}

export function startCharts() {
  const place = find("#charts");
  // The firm's figures are not for those who see some accounts only.
  if (document.body.dataset.accounts) place.hidden = true;
  else start(place, { account: "", sections: ["firm"], read });
}
