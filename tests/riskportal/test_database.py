"""The database that is away: one thread at a time tries to reach it, and everybody else is told at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from riskportal.database.base import Absence
from tests.support.patience import PATIENCE_S


class Server:
    """A database that may be away, and counts who has tried to reach it."""

    def __init__(self) -> None:
        self.error: OperationalError | None = None
        self.tries = self.failures = 0
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()

    def connect(self, absence: Absence) -> str:
        with absence.passing(lambda: self.failures):
            self.tries += 1
            self.asked.set()
            assert self.answers.wait(PATIENCE_S)
            if self.error is not None:
                raise self.error
            return "a connection"


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def absence() -> Absence:
    return Absence()


def go_away(server: Server, absence: Absence) -> None:
    server.error = OperationalError("connection refused")
    with pytest.raises(OperationalError, match="connection refused"):
        server.connect(absence)


@pytest.fixture
def trying(server: Server, absence: Absence) -> Iterator[Callable[[], None]]:
    """Somebody who tries to reach a database that is away, until the test says that it answers."""
    go_away(server, absence)
    server.answers.clear()
    server.asked.clear()

    def connect() -> None:
        with contextlib.suppress(OperationalError):
            server.connect(absence)

    thread = threading.Thread(target=connect)
    thread.start()
    assert server.asked.wait(PATIENCE_S)

    def answer() -> None:
        server.answers.set()
        thread.join()

    yield answer
    answer()


def test_where_it_is_there_everybody_connects_at_once(server: Server, absence: Absence) -> None:
    barrier = threading.Barrier(3)

    def connect() -> None:
        with absence.passing(lambda: 0):
            barrier.wait(PATIENCE_S)

    threads = [threading.Thread(target=connect) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not barrier.broken


def test_while_somebody_tries_the_others_are_told_at_once(server: Server, absence: Absence, trying) -> None:
    tries = server.tries
    for _ in range(3):
        with pytest.raises(OperationalError, match="is away"):
            server.connect(absence)
    assert server.tries == tries


def test_whoever_is_first_after_that_tries_again(server: Server, absence: Absence, trying) -> None:
    trying()
    tries = server.tries
    with pytest.raises(OperationalError, match="connection refused"):
        server.connect(absence)
    assert server.tries == tries + 1


def test_once_it_is_back_everybody_connects(server: Server, absence: Absence, trying) -> None:
    server.error = None
    trying()
    assert [server.connect(absence) for _ in range(3)] == ["a connection"] * 3
    assert not absence._away


@pytest.mark.parametrize(("failed_since", "away"), [(0, False), (1, True)])
def test_a_pool_that_is_only_busy_is_no_absence(server: Server, absence: Absence, failed_since, away) -> None:
    def wait() -> None:
        server.failures += failed_since
        raise PoolTimeout("no connection is free")

    with pytest.raises(PoolTimeout), absence.passing(lambda: server.failures):
        wait()
    assert absence._away is away


def test_a_busy_pool_does_not_end_an_absence(server: Server, absence: Absence) -> None:
    go_away(server, absence)
    with pytest.raises(PoolTimeout), absence.passing(lambda: server.failures):
        raise PoolTimeout("no connection is free")
    assert absence._away


def test_an_error_that_says_nothing_of_the_database_says_nothing(server: Server, absence: Absence) -> None:
    with pytest.raises(ZeroDivisionError), absence.passing(lambda: 0):
        raise ZeroDivisionError
    assert not absence._away
