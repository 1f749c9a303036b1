"""The pytest plugin that gives a test run its servers and its settings.

Loaded by `-p tests.support.plugin` in pyproject.toml, so early that Django's settings, which are read from
the environment, see this run's own PostgreSQL, Redis and NATS and nothing of the developer's shell. The addresses
are settled at once, the servers start after collection, and only if a collected test may want them: a run of
tests/riskcore alone starts none. They are stopped and removed when the run ends, be it by Ctrl-C or by
SIGTERM.

With `--numprocesses` each worker has servers of its own, and the process that they report to has none.

RISK_TEST_SERVERS=none runs on SQLite and the memory store, for a machine without the servers or a quick look.
Tests that ask for a server then fail: nothing is skipped silently.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from devtools import leftovers
from devtools.nats_server import NatsServer
from devtools.servers import PostgresServer, RedisServer, ServerError
from tests.support import workers
from tests.support.patience import PATIENT
from tests.support.properties import make_it_the_rule

# Folders whose tests use no server of the run: they need none, or start their own.
SERVERLESS = ("tests/riskcore", "tests/devtools")


@dataclass
class Services:
    """The servers of this run, None where there are none, and the directory that stands for RISK_DATA_DIR."""

    data: Path
    postgres: PostgresServer | None = None
    redis: RedisServer | None = None
    nats: NatsServer | None = None

    def start(self) -> None:
        """Start the servers; those that run stay as they are."""
        for server in (self.postgres, self.redis, self.nats):
            if server is not None:
                server.start()

    def close(self) -> None:
        """Stop the servers and remove what they wrote."""
        for server in (self.postgres, self.redis, self.nats):
            if server is not None:
                server.close()
        leftovers.remove(self.data)


_SERVICES = pytest.StashKey[Services]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Settle the addresses, before pytest-django reads the settings in the same hook."""
    _stop_on_signals()
    try:
        wish = "none" if workers.are_wanted(early_config) else os.environ.get("RISK_TEST_SERVERS", "private")
        services = _choose(wish)
    except ServerError as error:
        raise pytest.UsageError(f"{error}  (or run without servers: RISK_TEST_SERVERS=none)") from None
    early_config.stash[_SERVICES] = services
    _set_environment(services)
    yield


def pytest_report_header(config: pytest.Config) -> str:
    """Say which servers the run has."""
    if workers.are_wanted(config):
        return "servers: of its own for each worker"
    services = config.stash[_SERVICES]
    found = [server for server in (services.postgres, services.redis, services.nats) if server is not None]
    if not found:
        return "servers: none (SQLite and the memory store)"
    return f"servers: {', '.join(f'{server.name} on port {server.port}' for server in found)}, if needed"


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Settle what holds for all tests, and what needs Django, which pytest-django has set up by now."""
    from django.conf import settings

    from tests.support.emptying import empty_quickly

    empty_quickly()
    # Else each client of a test looks through all files of all packages first.
    settings.WHITENOISE_AUTOREFRESH = True
    make_it_the_rule()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the servers when a collected test may want them."""
    if not session.config.option.collectonly and any(map(_may_want_servers, session.items)):
        session.config.stash[_SERVICES].start()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers, however the run ended; first what would complain that they are gone."""
    if publishing := sys.modules.get("bus.publish"):
        publishing.close_publisher()
    if services := config.stash.get(_SERVICES, None):
        services.close()
    if workers.are_wanted(config):
        leftovers.sweep()  # what a worker left that had to be killed


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> PostgresServer:
    """The PostgreSQL server of the run. Do not stop it: a fault test makes its own."""
    server = pytestconfig.stash[_SERVICES].postgres
    assert server is not None, "this test needs PostgreSQL, but RISK_TEST_SERVERS=none"
    server.start()
    return server


@pytest.fixture(scope="session")
def redis_server(pytestconfig: pytest.Config) -> RedisServer:
    """The Redis server of the run. Do not stop it: a fault test makes its own."""
    server = pytestconfig.stash[_SERVICES].redis
    assert server is not None, "this test needs Redis, but RISK_TEST_SERVERS=none"
    server.start()
    return server


@pytest.fixture(scope="session")
def nats_server(pytestconfig: pytest.Config) -> NatsServer:
    """The NATS server of the run. Do not stop it: a fault test makes its own."""
    server = pytestconfig.stash[_SERVICES].nats
    assert server is not None, "this test needs NATS, but RISK_TEST_SERVERS=none"
    server.start()
    return server


@pytest.fixture
def clean_redis(redis_server: RedisServer) -> Iterator[str]:
    """The address of the run's Redis, all databases of which are empty before and after the test."""
    with redis_server.connect() as client:
        client.flushall()
        yield redis_server.url
        client.flushall()


def _choose(wish: str) -> Services:
    """Return the servers that RISK_TEST_SERVERS asks for, not started."""
    if wish == "none":
        return Services(leftovers.claim("data"))
    if wish == "private":
        return Services(leftovers.claim("data"), PostgresServer(), RedisServer(), NatsServer())
    raise pytest.UsageError(f"RISK_TEST_SERVERS is {wish!r}; it may be 'private' (the default) or 'none'")


def _set_environment(services: Services) -> None:
    """Let the settings see the servers of this run, and nothing that the developer's shell or .env says."""
    foreign = [name for name in os.environ if name.startswith("RISK_") and not name.startswith("RISK_TEST_")]
    for name in [*foreign, "DATABASE_URL", "REDIS_URL", "MARKET_REDIS_URL", "NATS_URL"]:
        os.environ.pop(name, None)
    os.environ["RISK_ENV_FILE"] = os.devnull
    os.environ["RISK_DATA_DIR"] = str(services.data)
    os.environ["RISK_SECRET_KEY"] = secrets.token_hex(32)
    os.environ["RISK_HTTPS"] = "false"  # test clients and browsers speak plain HTTP
    os.environ.update(PATIENT)
    os.environ["RISK_DATABASE_POOL"] = "0"  # a pool would hold connections while the test database is dropped
    if services.postgres is None or services.redis is None or services.nats is None:
        os.environ["DATABASE_URL"] = f"sqlite:///{services.data / 'tests.sqlite3'}"
        return
    # Some tests are one transaction, in which a process that they start may take its time.
    os.environ["DATABASE_URL"] = f"{services.postgres.url}?options=-c%20idle_in_transaction_session_timeout%3D0"
    os.environ["REDIS_URL"] = services.redis.url
    os.environ["MARKET_REDIS_URL"] = services.redis.url_of(1)
    os.environ["NATS_URL"] = services.nats.url


def _may_want_servers(item: pytest.Item) -> bool:
    return not any(item.path.is_relative_to(item.config.rootpath / folder) for folder in SERVERLESS)


def _stop_on_signals() -> None:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that a cancelled run stops its servers as well."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a script's background: what we start would, too
            signal.signal(signal.SIGINT, signal.default_int_handler)
