// Words of the trade as people read them, and where things are.

export const REASONS = {
  invalid_order: "Order not well-formed",
  emergency_stop_active: "Emergency stop",
  global_risk_critical: "The firm's risk is critical",
  emergency_action_required: "Emergency action required",
  symbol_blocked: "Symbol restricted",
  unknown_account: "Account not known",
  stale_account_state: "Account state old or missing",
  price_unavailable: "Price old or missing",
  strategy_not_allowed: "Strategy not allowed",
  not_reducing: "Does not reduce",
  duplicate_order: "Order id used before",
  rate_limit_exceeded: "Too many orders",
  self_match: "Matches an own order",
  insufficient_margin: "Margin",
  policy_violation: "A limit",
  batch_rejected: "Its batch was rejected",
  reservation_ended: "Reservation ended",
  state_unavailable: "Live state not reached",
  contention: "Contention",
  recovering: "Recovering",
};

/** A reason code in words; one that is newer than this page as it is. */
export const reasonWords = (code) => REASONS[code] ?? code.replaceAll("_", " ");

/** A metric's name in words. */
export const metricWords = (name) => name.replaceAll("_", " ");

export const accountPage = (id) => `/accounts/${encodeURIComponent(id)}/`;
export const decisionPage = (id) => `/decisions/${encodeURIComponent(id)}/`;
export const stopPage = (id) => `/emergency/${encodeURIComponent(id)}/`;

/** What a stop covers: "everywhere", "account desk-1". */
export const scopeWords = ({ type, id }) => (type === "global" ? "everywhere" : `${type} ${id}`);

const { warning, critical } = document.body.dataset;
export const WARNING = Number(warning);
export const CRITICAL = Number(critical);

/** The level of a limit by what of it is used (null: beyond measure). A soft limit warns, and stops nothing. */
export function levelOf({ utilisation, holds, type }) {
  const used = utilisation === null ? Infinity : Number(utilisation);
  if (holds === false || used >= CRITICAL) return type === "soft" ? "warning" : "critical";
  return used >= WARNING ? "warning" : "info";
}
