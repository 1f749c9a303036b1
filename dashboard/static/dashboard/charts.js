// Equity, exposure, drawdown and value at risk over time: kept history first, then what comes live.

import uPlot from "./vendor/uPlot.esm.js";

import { find, make, put, say, show } from "./dom.js";
import { compact, money, percent, time } from "./format.js";
import { live } from "./live.js";
import { panel } from "./panels.js";
import { get } from "./rest.js";

const KINDS = {
  equity: { title: "Equity", colour: "--series-1", show: money, axis: compact },
  gross_exposure: { title: "Gross exposure", colour: "--series-2", show: money, axis: compact, fromZero: true },
  drawdown_daily: { title: "Drawdown of the day", colour: "--series-4", show: (v) => percent(v, 2), axis: percentLabel, fromZero: true },
  var_95: { title: "VaR 95 %, one day", colour: "--series-3", show: (v) => percent(v, 2), axis: percentLabel, fromZero: true },
};

const HEIGHT = 104;
const POINTS = 1_500;
// After a break this long without a live value, what was kept meanwhile is fetched.
const BREAK_S = 90;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Times on the axis: of the day, with seconds where minutes would repeat, or the date where a step is a day or more. */
function timeLabels(_plot, splits, _axis, _space, step) {
  return splits.map((at) => {
    const text = new Date(at * 1000).toISOString();
    return step >= 86_400 ? text.slice(5, 10) : text.slice(11, step < 60 ? 19 : 16);
  });
}

/** A fraction on the axis, with as many places as tell one step from the next. */
function percentLabel(value, step) {
  return percent(value, Math.min(6, Math.max(1, Math.ceil(-Math.log10(step * 100) - 1e-9))));
}

/** One line over time. */
class Chart {
  #plot = null;
  #data = [[], []];
  #kind;
  #hours;

  constructor(place, kind) {
    this.place = place;
    this.#kind = KINDS[kind];
    this.name = kind;
    this.value = make("strong", { class: "chart-value" });
    this.pointed = make("span", { class: "small muted chart-pointed" });
    this.box = make("div", { class: "chart-plot", role: "img" });
    this.empty = make("p", { class: "empty small", hidden: true });
    const title = make("h3", {}, this.#kind.title);
    place.append(make("div", { class: "panel-head" }, title, this.pointed, this.value), this.box, this.empty);
    new ResizeObserver(() => this.#fit()).observe(this.box);
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.#remake());
    document.addEventListener("theme", () => this.#remake());
  }

  /** Show these values at these moments (epoch s) and, from now on, so many hours. */
  begin(at, values, hours) {
    this.#hours = hours;
    this.#data = [[...at], [...values]];
    this.#draw();
  }

  /** Say what the value is at this moment. */
  tell(value) {
    say(this.value, this.#kind.show(value));
  }

  /** Put a live value on the end. */
  push(at, value) {
    const [times, values] = this.#data;
    const step = (this.#hours * 3600) / POINTS;
    if (times.length > 1 && at - times[times.length - 2] < step) {
      times.pop();
      values.pop();
    }
    times.push(at);
    values.push(value === null || value === undefined ? null : Number(value));
    while (times[0] < at - this.#hours * 3600) {
      times.shift();
      values.shift();
    }
    this.#draw();
  }

  #draw() {
    const known = this.#data[1].filter((value) => value !== null);
    show(this.empty, known.length < 2);
    show(this.box, known.length >= 2);
    say(this.empty, "Nothing to draw yet: a line needs some minutes of reports.");
    if (known.length < 2) return;
    if (this.#plot === null) this.#make();
    else this.#plot.setData(this.#data);
    const words = `${this.#kind.title}: from ${this.#kind.show(known[0])} to ${this.#kind.show(known[known.length - 1])},`;
    put(this.box, "aria-label", `${words} least ${this.#kind.show(Math.min(...known))}, most ${this.#kind.show(Math.max(...known))}`);
  }

  #make() {
    const { colour: line, axis, fromZero } = this.#kind;
    const look = { stroke: colour("--muted"), font: "11px system-ui", grid: { stroke: colour("--line"), width: 1 } };
    const options = {
      width: this.#width(),
      height: HEIGHT,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "UTC"),
      legend: { show: false },
      cursor: { y: false, sync: { key: "charts" }, drag: { x: false, y: false }, points: { size: 7 } },
      scales: { y: { range: (_plot, least, most) => range(least, most, fromZero) } },
      axes: [
        { ...look, size: 24, values: timeLabels, ticks: { show: false }, space: 64 },
        { ...look, size: 58, values: (_plot, splits, _axis, _space, step) => splits.map((v) => axis(v, step)), ticks: { show: false }, space: 24 },
      ],
      series: [{}, { stroke: colour(line), width: 1.75, spanGaps: false, points: { show: false } }],
      hooks: { setCursor: [(plot) => this.#point(plot.cursor.idx)] },
    };
    this.#plot = new uPlot(options, this.#data, this.box);
  }

  #point(index) {
    const at = this.#data[0][index];
    const known = index !== null && index !== undefined && at !== undefined;
    say(this.pointed, known ? `${time(at * 1000, live.now())}: ${this.#kind.show(this.#data[1][index])}` : "");
  }

  #width() {
    return Math.max(120, Math.floor(this.box.clientWidth));
  }

  #fit() {
    if (this.#plot !== null && this.#plot.width !== this.#width()) this.#plot.setSize({ width: this.#width(), height: HEIGHT });
  }

  #remake() {
    if (this.#plot === null) return;
    this.#plot.destroy();
    this.#plot = null;
    this.#draw();
  }
}

/** The range of the axis: with some air, and never so narrow that noise looks like a fall. */
function range(least, most, fromZero) {
  if (least === null || most === null) return [0, 1];
  const low = fromZero ? Math.min(0, least) : least;
  const air = Math.max((most - low) * 0.08, Math.abs(most) * 0.001, 1e-6);
  return [fromZero && low === 0 ? 0 : low - air, most + air];
}

/**
 * Have the elements `[data-chart]` of `place` show an account's figures, or the firm's where it is empty.
 *
 * `sections` are those that `read()` looks at: it returns {at, equity, ...} by the names of KINDS, or null.
 */
export function startCharts(place, { account, sections, read }) {
  const charts = [...place.querySelectorAll("[data-chart]")].map((each) => new Chart(each, each.dataset.chart));
  const hours = find("[data-hours]", place);
  let last = 0;
  let loaded = false;

  async function load() {
    loaded = false;
    const asked = hours.value;
    const found = await get(`/history/?account=${encodeURIComponent(account)}&hours=${asked}`).catch(() => ({ at: [] }));
    if (hours.value !== asked) return;
    for (const chart of charts) chart.begin(found.at, found[chart.name] ?? found.at.map(() => null), Number(asked));
    last = found.at.at(-1) ?? 0;
    loaded = true;
    push();
  }

  function push() {
    const row = read();
    if (row === null) return;
    for (const chart of charts) chart.tell(row[chart.name]);
    if (!loaded) return;
    const at = Date.parse(row.at) / 1000;
    if (at <= last) return;
    const wasAway = last > 0 && at - last > BREAK_S;
    last = at;
    for (const chart of charts) chart.push(at, row[chart.name]);
    if (wasAway) load();
  }

  hours.addEventListener("change", load);
  for (const chart of charts) panel(chart.place, sections, push);
  load();
}
