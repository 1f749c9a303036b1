"""A browser sends the session's cookie to a websocket whoever's page asks for it: only this site's own may."""

from __future__ import annotations

import pytest
from django.test import override_settings

from dashboard.origin import SameOrigin, is_same_origin

HOST = b"risk.example.com:8103"


def asked(origin: bytes | None, host: bytes = HOST) -> bool:
    return is_same_origin({b"host": host} | ({} if origin is None else {b"origin": origin}))


@pytest.mark.parametrize(
    "origin",
    [
        None,
        b"",
        b"null",
        b"https://evil.example",
        b"https://risk.example.com",  # another port
        b"https://risk.example.com:8104",
        b"https://risk.example.com:8103.evil.example",
        b"https://user@risk.example.com:8103",
        b"file://risk.example.com:8103",
        b"risk.example.com:8103",
        b"http://[",
    ],
)
def test_pages_of_others_are_refused(origin):
    assert not asked(origin)


def test_without_a_host_nobody_is_at_home():
    assert not asked(b"https://", host=b"")


@pytest.mark.parametrize("origin", [b"https://risk.example.com:8103", b"http://RISK.example.com:8103"])
def test_pages_of_this_site_are_let_in(origin):
    assert asked(origin)


@override_settings(CSRF_TRUSTED_ORIGINS=["https://desk.example.com"])
def test_pages_that_forms_trust_are_let_in():
    assert asked(b"https://desk.example.com")


async def test_a_refused_one_is_closed_before_it_is_accepted():
    sent = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message) -> None:
        sent.append(message)

    async def application(*_: object) -> None:
        raise AssertionError("it is not asked")

    scope = {"type": "websocket", "headers": [(b"host", HOST), (b"origin", b"https://evil.example")]}
    await SameOrigin(application)(scope, receive, send)
    assert sent == [{"type": "websocket.close"}]
