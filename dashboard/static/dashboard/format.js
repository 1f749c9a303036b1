// Figures and moments as people read them. Amounts come as decimal text and are shown, never calculated with.

const NONE = "–";

const formats = new Map();
function format(least, most) {
  const name = `${least} ${most}`;
  if (!formats.has(name)) {
    const options = { minimumFractionDigits: least, maximumFractionDigits: most };
    formats.set(name, new Intl.NumberFormat("en-US", options));
  }
  return formats.get(name);
}

/** A number with at most so many places; a dash where it is not known. */
export function number(value, most = 2, least = 0) {
  if (value === null || value === undefined || value === "") return NONE;
  const read = Number(value);
  if (Number.isNaN(read)) return String(value);
  return Number.isFinite(read) ? format(least, most).format(read) : "∞";
}

/** An amount of currency: cents below a thousand only. */
export function money(value) {
  return Math.abs(Number(value)) >= 1000 ? number(value, 0) : number(value, 2, 2);
}

const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 4 });

/** A number in few characters, for an axis: 1.25M. */
export const compact = (value) => short.format(Number(value));

/** A fraction as per cent. */
export function percent(value, most = 1) {
  if (value === null || value === undefined) return NONE;
  return `${number(Number(value) * 100, most, most)} %`;
}

/** A utilisation: null is beyond measure. */
export const utilisation = (value) => (value === null ? "> 999 %" : percent(value, 0));

/** Microseconds. */
export function micros(value) {
  if (value === null || value === undefined) return NONE;
  return Number(value) >= 1000 ? `${number(Number(value) / 1000, 1)} ms` : `${number(value, 0)} µs`;
}

const FRACTIONS = new Set([
  ...["drawdown_daily", "drawdown_weekly", "drawdown_max", "drawdown_rapid", "daily_loss", "weekly_loss"],
  ...["concentration", "position_loss", "price_deviation", "single_trade_risk", "volatility"],
  ...["order_adv_share"],
  ...["var_95", "var_99", "es_95", "es_99"],
]);
const RATIOS = new Set(["leverage", "margin_ratio", "order_to_trade"]);
const AMOUNTS = new Set([
  ...["gross_exposure", "net_exposure", "margin_available", "daily_pnl", "weekly_pnl", "unrealized_pnl"],
  ...["position_value", "pending_notional", "order_notional", "daily_notional", "equity"],
]);

/** The value of a metric in its unit (SPEC 4). */
export function metric(name, value) {
  if (value === null || value === undefined) return NONE;
  if (FRACTIONS.has(name)) return percent(value, 2);
  if (RATIOS.has(name)) return `${number(value, 2)} x`;
  return AMOUNTS.has(name) ? money(value) : number(value, 4);
}

const SIGNS = { "<=": "≤", ">=": "≥", "==": "=", "!=": "≠" };

/** A limit's operator, which says what must hold. */
export const sign = (operator) => SIGNS[operator] ?? operator;

/** A span of milliseconds in two words at most. */
export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes < 5 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d`;
}

/** A moment (ISO text or ms) as the UTC time of day, with the date where it is not `now`'s. */
export function time(moment, now = Date.now()) {
  if (moment === null || moment === undefined) return NONE;
  const text = new Date(moment).toISOString();
  const clock = text.slice(11, 19);
  return text.slice(0, 10) === new Date(now).toISOString().slice(0, 10) ? clock : `${text.slice(5, 10)} ${clock}`;
}
