"""A Redis server that tests may stop, kill and empty."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devtools.servers import RedisServer


@pytest.fixture(scope="session")
def own_redis() -> Iterator[RedisServer]:
    # Written before it is answered: what these tests acknowledge is there after a crash, however busy the disk is.
    with RedisServer(settings={"appendfsync": "always"}) as server:
        yield server


@pytest.fixture
def redis(own_redis: RedisServer) -> RedisServer:
    """A running, empty server of these tests' own."""
    own_redis.start()
    with own_redis.connect() as client:
        client.flushall()
    return own_redis


@contextmanager
def frozen(server: RedisServer) -> Iterator[None]:
    """Let the server hold its connections without answering on them."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)
