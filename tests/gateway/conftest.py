"""riskportal with both HTTP doors and two gateways on one Redis, for the whole run; every server may be stopped."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from api.nats_gateway import CHECK
from bench.doors import ASGI, NATS, WSGI, door
from bench.installation import Installation
from bench.processes import Process
from devtools.nats_server import NatsServer
from devtools.ports import HOST, PortReservation
from devtools.servers import PostgresServer, RedisServer
from tests.races import app
from tests.races.client import Door
from tests.races.houses import SETTINGS, House, new_database, rows, served
from tests.support.patience import PATIENCE_S

# Room for ten orders of more than 10/11 and at most 1 piece at 100.
KINDS: dict[str, dict[str, object]] = {
    "gross": {"metric": "gross_exposure", "threshold": "1000"},
    "load": {},
    "fault": {},
    "redis": {},
    "stop": {},
}


@dataclass(frozen=True)
class Site:
    """A house with gateways, and the servers that it stands on. NATS tells at `monitor_port` who hears what."""

    house: House
    nats: NatsServer
    monitor_port: int
    redis: RedisServer
    gateways: tuple[Process, Process]
    control: Process

    def until_all_hear(self) -> None:
        """Wait until NATS has the subscriptions of both gateways."""
        until = time.monotonic() + PATIENCE_S
        while self._hearing() < len(self.gateways):
            assert time.monotonic() < until, "the gateways do not hear requests"
            time.sleep(0.02)

    def _hearing(self) -> int:
        with urllib.request.urlopen(f"http://{HOST}:{self.monitor_port}/connz?subs=1", timeout=PATIENCE_S) as answer:
            connections = json.load(answer)["connections"]
        return sum(CHECK in each.get("subscriptions_list", ()) for each in connections)


@pytest.fixture(scope="session")
def _site(postgres_server: PostgresServer) -> Iterator[Site]:
    with ExitStack() as stack:
        monitor = PortReservation()
        # Nobody restores a live state here: this Redis keeps all that it has answered, and needs no restore.
        redis = RedisServer(settings={"appendfsync": "always"})
        nats = NatsServer(settings={"http": f'"{HOST}:{monitor.port}"'})
        monitor.release()
        stack.enter_context(redis)
        stack.enter_context(nats)
        database_url = stack.enter_context(new_database(postgres_server))
        installation = Installation(
            database_url=database_url, redis_url=redis.url, nats_url=nats.url, settings=SETTINGS
        )
        stack.callback(installation.close)
        key = installation.found(rows(KINDS)).key
        processes = {kind: stack.enter_context(door(kind, installation.environment)) for kind in (ASGI, WSGI)}
        gateways = tuple(stack.enter_context(door(NATS, installation.environment)) for _ in range(2))
        control = stack.enter_context(served("control", installation))
        house = House(
            key=key,
            asgi=Door(processes[ASGI].port),
            wsgi=Door(processes[WSGI].port),
            control=Door(control.port, app.CONTROL),
            installation=installation,
            processes=processes,
        )
        yield Site(house, nats, monitor.port, redis, (gateways[0], gateways[1]), control)


@pytest.fixture
def site(_site: Site) -> Site:
    """The site, on which everything runs, whatever the test before did to it."""
    _site.nats.start()
    for gateway in _site.gateways:
        if not gateway.is_running:
            gateway.start()
    _site.until_all_hear()
    return _site
