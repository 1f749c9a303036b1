"""Pages act through the REST API with the session of whoever is signed in, and the token against forged requests."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.dashboard.world import ALL, Reader, World, decided, order, signed_in
from tests.emergency.world import engage, row

RE_ENABLE = "/risk/emergency-stop/re-enable"


@pytest.fixture
def bob(world: World) -> Reader:
    """Somebody whose browser is asked for the token, and has one."""
    reader = signed_in("bob", *ALL)
    reader.client = Client(enforce_csrf_checks=True)
    reader.client.force_login(reader.user)
    reader.get("/emergency/")
    return reader


def lift(reader: Reader, stop_id: str, token: str) -> Any:
    body = {"stop_id": stop_id, "authorized_by": "bob", "reason": "all is well"}
    headers = {"X-CSRFToken": token} if token else {}
    return reader.client.post(RE_ENABLE, body, content_type="application/json", headers=headers)


@pytest.mark.parametrize("token", ["", "x" * 32])
def test_without_the_token_nothing_is_done(world, bob, token):
    made = engage()
    assert lift(bob, made.stop_id, token).status_code == 403
    assert row(made).in_force


def test_with_the_token_of_the_page_it_is_done(world, bob):
    made = engage()
    answer = lift(bob, made.stop_id, bob.client.cookies["csrftoken"].value)
    assert answer.status_code == 200, answer.content
    assert row(made).lifted_by == "bob"


def test_a_reservation_is_released_with_the_token_alone(world, bob):
    decided(world, order(order_id="open-1"))
    path = "/risk/reservations/open-1?account_id=desk-1&reason=gone"
    assert bob.client.delete(path).status_code == 403
    token = bob.client.cookies["csrftoken"].value
    assert bob.client.delete(path, headers={"X-CSRFToken": token}).status_code == 200


def test_a_body_that_is_a_form_is_refused_by_its_type(world, bob):
    token = bob.client.cookies["csrftoken"].value
    answer = bob.client.post(RE_ENABLE, {"reason": "x"}, headers={"X-CSRFToken": token})
    assert answer.status_code == 415
