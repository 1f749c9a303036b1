"""PostgreSQL, of whose absence one thread at a time finds out: the others are told at once.

Every task waits for the pool while the database is away. Without this all threads of a worker do, and nobody looks at
the accounts, which needs no database. The module has the name and the class that Django looks for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.postgresql import base
from psycopg import OperationalError
from psycopg_pool import PoolTimeout


class Absence:
    """Whether the database is away, as far as this process knows."""

    def __init__(self) -> None:
        self._away = False
        self._trying = threading.Lock()

    @contextmanager
    def passing(self, failures: Callable[[], int]) -> Iterator[None]:
        """Let a thread try to connect, if none does while the database is away. Raises OperationalError.

        `failures` counts the attempts to connect that have failed: a pool without a free connection is no absence.
        """
        if not self._away:
            with self._noticing(failures):
                yield
            return
        if not self._trying.acquire(blocking=False):
            raise OperationalError("the database is away, and somebody is trying to reach it already")
        try:
            with self._noticing(failures):
                yield
        finally:
            self._trying.release()

    @contextmanager
    def _noticing(self, failures: Callable[[], int]) -> Iterator[None]:
        before = failures()
        try:
            yield
        except PoolTimeout:
            self._away = self._away or failures() > before
            raise
        except OperationalError:
            self._away = True
            raise
        self._away = False


_absence = Absence()


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own, behind that door."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        with _absence.passing(self._failures):
            return super().get_new_connection(conn_params)

    def _failures(self) -> int:
        pool: Any = self.pool
        return 0 if pool is None else int(pool.get_stats().get("connections_errors", 0))
