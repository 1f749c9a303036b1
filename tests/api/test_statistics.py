"""Counts over processes, and percentiles out of a histogram."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.metrics import Result
from api.statistics import percentile
from riskcore.reasons import Reason

INFINITY = float("inf")


@pytest.mark.parametrize(("share", "expected"), [(0.5, 150.0), (0.25, 100.0), (0.75, 200.0), (1.0, 200.0)])
def test_a_percentile_is_interpolated_within_its_bucket(share, expected):
    assert percentile({100.0: 1, 200.0: 3, INFINITY: 4}, share) == expected


def test_without_checks_there_is_no_percentile():
    assert percentile({}, 0.5) is None
    assert percentile({100.0: 0, INFINITY: 0}, 0.5) is None


def test_above_the_last_bound_it_is_that_bound():
    assert percentile({100.0: 0, INFINITY: 5}, 0.99) == 100.0


COUNT = """
import django; django.setup()
from api import metrics
from riskcore.reasons import Reason
metrics.count_approved()
metrics.count_rejected(Reason.SYMBOL_BLOCKED)
metrics.observe_us(400)
"""

READ = """
import django; django.setup()
import json
from api.statistics import counted
found = counted()
print(json.dumps([found.checked, found.approved, found.rejected, found.by_reason, found.latency_us["p50"]]))
"""


def test_processes_that_share_a_directory_are_summed(tmp_path):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "riskportal.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
    }

    def run(code: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    run(COUNT)
    run(COUNT)

    assert run(READ).strip() == '[4, 2, 2, {"symbol_blocked": 2}, 350.0]'


def test_labels_are_bounded():
    assert len(Result) < 10
    assert len(Reason) < 40
