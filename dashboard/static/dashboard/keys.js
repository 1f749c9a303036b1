// Keys of the page, and the list of them that `?` opens.

import { find, make } from "./dom.js";

const known = new Map();

/** Have a key do something, from anywhere but where somebody types. `what` is for the list. */
export function onKey(key, what, act) {
  known.set(key, act);
  find("#keys-list").append(make("dt", {}, make("kbd", {}, key)), make("dd", {}, what));
}

/** Put a key into the list that a part of the page sees to itself. */
export function listKey(key, what) {
  find("#keys-list").append(make("dt", {}, make("kbd", {}, key)), make("dd", {}, what));
}

const isTyping = (target) => target.closest?.("input, textarea, select, [contenteditable]") !== null;

export function startKeys() {
  const dialog = find("#keys-dialog");
  find("#keys-open").addEventListener("click", () => dialog.showModal());
  onKey("?", "this help", () => dialog.showModal());
  listKey("Esc", "close what is open");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (isTyping(event.target) || find("dialog[open]") !== null) return;
    const act = known.get(event.key);
    if (act === undefined) return;
    event.preventDefault();
    act();
  });
}
