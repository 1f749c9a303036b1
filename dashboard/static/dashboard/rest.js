// The pages act through the REST API, with the session of whoever is signed in.

const PATIENCE_MS = 10_000;

/** The API said no, or nothing; the message is for people. `status` 0: nothing was heard. */
export class Refused extends Error {
  constructor(message, status = 0, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The token against forged requests: the cookie's, which a sign-in in another tab may have renewed, or the page's. */
function token() {
  const cookie = document.cookie.split("; ").find((each) => each.startsWith("csrftoken="));
  return cookie?.slice("csrftoken=".length) ?? document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
}

function wordsOf(status, problem) {
  if (status === 401) return "You are not signed in any more: sign in again, in another tab if you like, and repeat.";
  if (status === 429) return "Too many requests: wait a moment and repeat.";
  const fields = (problem.errors ?? []).map(({ field, message }) => `${field} ${message}`);
  return fields.length ? `${fields.join("; ")}.` : (problem.detail ?? `The server answered ${status}.`);
}

async function ask(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: { "X-CSRFToken": token(), ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
      credentials: "same-origin",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Refused(late ? "No answer for 10 s." : "The server cannot be reached.");
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(wordsOf(answer.status, found), answer.status, found.code);
  return found;
}

export const post = (path, body) => ask("POST", path, body);
export const get = (path) => ask("GET", path);
export const remove = (path) => ask("DELETE", path);
