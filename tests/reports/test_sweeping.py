"""What a workbook leaves whose process was killed does not stay for ever."""

from __future__ import annotations

import os
import tempfile
import time

import pytest

from reports.exporters.as_xlsx import TEMPORARY
from reports.files import sweep

pytestmark = pytest.mark.django_db


def test_what_broken_workbooks_have_left_goes_after_a_day(tmp_path, settings, monkeypatch):
    settings.RISK_DATA_DIR = tmp_path / "data"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, new, other = (tmp_path / name for name in (f"{TEMPORARY}old", f"{TEMPORARY}new", "another"))
    for each in (old, new, other):
        each.mkdir()
        (each / "rows").write_bytes(b"x")
    yesterday = time.time() - 100_000
    for each in (old, other):
        os.utime(each, (yesterday, yesterday))
    sweep()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "data") == ["another", f"{TEMPORARY}new"]
