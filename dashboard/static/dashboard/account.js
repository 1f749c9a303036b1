// One account, live: its state, figures, limits, positions and open orders.

import { drawBars, setBar } from "./bars.js";
import { startCharts } from "./charts.js";
import { find, keyed, put, say, setIcon, show } from "./dom.js";
import { metric, money, number, percent, span, time, utilisation } from "./format.js";
import { announce, refresh } from "./fragments.js";
import { allowedWords, quantity } from "./limit_words.js";
import { live } from "./live.js";
import { panel } from "./panels.js";
import { remove } from "./rest.js";
import { decisionPage, levelOf } from "./words.js";

const DECISIONS_MS = 15_000;

const { account: accountId } = find("#account").dataset;
const now = () => live.rows("watched").get(accountId) ?? null;

const cell = (node, name) => find(`[data-cell="${name}"]`, node);

// ------------------------------------------------------------------------------------------------- the head
function drawHead() {
  const row = now();
  if (row === null) return;
  const head = find("#account-head");
  const level = row.risk_level.toLowerCase();
  const state = cell(head, "trading_state");
  say(state, row.trading_state);
  put(state, "data-state", row.trading_state.toLowerCase());
  put(head, "data-level", level);
  put(cell(head, "level"), "data-level", level);
  setIcon(find("svg", cell(head, "level")), level);
  say(cell(head, "risk_level"), row.risk_level);
  say(cell(head, "risk_score"), row.risk_score === null ? "unknown" : number(row.risk_score));
  const binding = row.binding_limit;
  say(cell(head, "binding"), binding ? `${binding.name}, ${utilisation(binding.utilisation)}` : "none");
  const figures = { equity: row.equity, ...row.metrics };
  for (const place of head.querySelectorAll("[data-figure]")) {
    const name = place.dataset.figure;
    say(place, name === "equity" ? money(figures.equity) : metric(name, figures[name]));
  }
  drawAge();
}

let why = find("#account-why").dataset.why;

/** Have the server say anew why orders are blocked, where that may be otherwise than when it last did. */
function lookWhy() {
  const row = now();
  if (row === null) return;
  const found = [row.trading_state, row.fresh, row.enabled, [...live.rows("stops").keys()].sort().join(",")].join(" ");
  if (found !== why) refresh();
  why = found;
}

function drawAge() {
  const row = now();
  if (row === null) return;
  const words = row.state_at === null ? "no state was reported" : `state ${span(live.now() - Date.parse(row.state_at))} old`;
  say(cell(find("#account-head"), "age"), words);
}

// ----------------------------------------------------------------------------------------------------- rows
/** Have a table hold these rows; those that the server drew are taken over. */
function drawRows(name, rows, { key, update }) {
  const body = find(`#account-${name} [data-rows]`);
  body.keyed ??= new Map([...body.children].map((node) => [node.dataset.key, node]));
  const made = () => find(`#${name.replace(/s$/, "")}-template`).content.firstElementChild.cloneNode(true);
  keyed(body, rows, { key, make: made, update });
  show(find(`#account-${name} [data-empty]`), rows.length === 0);
}

const used = (limit) => (limit.utilisation === null ? Infinity : Number(limit.utilisation));

/** The worst limits first, those without a value last. */
function worstFirst(limits) {
  const known = (limit) => Number(limit.holds !== null);
  const more = (a, b) => (used(a) === used(b) ? 0 : used(b) - used(a));
  return [...limits].sort((a, b) => known(b) - known(a) || more(a, b) || (a.name < b.name ? -1 : 1));
}

function updateLimit(node, limit) {
  const asked = limit.holds !== null;
  put(node, "data-level", asked ? levelOf(limit) : "info");
  put(node, "data-broken", limit.holds === false);
  say(cell(node, "name"), limit.name);
  say(cell(node, "about"), [limit.type, limit.symbol, limit.exchange].filter(Boolean).join(", "));
  say(cell(node, "value"), limit.value === null && asked ? "undefined" : metric(limit.metric, limit.value));
  say(cell(node, "allowed"), allowedWords(limit));
  setBar(find(".bar", node), asked ? limit.utilisation : "0");
  say(cell(node, "used"), asked ? utilisation(limit.utilisation) : "with an order only");
  show(cell(node, "broken"), limit.holds === false);
  say(cell(node, "headroom"), metric(limit.metric, limit.headroom));
}

function updatePosition(node, held) {
  say(cell(node, "symbol"), held.symbol);
  say(cell(node, "exchange"), held.exchange);
  say(cell(node, "quantity"), quantity(held.quantity));
  for (const name of ["entry_price", "mark"]) say(cell(node, name), number(held[name], 6));
  for (const name of ["value", "unrealized_pnl"]) say(cell(node, name), money(held[name]));
  say(cell(node, "concentration"), percent(held.concentration));
  say(cell(node, "open"), `${quantity(held.open_buy_quantity)} / ${quantity(held.open_sell_quantity)}`);
}

function updateReservation(node, held) {
  say(cell(node, "order_id"), held.order_id);
  put(cell(node, "order_id"), "href", decisionPage(held.id));
  for (const name of ["side", "symbol"]) say(cell(node, name), held[name]);
  say(cell(node, "quantity"), quantity(held.quantity));
  say(cell(node, "price"), number(held.price, 6));
  say(cell(node, "margin"), money(held.margin));
  say(cell(node, "expires_at"), time(held.expires_at, live.now()));
  const button = find("button", node);
  if (button === null) return;
  put(button, "data-release", held.order_id);
  put(button, "aria-label", `Release ${held.order_id}`);
}

const legOf = ({ symbol, exchange }) => `${symbol} ${exchange}`;
const limitOf = (limit) => `${limit.policy_id} ${limit.symbol} ${limit.exchange}`;

function whenThere(draw) {
  return () => {
    const row = now();
    if (row !== null) draw(row);
  };
}

// -------------------------------------------------------------------------------------------------- release
function startRelease() {
  const dialog = find("#release-dialog");
  if (dialog === null) return;
  const form = find("form", dialog);
  let asked = "";
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-release]");
    if (button === null) return;
    asked = button.dataset.release;
    form.reset();
    show(find(".error", dialog), false);
    say(find("[data-order]", dialog), asked);
    dialog.showModal();
    form.elements.reason.focus();
  });
  find("[data-cancel]", dialog).addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const reason = form.elements.reason.value.trim();
    const error = find(".error", dialog);
    try {
      if (reason === "") throw new Error("Say why: it is recorded.");
      put(form, "aria-busy", "true");
      const query = new URLSearchParams({ account_id: accountId, reason });
      await remove(`/risk/reservations/${encodeURIComponent(asked)}?${query}`);
      dialog.close();
      announce("Released.");
      refresh();
    } catch (problem) {
      say(error, problem.message);
      show(error, true);
    } finally {
      put(form, "aria-busy", null);
    }
  });
}

drawBars();
live.watch(accountId);
panel(find("#account-head"), ["watched"], drawHead);
live.on(["watched", "stops"], lookWhy);
const limits = { key: limitOf, update: updateLimit };
panel(find("#account-limits"), ["watched"], whenThere((row) => drawRows("limits", worstFirst(row.limits), limits)));
const positions = { key: legOf, update: updatePosition };
panel(find("#account-positions"), ["watched"], whenThere((row) => drawRows("positions", row.positions, positions)));
const reservations = { key: ({ id }) => id, update: updateReservation };
panel(find("#account-reservations"), ["watched"], whenThere((row) => drawRows("reservations", row.reservations, reservations)));
startCharts(find("#charts"), {
  account: accountId,
  sections: ["watched"],
  read: () => (now() === null ? null : { at: new Date(live.at).toISOString(), equity: now().equity, ...now().metrics }),
});
startRelease();
setInterval(drawAge, 1_000);
setInterval(() => document.visibilityState === "visible" && refresh(), DECISIONS_MS);
