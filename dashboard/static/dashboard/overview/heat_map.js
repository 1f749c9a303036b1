// All accounts as tiles, the riskiest first: by colour and shape, a number, and the limit that binds.

import { find, icon, keyed, make, put, say, setIcon, show } from "../dom.js";
import { metric, money, number } from "../format.js";
import { onKey, listKey } from "../keys.js";
import { live } from "../live.js";
import { panel } from "../panels.js";
import { accountPage } from "../words.js";

const score = (row) => (row.risk_score === null ? -1 : Number(row.risk_score));
const ORDER = { CRITICAL: 3, WARNING: 2, UNKNOWN: 1, INFO: 0 };

const isStale = (id) => live.rows("stale").has(id);

const WHICH = {
  all: () => true,
  near: (id, row) => row.risk_level === "WARNING" || row.risk_level === "CRITICAL",
  stopped: (id, row) => row.state !== "ACTIVE",
  stale: isStale,
};

function chosen(place) {
  const text = find("[data-filter]", place).value.trim().toLowerCase();
  const which = WHICH[find("[data-filter-level]", place).value];
  return [...live.rows("accounts")]
    .filter(([id, row]) => id.toLowerCase().includes(text) && which(id, row))
    .sort((a, b) => ORDER[b[1].risk_level] - ORDER[a[1].risk_level] || score(b[1]) - score(a[1]) || (a[0] < b[0] ? -1 : 1));
}

function makeTile() {
  return make(
    "a",
    { class: "tile", tabindex: "-1" },
    make("span", { class: "tile-id" }),
    make("span", { class: "tile-score" }, icon("info"), make("b")),
    make("span", { class: "tile-binding small" }),
    make("span", { class: "hidden" }),
  );
}

function updateTile(node, [id, row]) {
  const level = row.risk_level.toLowerCase();
  const stale = isStale(id);
  put(node, "href", accountPage(id));
  put(node, "data-level", level);
  put(node, "data-stale", stale);
  put(node, "data-id", id);
  say(node.lastElementChild, inWords(id, row, stale));
  node.style.setProperty("--score", row.risk_score === null ? 0 : Math.min(1, Number(row.risk_score) / 100));
  setIcon(node.querySelector("svg"), row.state === "ACTIVE" ? level : row.state.toLowerCase());
  say(node.querySelector(".tile-id"), id);
  say(node.querySelector("b"), row.risk_score === null ? "?" : number(row.risk_score, 0));
  say(node.querySelector(".tile-binding"), stale ? "old data" : row.state === "ACTIVE" ? (row.binding ?? "") : row.state.toLowerCase());
}

function inWords(id, row, stale) {
  const parts = [
    `${id}: ${row.risk_level.toLowerCase()}${row.risk_score === null ? "" : ` ${number(row.risk_score, 0)}`}`,
    row.state === "ACTIVE" ? "" : row.state.toLowerCase(),
    stale ? "its data is old" : "",
    row.binding ? `binding ${row.binding}` : "",
    `equity ${money(row.equity)}, exposure ${money(row.gross_exposure)}, leverage ${metric("leverage", row.leverage)}`,
    `today ${money(row.daily_pnl)}, drawdown ${metric("drawdown_daily", row.drawdown_daily)}`,
    `${row.open_positions ?? 0} positions`,
  ];
  return parts.filter(Boolean).join(" · ");
}

function draw(place) {
  const rows = live.rows("accounts");
  const shown = chosen(place);
  const tiles = find("[data-tiles]", place);
  put(tiles, "data-dense", shown.length > 60);
  keyed(tiles, shown, { key: ([id]) => id, make: makeTile, update: updateTile });
  keepOneStop(tiles);
  const all = live.one("firm")?.accounts ?? rows.size;
  const counted = shown.length === all ? `${all}` : `${shown.length} of ${all}`;
  say(find("[data-summary]", place), rows.size ? counted : "");
  show(find("[data-words]", place), rows.size > 0);
  drawEmpty(find("[data-empty]", place), rows.size, shown.length);
}

function drawEmpty(place, all, shown) {
  show(place, shown === 0);
  if (shown > 0) return;
  if (all > 0) say(place, "No account is like that. Clear the filter to see all.");
  else if (place.childElementCount === 0) {
    const add = make("a", { href: "/admin/policies/account/add/" }, "Add one");
    const docs = make("a", { href: "/api/docs" }, "PUT /risk/accounts/{id}/state");
    place.replaceChildren("There is no account that you can see. ", add, ", then report its state: ", docs, ".");
  }
}

/** One tile is in the order of Tab; the arrow keys go on from there. */
function keepOneStop(tiles) {
  if (tiles.querySelector("[tabindex='0']") === null) put(tiles.firstElementChild ?? tiles, "tabindex", tiles.firstElementChild ? "0" : null);
}

function move(tiles, from, by) {
  const all = [...tiles.children];
  const to = all[Math.min(all.length - 1, Math.max(0, all.indexOf(from) + by))];
  put(from, "tabindex", "-1");
  put(to, "tabindex", "0");
  to.focus();
}

function columns(tiles) {
  return getComputedStyle(tiles).gridTemplateColumns.split(" ").length;
}

function startArrows(tiles) {
  const steps = { ArrowRight: () => 1, ArrowLeft: () => -1, ArrowDown: columns, ArrowUp: (of) => -columns(of) };
  tiles.addEventListener("keydown", (event) => {
    const tile = event.target.closest(".tile");
    const step = event.key === "Home" ? -Infinity : event.key === "End" ? Infinity : steps[event.key]?.(tiles);
    if (tile === null || step === undefined) return;
    event.preventDefault();
    move(tiles, tile, step);
  });
}

function startWords(place, tiles) {
  const words = find("[data-words]", place);
  const tell = (event) => {
    const tile = event.target.closest(".tile");
    if (tile !== null) say(words, tile.lastElementChild.textContent);
  };
  tiles.addEventListener("pointerover", tell);
  tiles.addEventListener("focusin", tell);
}

export function startHeatMap() {
  const place = find("#accounts");
  const tiles = find("[data-tiles]", place);
  for (const filter of place.querySelectorAll(".filters > *")) filter.addEventListener("input", () => draw(place));
  startArrows(tiles);
  startWords(place, tiles);
  onKey("/", "filter accounts", () => find("[data-filter]", place).focus());
  listKey("← ↑ → ↓", "from account to account; Enter opens one");
  panel(place, ["accounts", "firm", "stale"], () => draw(place));
}
