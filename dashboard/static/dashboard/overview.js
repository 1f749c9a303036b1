// The overview: what is wrong, how bad it is, what to press; and below it, why.

import { startAlerts } from "./overview/alerts.js";
import { startCharts } from "./overview/charts.js";
import { startChecks } from "./overview/checks.js";
import { startHeadline } from "./overview/headline.js";
import { startHeatMap } from "./overview/heat_map.js";
import { startLimits } from "./overview/limits.js";
import { startSystem } from "./overview/system.js";
import { startViolations } from "./overview/violations.js";

startHeadline();
startLimits();
startAlerts();
startHeatMap();
startCharts();
startChecks();
startViolations();
startSystem();
