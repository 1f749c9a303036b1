"""Every documented door asks for a permission, and names it to whoever has none."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from api.grants import STANDS_FOR
from api.urls import doors
from reports.urls import doors as doors_of_reports
from tests.api.world import bearer, record, swap_keys

pytestmark = pytest.mark.django_db(transaction=True)

# What says nothing of the firm, and must be answered whatever is down.
OPEN = {"health", "ready"}
_KEY = "01a1fef2-cf88-7641-9189-bac8ce18d6e9"


def closed() -> list[Any]:
    """Return method, address and permissions of every door but those."""
    found = []
    for door in (*doors, *doors_of_reports):
        path, needs = str(door.pattern), cast(Any, door.callback).cls.needs
        assert bool(needs) is (path not in OPEN), path
        address = "/" + re.sub(r"<[^>]+>", _KEY, path)
        found += [pytest.param(method, address, needs[method], id=f"{method} {path}") for method in sorted(needs)]
    return found


def ask(method: str, address: str, client: Client, **headers: str) -> Any:
    return client.generic(method, address, b"{}", content_type="application/json", headers=headers)


@pytest.mark.parametrize(("method", "address", "needs"), closed())
def test_nobody_is_let_in_without_a_key_or_signing_in(method, address, needs, store):
    swap_keys(store, record())
    assert ask(method, address, Client()).status_code == 401


@pytest.mark.parametrize(("method", "address", "needs"), closed())
def test_a_key_without_the_permission_is_told_which(method, address, needs, store):
    words = [word for word, meant in STANDS_FOR.items() if not meant & set(needs)]
    swap_keys(store, record("oms", *words))
    answer = ask(method, address, Client(), **bearer())
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert all(name in answer.json()["detail"] for name in needs)


@pytest.mark.parametrize(("method", "address", "needs"), closed())
def test_somebody_signed_in_without_the_permission_is_told_which(method, address, needs, store):
    user = User.objects.create(username="olga", is_staff=True)
    user.user_permissions.set(Permission.objects.exclude(codename__in=[name.split(".")[1] for name in needs]))
    client = Client()
    client.force_login(user)
    answer = ask(method, address, client)
    if answer.status_code == 401:  # orders are asked about with keys alone
        assert needs == ("api.check_orders",)
        return
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert all(name in answer.json()["detail"] for name in needs)


@pytest.mark.parametrize(("method", "address", "needs"), closed())
def test_each_permission_of_a_door_is_there_and_some_key_may_have_it(method, address, needs):
    there = {f"{each.content_type.app_label}.{each.codename}" for each in Permission.objects.all()}
    assert set(needs) <= there
    assert set(needs) <= frozenset().union(*STANDS_FOR.values())
