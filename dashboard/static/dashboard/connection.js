// One websocket to /ws/risk/, made again whenever it breaks, from where the picture is.

const LATE_MS = 3_000;
const DEAD_MS = 10_000;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8_000;

/** Why the server closed for good: the words of the connection's state by its code. */
const FINAL = { 4401: "signed-out", 4403: "forbidden" };

/**
 * Keeps a websocket open.
 *
 * `address()` is asked for each attempt; `take(frame)` gets what was received and throws what makes it useless; `told()`
 * is called whenever `word` has changed: connecting, live, late, reconnecting, signed-out or forbidden. `since` is when
 * the last frame came (ms of the local clock), `retryAt` when the next attempt is made.
 */
export class Connection {
  word = "connecting";
  since = Date.now();
  retryAt = null;
  #address;
  #take;
  #told;
  #socket = null;
  #attempts = 0;
  #timer = null;

  constructor(address, take, told) {
    this.#address = address;
    this.#take = take;
    this.#told = told;
  }

  start() {
    setInterval(() => this.#look(), 500);
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.retry());
    this.#open();
  }

  /** Try at once, unless it is open. */
  retry() {
    if (this.#socket === null) this.#open();
  }

  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #open() {
    clearTimeout(this.#timer);
    this.retryAt = null;
    const socket = new WebSocket(this.#address());
    this.#socket = socket;
    socket.onmessage = (event) => this.#receive(socket, event.data);
    socket.onclose = (event) => this.#closed(socket, event.code);
  }

  #receive(socket, data) {
    if (socket !== this.#socket) return;
    try {
      this.#take(JSON.parse(data));
    } catch (error) {
      console.warn("the live picture begins again:", error.message);
      this.#drop();
      return;
    }
    this.#attempts = 0;
    this.since = Date.now();
    this.#say("live");
  }

  #closed(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    if (code in FINAL) this.#say(FINAL[code]);
    else this.#again();
  }

  /** Forget the socket that is open, and make another: it may hang for minutes before it is known to be dead. */
  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    socket.onclose = null;
    socket.close();
    this.#again();
  }

  #again() {
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempts);
    // Half of it by chance: a hundred pages that lost the same server must not all come back at once.
    const wait = longest / 2 + (Math.random() * longest) / 2;
    this.#attempts += 1;
    this.retryAt = Date.now() + wait;
    this.#timer = setTimeout(() => this.#open(), wait);
    this.#say("reconnecting");
  }

  #look() {
    if (this.#socket === null) return;
    const silent = Date.now() - this.since;
    if (this.word === "live" && silent > LATE_MS) this.#say("late");
    if (silent > DEAD_MS) {
      this.since = Math.max(this.since, Date.now() - LATE_MS);
      this.#drop();
    }
  }

  #say(word) {
    if (word === this.word) return;
    this.word = word;
    this.#told();
  }
}
