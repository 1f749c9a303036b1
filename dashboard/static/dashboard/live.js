// The live picture of the firm, for every module of a page.
//
//   import { live } from "./live.js";
//   live.on(["limits"], () => draw(live.rows("limits")));   // now, if there is a picture, and after each change
//
// Panels subscribe by `panel` (panels.js), which also marks them when what they show is old.

import { Connection } from "./connection.js";
import { Broken, applyUpdate, pictureOf } from "./picture.js";

const NOTHING = new Map();
const REMEMBERED = 30;

class Live {
  #picture = null;
  #watched = new Set();
  #listeners = [];
  #stateListeners = [];
  #offsets = [];
  #connection = new Connection(
    () => this.#address(),
    (frame) => this.#take(frame),
    () => this.#stateListeners.forEach((tell) => tell()),
  );

  start() {
    this.#connection.start();
  }

  /** connecting, live, late (open, but silent), reconnecting, signed-out or forbidden. */
  get state() {
    return this.#connection.word;
  }

  /** When the next attempt to connect is made, in ms of the local clock; null while none waits. */
  get retryAt() {
    return this.#connection.retryAt;
  }

  /** When the picture was taken, in ms since the epoch by the server's clock; null before the first. */
  get at() {
    return this.#picture === null ? null : Date.parse(this.#picture.at);
  }

  /** The server's clock now, in ms since the epoch. */
  now() {
    return Date.now() + (this.#offsets.length ? Math.max(...this.#offsets) : 0);
  }

  /** The rows of a section by key: a Map, not to be changed. */
  rows(section) {
    return this.#picture?.sections.get(section) ?? NOTHING;
  }

  /** The row `now` of a section that has one, else null. */
  one(section) {
    return this.rows(section).get("now") ?? null;
  }

  /** Call `draw` when one of these sections has changed, and now if there is a picture. */
  on(sections, draw) {
    this.#listeners.push({ sections: new Set(sections), draw });
    if (this.#picture !== null) draw();
  }

  /** Call `tell` when the state of the connection has changed. */
  onState(tell) {
    this.#stateListeners.push(tell);
    tell();
  }

  /** Have the details of these accounts in section `watched` from now on. */
  watch(...accountIds) {
    this.#watched = new Set(accountIds);
    this.#connection.send({ type: "watch", accounts: accountIds });
  }

  retry() {
    this.#connection.retry();
  }

  #address() {
    const address = new URL("/ws/risk/", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (this.#picture !== null) {
      address.searchParams.set("stream", this.#picture.stream);
      address.searchParams.set("n", String(this.#picture.n));
    }
    for (const accountId of this.#watched) address.searchParams.append("watch", accountId);
    return address;
  }

  #take(frame) {
    let changed = null;
    if (frame?.type === "snapshot") this.#picture = pictureOf(frame);
    else if (frame?.type === "update" && this.#picture !== null) changed = new Set(applyUpdate(this.#picture, frame));
    else throw new Broken("a frame is neither a snapshot nor an update of one");
    this.#setClock();
    for (const { sections, draw } of this.#listeners) {
      if (changed === null || [...sections].some((name) => changed.has(name))) draw();
    }
  }

  /** The way only ever makes a frame look older: the largest difference of late ones is nearest to the truth. */
  #setClock() {
    this.#offsets.push(this.at - Date.now());
    if (this.#offsets.length > REMEMBERED) this.#offsets.shift();
  }
}

export const live = new Live();
