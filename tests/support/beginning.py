"""Rows that many tests begin with: made once by the services, and copied from then on, in a tenth of the time."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection, transaction

from tests.support.emptying import filled_tables

_made: dict[str, list[str]] = {}


def begin_with(name: str, make: Callable[[], None]) -> None:
    """Fill the empty database with what `make` makes.

    Parameters
    ----------
    name
        What the copy goes by: one for each `make`.
    make
        Makes the rows and nothing else that counts. It is called the first time only, or always where there is no
        PostgreSQL.
    """
    if connection.vendor != "postgresql":
        make()
    elif name in _made:
        _copy(name)
    else:
        assert not connection.in_atomic_block, "a copy that is rolled back is none"
        make()
        _keep(name)


def _keep(name: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        tables = filled_tables(cursor)
        cursor.execute(f"CREATE SCHEMA kept_{name}")
        for table in tables:
            cursor.execute(f"CREATE TABLE kept_{name}.{table} AS TABLE public.{table}")
    _made[name] = tables


def _copy(name: str) -> None:
    copying = "".join(f"INSERT INTO public.{table} SELECT * FROM kept_{name}.{table};" for table in _made[name])
    with transaction.atomic(), connection.cursor() as cursor:
        # No trigger asks in which order: what a row refers to comes along.
        cursor.execute(
            f"SET LOCAL session_replication_role = replica; {copying} SET LOCAL session_replication_role = origin"
        )
