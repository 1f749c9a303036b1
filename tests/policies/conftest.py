"""What tests of policies start from: the defaults of a new installation, and the live state of this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.db.models import Q
from django.test import Client

from policies.book import latest
from policies.defaults import ensure_defaults
from policies.models import Book
from state.store import Store
from state.wiring import forget_stores, store
from tests.policies.subjects import AwayStore


@pytest.fixture
def defaults(db) -> Book:
    """The book of a new installation."""
    book = ensure_defaults()
    assert book is not None
    return book


@pytest.fixture
def live(request, transactional_db) -> Iterator[Store]:
    """The live state of this process, which goes by the book of a new installation; changes really commit."""
    if settings.REDIS_URL:
        request.getfixturevalue("clean_redis")
    forget_stores()
    found = store()
    ensure_defaults()
    book = latest()
    assert book is not None
    found.restore(book_version=book.version, content=book.content.encode(), stops=(), keys=b"{}")
    yield found
    found.close()
    forget_stores()


@pytest.fixture
def away(monkeypatch) -> None:
    """The live state cannot be reached."""
    monkeypatch.setattr("policies.book.store", AwayStore)


@pytest.fixture
def signed_in(transactional_db):
    """Call it with a name and permissions, and get the browser of somebody who has these, and may look."""

    def make(name: str, *permissions: str) -> Client:
        user, _ = User.objects.get_or_create(username=name, is_staff=True)
        names = [each.partition(".")[2] for each in permissions]
        user.user_permissions.set(Permission.objects.filter(Q(codename__startswith="view_") | Q(codename__in=names)))
        found = Client()
        found.force_login(user)
        return found

    return make
