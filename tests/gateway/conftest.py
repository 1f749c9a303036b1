"""riskportal with both HTTP doors and two gateways on one Redis, for the whole run; every server may be stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from bench.doors import ASGI, NATS, WSGI, door
from bench.installation import Installation
from bench.processes import Process
from devtools.nats_server import NatsServer
from devtools.servers import PostgresServer, RedisServer
from tests.races import app
from tests.races.client import Door
from tests.races.houses import SETTINGS, House, new_database, rows, served

# Room for ten orders of more than 10/11 and at most 1 piece at 100.
KINDS: dict[str, dict[str, object]] = {
    "gross": {"metric": "gross_exposure", "threshold": "1000"},
    "load": {},
    "fault": {},
    "redis": {},
}


@dataclass(frozen=True)
class Site:
    """A house with gateways, and the servers that it stands on."""

    house: House
    nats: NatsServer
    redis: RedisServer
    gateways: tuple[Process, Process]
    control: Process


@pytest.fixture(scope="session")
def _site(postgres_server: PostgresServer) -> Iterator[Site]:
    with ExitStack() as stack:
        redis, nats = stack.enter_context(RedisServer()), stack.enter_context(NatsServer())
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
        yield Site(house, nats, redis, (gateways[0], gateways[1]), control)


@pytest.fixture
def site(_site: Site) -> Iterator[Site]:
    """The site, on which everything runs again after the test."""
    yield _site
    _site.nats.start()
    for gateway in _site.gateways:
        if not gateway.is_running:
            gateway.start()
