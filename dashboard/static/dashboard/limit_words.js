// What limits allow, and quantities, as the server writes them (dashboard/words.py).

import { metric } from "./format.js";

const ALLOWED = { "<=": "at most", "<": "less than", ">=": "at least", ">": "more than", "==": "exactly", "!=": "anything but" };

/** What a limit allows: "at most 10 x". */
export const allowedWords = ({ metric: name, operator, threshold }) => `${ALLOWED[operator]} ${metric(name, threshold)}`;

/** A quantity to the last place: decimal text with its thousands parted. */
export function quantity(value) {
  if (value === null || value === undefined) return "–";
  const [whole, places] = String(value).split(".");
  const parted = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return places ? `${parted}.${places}` : parted;
}
