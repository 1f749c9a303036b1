"""Reports in production: made beside the worker, whose other work goes on, and taken away from another process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.installation import Production, production, wait_for
from tests.support.patience import PATIENCE_S

pytestmark = [pytest.mark.slow, pytest.mark.fault]

ROWS = 100_000
# Copies of one decision, without what else is done with each that is recorded.
FILL = """
INSERT INTO audit_orderdecision ({names}) SELECT {values} FROM audit_orderdecision, generate_series(1, %s)
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """An installation with many decisions."""
    with production(tmp_path_factory.mktemp("production"), RISK_BREAKER_COUNT="0") as made:
        made.wsgi.check("o-1", account_id="nobody")
        wait_for(lambda: made.rows("SELECT 1 FROM audit_orderdecision"), what="the record of an order")
        _fill(made)
        yield made


def _fill(system: Production) -> None:
    named = system.rows("SELECT column_name FROM information_schema.columns WHERE table_name = 'audit_orderdecision'")
    names = [name for (name,) in named]
    values = ["gen_random_uuid()" if name == "decision_id" else name for name in names]
    with system.postgres.connect() as connection:
        connection.execute(b"SET session_replication_role = replica")
        connection.execute(FILL.format(names=", ".join(names), values=", ".join(values)).encode(), [ROWS])


def ask(system: Production, format_: str) -> dict[str, Any]:
    answer = system.wsgi.post("/risk/reports", json={"report": "decisions", "format": format_})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def look(system: Production, report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = system.wsgi.get(f"/risk/reports/{report['id']}").json()
    return found


def finished(system: Production, report: dict[str, Any]) -> dict[str, Any]:
    """Return a report once it is over; what was lost is begun anew after half a minute."""
    wait_for(lambda: look(system, report)["finished_at"], seconds=2 * PATIENCE_S, what="the report")
    return look(system, report)


def looks_of_monitor(system: Production) -> float:
    """Return how often the monitor has looked at the accounts."""
    text = httpx.get(f"{system.wsgi.base_url}/metrics", headers=system.wsgi.headers, trust_env=False).text
    (found,) = re.findall(r"^risk_monitor_tick_duration_seconds_count (\S+)", text, re.MULTILINE)
    return float(found)


def making(report: dict[str, Any]) -> list[int]:
    """Return the processes that make a report."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            words = path.read_bytes().decode(errors="replace").split("\0")
            found += [int(path.parent.name)] if {"make_report", report["id"]} <= set(words) else []
    return found


def test_a_large_one_is_made_and_comes_whole(system):
    report = ask(system, "csv")
    done = finished(system, report)
    assert done["rows"] == ROWS + 1
    digest, length = hashlib.sha256(), 0
    with system.asgi.stream("GET", done["file"]) as answer:
        for part in answer.iter_bytes():
            digest.update(part)
            length += len(part)
    assert (digest.hexdigest(), length) == (done["sha256"], done["bytes"])


def test_the_monitor_goes_on_while_one_is_made_and_who_cancels_it_ends_it(system):
    report = ask(system, "xlsx")
    wait_for(lambda: look(system, report)["done"] > 0, what="the first rows")
    before = looks_of_monitor(system)
    wait_for(lambda: looks_of_monitor(system) >= before + 3, what="three looks of the monitor")
    assert look(system, report)["state"] == "running"
    assert making(report)
    assert system.wsgi.delete(f"/risk/reports/{report['id']}").json()["state"] == "cancelled"
    wait_for(lambda: not making(report), what="the end of its process")


def test_one_whose_process_is_killed_is_made_by_another(system):
    report = ask(system, "csv")
    (process,) = wait_for(lambda: making(report), what="its process")
    wait_for(lambda: look(system, report)["done"] > 0, what="the first rows")
    os.kill(process, signal.SIGKILL)
    assert look(system, report)["file"] is None
    done = wait_for(
        lambda: (found := look(system, report))["state"] == "done" and found, seconds=120, what="the report"
    )
    assert done["rows"] == ROWS + 1
