"""The houses that the races are run in: started when the first test wants one, for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devtools.servers import PostgresServer
from tests.races.houses import House, memory_house, redis_house, rows

# Room for ten orders of more than 10/11 and at most 1 piece at 100, each by another rule.
KINDS: dict[str, dict[str, object]] = {
    "gross": {"metric": "gross_exposure", "threshold": "1000"},
    "value": {"metric": "position_value", "threshold": "1000"},
    "pending": {"metric": "pending_notional", "threshold": "1000"},
    "count": {"metric": "open_orders", "threshold": "10"},
    "margin": {},  # by the equity that is reported
    "stop": {},
    "same": {"metric": "open_orders", "threshold": "10"},
    "book": {"metric": "order_quantity", "threshold": "10"},
    "kill": {},
}


@pytest.fixture(scope="session")
def on_redis(postgres_server: PostgresServer) -> Iterator[House]:
    """Two processes, one for each door, on one Redis."""
    with redis_house(postgres_server, rows(KINDS)) as house:
        yield house


@pytest.fixture(scope="session")
def on_memory(postgres_server: PostgresServer) -> Iterator[House]:
    """One process with both doors and the live state in its memory."""
    with memory_house(postgres_server, rows(KINDS)) as house:
        yield house


@pytest.fixture(params=["redis", "memory"])
def house(request: pytest.FixtureRequest) -> House:
    """A riskportal on each kind of live state."""
    found: House = request.getfixturevalue(f"on_{request.param}")
    return found
