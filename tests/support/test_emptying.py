"""What a test has committed is gone for the next one."""

from __future__ import annotations

from django.contrib.auth.models import Permission
from django.db import connection

from policies.defaults import ensure_defaults
from policies.models import Book, Policy
from tests.support.emptying import delete_all


def test_whatever_refers_to_it_it_goes(transactional_db, postgres_server):
    assert ensure_defaults() is not None
    delete_all()
    assert (Policy.objects.count(), Policy.history.count(), Book.objects.count()) == (0, 0, 0)


def test_what_migrations_have_made_stays(transactional_db, postgres_server):
    before = Permission.objects.count()
    ensure_defaults()
    delete_all()
    assert Permission.objects.count() == before > 0


def test_the_database_holds_to_its_rules_afterwards(transactional_db, postgres_server):
    ensure_defaults()
    delete_all()
    with connection.cursor() as cursor:
        cursor.execute("SHOW session_replication_role")
        assert cursor.fetchone() == ("origin",)
