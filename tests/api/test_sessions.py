"""People act by the doors with the session that they are signed in with, and only from our own pages."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db

ADDRESS = f"/risk/alerts/{uuid.uuid4()}/acknowledge"


@pytest.fixture
def browser() -> Client:
    """The browser of somebody who may do everything, with the token of a page of ours."""
    found = Client(enforce_csrf_checks=True)
    found.force_login(User.objects.create(username="olga", is_staff=True, is_superuser=True))
    found.get("/admin/password_change/")
    assert found.cookies["csrftoken"].value
    return found


def acknowledge(browser: Client, token: str | None) -> int:
    headers = {} if token is None else {"X-CSRFToken": token}
    answer = browser.post(ADDRESS, {"note": "mine"}, content_type="application/json", headers=headers)
    return answer.status_code


@pytest.mark.parametrize("token", [None, "", "x" * 32], ids=["none", "empty", "another"])
def test_without_the_token_of_a_page_nothing_is_done(browser, token):
    assert acknowledge(browser, token) == 403


def test_with_it_the_door_reads_the_body_and_answers(browser):
    # There is no such alert: whoever is told so was let in.
    assert acknowledge(browser, browser.cookies["csrftoken"].value) == 404


def test_a_form_of_another_page_is_refused(browser):
    assert browser.post(ADDRESS, {"note": "mine"}).status_code == 403
