"""What tests of reports start from: books and live states as tests of policies have, and a report in hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reports import services
from reports.datasets import DATASETS
from reports.exporters import EXPORTERS
from tests.dashboard.conftest import vera, world
from tests.policies.conftest import defaults, live
from tests.reports.subjects import AllNumbers, Lines, Numbers

__all__ = ["defaults", "large", "live", "numbers", "stored", "vera", "world"]


@pytest.fixture
def numbers(monkeypatch, settings, tmp_path) -> Numbers:
    """The report of numbers, beside the one of all of them, and files of its own."""
    found = Numbers()
    monkeypatch.setitem(DATASETS, found.name, found)
    monkeypatch.setitem(DATASETS, AllNumbers.name, AllNumbers())
    monkeypatch.setitem(EXPORTERS, Lines.suffix, Lines())
    settings.RISK_DATA_DIR = tmp_path
    kept: dict[str, Any] = settings.STORAGES["reports"]
    settings.STORAGES = {
        **settings.STORAGES,
        "reports": {**kept, "OPTIONS": {**kept["OPTIONS"], "location": tmp_path / "reports"}},
    }
    return found


@pytest.fixture
def large(monkeypatch) -> None:
    """No report is made while somebody waits."""
    monkeypatch.setattr(services, "SMALL_ROWS", -1)


@pytest.fixture
def stored(tmp_path) -> Path:
    """Where files are in the end."""
    found: Path = tmp_path / "reports"
    return found
