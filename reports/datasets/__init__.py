"""Every report there is, by name. A module for each."""

from __future__ import annotations

from reports.table import Dataset

DATASETS: dict[str, Dataset] = {}
