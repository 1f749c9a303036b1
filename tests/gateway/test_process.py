"""The process: how it is started, what it counts, and when it refuses to start."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from bench.machine import ROOT
from bench.processes import Process
from tests.gateway.conftest import Site
from tests.gateway.requester import requesters
from tests.races.houses import order
from tests.support.patience import PATIENCE_S


async def test_what_gateways_count_is_in_the_metrics_of_all_processes(site):
    house, account_id = site.house, site.house.fresh_account("load")
    house.prepare(account_id)
    before = approved(site)
    async with requesters(site.nats.url, house.key, 1) as (client,):
        for number in range(20):
            assert (await client.check(order(f"{number}", account_id, "0.001"))).approved
    assert approved(site) == before + 20


def approved(site: Site) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{site.house.wsgi.port}/metrics", timeout=PATIENCE_S) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("risk_orders_approved_total"))


@pytest.mark.parametrize("role", ["gateway", "feeds"])
def test_the_command_is_the_same_process_and_ends_in_good_order(site, role):
    environment, command = site.house.installation.environment, f"run_{role}"
    with Process(command, [sys.executable, "manage.py", command], environment, says="connected to") as made:
        assert f"riskportal.serve\0{role}\0".encode() in Path(f"/proc/{made.pid}/cmdline").read_bytes()
        made.begin_to_stop()
        assert made.wait() == 0


@pytest.mark.parametrize("missing", ["REDIS_URL", "NATS_URL"])
@pytest.mark.parametrize("role", ["gateway", "feeds"])
@pytest.mark.parametrize("command", [["manage.py", "run_{role}"], ["-m", "riskportal.serve", "{role}"]])
def test_without_its_servers_being_named_it_does_not_start(site, command, role, missing):
    done = subprocess.run(
        [sys.executable, *(part.format(role=role) for part in command)],
        cwd=ROOT,
        env={**site.house.installation.environment, missing: ""},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    assert f"{missing} is not set" in done.stderr
