"""Emptying the database after a test whose changes really commit, in a tenth of the time that Django takes.

Django truncates every table, which makes new files for each of them and its indexes, and then has `migrate`'s
listeners make content types and permissions anew. Here the few rows that a test has made are deleted, and content
types and permissions stay.
"""

from __future__ import annotations

from django.apps import apps
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.test import TransactionTestCase

_STAYS = ("auth_permission", "django_content_type")


def empty_quickly() -> None:
    """Have every test that commits end so, on PostgreSQL. (SQLite has no files to make: there Django is quick.)"""
    by_django = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    from audit.protection import protect  # Django's settings are read by now

    def teardown(self: TransactionTestCase) -> None:
        if connection.vendor == "postgresql":
            delete_all()
        else:
            drop_triggers()
            by_django(self)
            for config in apps.get_app_configs():
                protect(config)

    TransactionTestCase._fixture_teardown = teardown  # type: ignore[attr-defined]


def drop_triggers() -> None:
    """Take the protection of evidence away from a database of SQLite, which cannot switch it off."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TRIGGER {name}")


def delete_all() -> None:
    """Delete every row of the database but those that migrations have made."""
    with connection.cursor() as cursor:
        # No trigger asks in which order: what refers to a row goes with it.
        deleting = "".join(f"DELETE FROM {name};" for name in filled_tables(cursor))
        cursor.execute(f"BEGIN; SET LOCAL session_replication_role = replica; {deleting} COMMIT")


def filled_tables(cursor: CursorWrapper) -> list[str]:
    """Return the tables that have rows, but for those that migrations fill."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = sorted(set(names) - set(_STAYS))
    cursor.execute(" UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in tables))
    return [name for (name,) in cursor.fetchall()]
