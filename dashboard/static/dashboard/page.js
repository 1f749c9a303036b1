// Pages that do not change once they are there.

import { drawBars } from "./bars.js";

drawBars();
