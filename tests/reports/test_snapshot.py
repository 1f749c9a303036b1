"""What a report is made of is of one moment, and nobody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.db import Error, connection, transaction

from reports.snapshot import one_moment

pytestmark = pytest.mark.django_db(transaction=True)


def beside(do: Callable[[], object]) -> None:
    """Do something on another connection, and wait for it."""

    def work() -> None:
        do()
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it waits for whoever reads"


def test_what_others_write_meanwhile_is_not_seen_and_does_not_wait():
    Group.objects.create(name="one")
    with one_moment():
        assert Group.objects.count() == 1
        beside(lambda: Group.objects.create(name="two"))
        assert Group.objects.count() == 1
    assert Group.objects.count() == 2


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite knows no transaction that only reads")
def test_nothing_is_written_in_it():
    with pytest.raises(Error, match="read-only transaction"), one_moment():
        Group.objects.create(name="one")


def test_what_comes_after_it_is_written_as_ever():
    with one_moment():
        Group.objects.count()
    with transaction.atomic():
        Group.objects.create(name="one")
    assert Group.objects.count() == 1
