"""Every report there is, by name. A module for each."""

from __future__ import annotations

from reports.datasets.limit_question import LimitQuestion
from reports.datasets.limits_as_of import LimitsAsOf
from reports.table import Dataset

DATASETS: dict[str, Dataset] = {each.name: each for each in (LimitsAsOf(), LimitQuestion())}
