"""Every report there is, by name. A module for each."""

from __future__ import annotations

from reports.datasets.access import Access
from reports.datasets.alerts import Alerts
from reports.datasets.control_effectiveness import ControlEffectiveness
from reports.datasets.decisions import Decisions
from reports.datasets.emergency_stops import EmergencyStops
from reports.datasets.limit_question import LimitQuestion
from reports.datasets.limits_as_of import LimitsAsOf
from reports.datasets.policy_changes import PolicyChanges
from reports.datasets.self_assessment import SelfAssessment
from reports.datasets.violations import Violations
from reports.table import Dataset

_ALL: tuple[Dataset, ...] = (
    PolicyChanges(),
    Decisions(),
    Violations(),
    Alerts(),
    EmergencyStops(),
    Access(),
    LimitsAsOf(),
    LimitQuestion(),
    ControlEffectiveness(),
    SelfAssessment(),
)

DATASETS: dict[str, Dataset] = {each.name: each for each in _ALL}
