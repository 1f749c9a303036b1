"""What somebody does to evidence who has the database itself: past our code, and past its own triggers."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.apps import apps
from django.db import connection

from audit.protection import protect
from tests.support.emptying import drop_triggers


def tamper(*statements: str, with_: Sequence[str | int | UUID] | None = None) -> None:
    """Have statements done as a superuser who has switched the triggers off; they are on again afterwards.

    `with_`: the parameters of each of them.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
        else:
            drop_triggers()
        try:
            for statement in statements:
                cursor.execute(statement, with_)
        finally:
            if connection.vendor == "postgresql":
                cursor.execute("SET session_replication_role = origin")
            else:
                for config in apps.get_app_configs():
                    protect(config)
