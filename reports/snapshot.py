"""One moment of the database, for everything that a report says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from django.db import connection, transaction

# A reader's transaction holds no locks, and may wait for a slow disk.
_IDLE = "15min"


@contextmanager
def one_moment(*, longest_s: int = 0) -> Iterator[None]:
    """Have every query within see the database as the first one finds it, and none change it.

    `longest_s` is how many seconds a query may take on PostgreSQL, 0: as long as it does. Raises OperationalError where
    one takes longer. Nobody else waits for this.
    """
    postgresql = connection.vendor == "postgresql"
    with nullcontext() if postgresql else _deferred(), transaction.atomic():
        if postgresql:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{_IDLE}'")
                cursor.execute(f"SET LOCAL statement_timeout = '{int(longest_s)}s'")
        yield


@contextmanager
def _deferred() -> Iterator[None]:
    """Have SQLite begin as a reader; our transactions begin as writers else, for whom all others wait."""
    connection.ensure_connection()
    wrapper: Any = connection
    before, wrapper.transaction_mode = wrapper.transaction_mode, "DEFERRED"
    try:
        yield
    finally:
        wrapper.transaction_mode = before
