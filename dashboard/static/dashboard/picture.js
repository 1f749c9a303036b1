// The picture that the server has of the firm, kept as it sends it (docs/decisions/0027-the-live-picture.md).
//
// Pure: no socket, no clock, no page. A picture is {stream, n, at, sections}, `sections` a Map of Maps of rows.

/** What came cannot be put on top of the picture that is here: begin again from what is known to be right. */
export class Broken extends Error {}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function demand(holds, what) {
  if (!holds) throw new Broken(what);
}

function checkHead(frame) {
  demand(isObject(frame), "a frame is no object");
  demand(typeof frame.stream === "string" && frame.stream !== "", "a frame has no stream");
  demand(Number.isSafeInteger(frame.n), "a frame has no number");
  demand(Number.isFinite(Date.parse(frame.at)), "a frame has no moment");
}

/** Return the whole picture of a snapshot. Throws Broken. */
export function pictureOf(frame) {
  checkHead(frame);
  demand(isObject(frame.picture), "a snapshot has no picture");
  const sections = new Map();
  for (const [name, rows] of Object.entries(frame.picture)) {
    demand(isObject(rows), `section ${name} has no rows`);
    sections.set(name, new Map(Object.entries(rows)));
  }
  return { stream: frame.stream, n: frame.n, at: frame.at, sections };
}

/**
 * Put an update on top of a picture, in place, and return the names of the sections that it changed.
 *
 * Throws Broken, with the picture as it was, where the update is on top of another picture than this one, or cannot
 * be understood.
 */
export function applyUpdate(picture, frame) {
  checkHead(frame);
  demand(frame.from === picture.n, `an update is on top of ${frame.from}, here is ${picture.n}`);
  demand(isObject(frame.changes), "an update has no changes");
  const changes = Object.entries(frame.changes);
  for (const [name, change] of changes) {
    const { set = {}, gone = [] } = isObject(change) ? change : { set: null };
    demand(isObject(set) && Array.isArray(gone), `section ${name} cannot be understood`);
  }
  for (const [name, change] of changes) applySection(picture.sections, name, change);
  picture.stream = frame.stream; // another one once this person sees something else
  picture.n = frame.n;
  picture.at = frame.at;
  return changes.map(([name]) => name);
}

function applySection(sections, name, { set = {}, gone = [] }) {
  if (!sections.has(name)) sections.set(name, new Map());
  const rows = sections.get(name);
  for (const key of gone) rows.delete(key);
  for (const [key, row] of Object.entries(set)) rows.set(key, row);
}
