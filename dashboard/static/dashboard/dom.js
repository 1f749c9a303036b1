// Small helps for the page. Data goes in as text or as an attribute, never as markup.

const ICONS = new URL("./icons.svg", import.meta.url).href;
const SVG = "http://www.w3.org/2000/svg";

export const find = (selector, under = document) => under.querySelector(selector);

/** Return a new element. `properties`: class, hidden, data-*, aria-* and other attributes; children: nodes or text. */
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) put(made, name, value);
  made.append(...children);
  return made;
}

/** Set an attribute where it differs; null, undefined and false take it away. */
export function put(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (node.getAttribute(name) !== text) node.setAttribute(name, text);
}

/** Set the text of a node where it differs, so that nothing is drawn or read out again without need. */
export function say(node, text) {
  const words = text ?? "";
  if (node.textContent !== words) node.textContent = words;
}

export function show(node, whether) {
  node.hidden = !whether;
}

/** Return the icon of a name in icons.svg; beside it always stands a word. */
export function icon(name) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("class", "icon");
  made.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  made.append(use);
  setIcon(made, name);
  return made;
}

export function setIcon(svg, name) {
  put(svg.firstElementChild, "href", `${ICONS}#${name}`);
}

/**
 * Have `parent` hold one element for each row, in this order.
 *
 * An element is made once for its key and kept: it is moved only where the order changed, and keeps the focus.
 */
export function keyed(parent, rows, { key, make: makeOne, update }) {
  const before = parent.keyed ?? new Map();
  const after = new Map(rows.map((row) => [key(row), before.get(key(row)) ?? makeOne(row)]));
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  for (const [name, node] of before) if (!after.has(name)) node.remove();
  let place = parent.firstElementChild;
  for (const row of rows) {
    const node = after.get(key(row));
    update(node, row);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  parent.keyed = after;
  if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
}
