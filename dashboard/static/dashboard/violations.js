// The list of violations, and what has changed since.

import { tellChanges } from "./list_changes.js";

const stateOf = (row) => (row.closed_at === null ? "open" : "over");
tellChanges("violations", { stateOf, momentOf: (row) => row.opened_at });
