"""What somebody does to evidence who has the database itself: past our code, and past its own triggers."""

from __future__ import annotations

from django.apps import apps
from django.db import connection

from audit.protection import protect
from tests.support.emptying import drop_triggers


def tamper(*statements: str) -> None:
    """Have statements done as a superuser who has switched the triggers off; they are on again afterwards."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
        else:
            drop_triggers()
        try:
            for statement in statements:
                cursor.execute(statement)
        finally:
            if connection.vendor == "postgresql":
                cursor.execute("SET session_replication_role = origin")
            else:
                for config in apps.get_app_configs():
                    protect(config)
