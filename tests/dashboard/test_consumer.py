"""/ws/risk/ as a browser meets it: who is let in, what they get, and when they are sent away."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.layers import InMemoryChannelLayer, channel_layers
from django.conf import settings as django_settings
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from audit.models import AccountGrant
from dashboard import consumer
from dashboard.guard import Guard
from dashboard.rights import signed_in
from dashboard.routing import websockets
from tests.emergency.world import ACCOUNTS, World, database_away
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.django_db(transaction=True)

HOST = b"testserver"


def person(*permissions: str, name: str = "vera") -> User:
    found = User.objects.create_user(name, is_staff=True)
    found.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return found


def cookie_of(user: User) -> bytes:
    client = Client()
    client.force_login(user)
    return f"sessionid={client.cookies[django_settings.SESSION_COOKIE_NAME].value}".encode()


class Browser:
    """A page that looks."""

    def __init__(self, cookie: bytes = b"", query: str = "", origin: bytes = b"http://" + HOST) -> None:
        scope = {
            "type": "websocket",
            "path": "/ws/risk/",
            "query_string": query.removeprefix("?").encode(),
            "headers": [(b"host", HOST), (b"origin", origin), (b"cookie", cookie)],
            "subprotocols": [],
        }
        self._line = ApplicationCommunicator(websockets(), scope)

    async def open(self) -> bool:
        """Return whether it is let in, if only to be told why not."""
        await self._line.send_input({"type": "websocket.connect"})
        message = await self._line.receive_output(PATIENCE_S)
        return bool(message["type"] == "websocket.accept")

    async def hear(self) -> dict[str, Any]:
        message = await self._line.receive_output(PATIENCE_S)
        return dict(json.loads(message["text"]))

    async def say(self, text: str | None = None, data: bytes | None = None) -> None:
        await self._line.send_input({"type": "websocket.receive", "text": text, "bytes": data})

    async def hear_close(self) -> int:
        """Return the code that it is closed with, whatever comes before."""
        while (message := await self._line.receive_output(PATIENCE_S))["type"] != "websocket.close":
            pass
        return int(message["code"])

    async def leave(self) -> None:
        await self._line.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._line.wait(PATIENCE_S)


@pytest.fixture
async def door(trading: World, monkeypatch) -> AsyncIterator[None]:
    """A process that serves browsers."""
    monkeypatch.setitem(channel_layers.backends, "default", InMemoryChannelLayer())
    monkeypatch.setattr(consumer, "_known", None)
    monkeypatch.setattr("dashboard.consumer.Guard", lambda find: Guard(find, every_s=0.05))
    yield
    if consumer._known is not None:
        desk = consumer._known[2]
        await desk.hub.close()
        await desk.guard.close()


async def opened(*permissions: str, query: str = "") -> tuple[Browser, User]:
    user = await sync_to_async(person)(*permissions or ("view_account",))
    browser = Browser(await sync_to_async(cookie_of)(user), query)
    assert await browser.open()
    return browser, user


# ----------------------------------------------------------------------------------------------------- refused
async def test_a_page_of_another_site_is_not_let_in(door):
    cookie = await sync_to_async(lambda: cookie_of(person("view_account")))()
    assert not await Browser(cookie, origin=b"https://evil.example").open()


@pytest.mark.parametrize("cookie", [b"", b"sessionid=none"])
async def test_who_is_not_signed_in_is_told_so(door, cookie):
    browser = Browser(cookie)
    assert await browser.open()
    assert await browser.hear_close() == consumer.NOT_SIGNED_IN


async def test_who_may_not_look_is_told_so(door):
    browser, _ = await opened("view_alert")
    assert await browser.hear_close() == consumer.NOT_ALLOWED


async def test_without_the_database_nobody_new_is_let_in(door):
    cookie = await sync_to_async(lambda: cookie_of(person("view_account")))()
    with database_away():
        browser = Browser(cookie)
        assert await browser.open()
        assert await browser.hear_close() == consumer.TRY_LATER


@pytest.mark.parametrize("query", ["?" + "&".join(f"watch={number}" for number in range(9))])
async def test_who_wants_too_many_accounts_is_told_so(door, query):
    browser, _ = await opened(query=query)
    assert await browser.hear_close() == consumer.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{",
        "[]",
        '{"type": "watch"}',
        '{"type": "stop", "accounts": []}',
        '{"type": "watch", "accounts": [1]}',
        '{"type": "watch", "accounts": [], "more": 1}',
        json.dumps({"type": "watch", "accounts": [str(number) for number in range(9)]}),
    ],
)
async def test_what_is_not_understood_ends_it(door, said):
    browser, _ = await opened()
    await browser.hear()
    await browser.say(said)
    assert await browser.hear_close() == consumer.NOT_UNDERSTOOD


async def test_bytes_are_not_understood(door):
    browser, _ = await opened()
    await browser.say(data=b"\xff")
    assert await browser.hear_close() == consumer.NOT_UNDERSTOOD


# -------------------------------------------------------------------------------------------------------- shown
async def test_there_is_a_picture_and_then_what_changes(door):
    browser, _ = await opened()
    first, second = await browser.hear(), await browser.hear()
    assert (first["type"], first["picture"]["trading"]["now"]["state"]) == ("snapshot", "ACTIVE")
    assert (second["type"], second["from"]) == ("update", first["n"])
    await browser.leave()


async def test_sections_that_take_a_permission_of_their_own_are_left_out(door):
    browser, _ = await opened("view_account", "view_stop", "view_emergencystop")
    found = (await browser.hear())["picture"]
    assert "stops" in found
    assert not {"alerts", "violations"} & found.keys()
    await browser.leave()


async def test_who_comes_back_goes_on_where_they_were(door):
    browser, user = await opened()
    had = await browser.hear()
    await browser.leave()
    cookie = await sync_to_async(cookie_of)(user)
    back = Browser(cookie, f"?stream={had['stream']}&n={had['n']}")
    assert await back.open()
    found = await back.hear()
    assert (found["type"], found["from"]) == ("update", had["n"])
    await back.leave()


@pytest.mark.parametrize("query", ["?n=x", "?n=-1", "?n=99999999999999999999", "?stream=%00&n=1", "?n=²"])
async def test_who_names_a_picture_that_there_never_was_begins_anew(door, query):
    browser, _ = await opened(query=query)
    assert (await browser.hear())["type"] == "snapshot"
    await browser.leave()


async def test_an_account_may_be_watched_later(door):
    browser, _ = await opened()
    assert not (await browser.hear())["picture"]["watched"]
    await browser.say(json.dumps({"type": "watch", "accounts": [ACCOUNTS[0], "nobody"]}))
    while not (found := (await browser.hear())["changes"].get("watched")):
        pass
    assert found["set"].keys() == {ACCOUNTS[0]}
    await browser.leave()


# ---------------------------------------------------------------------------------------------------- withdrawn
async def test_who_signs_out_is_sent_away(door):
    browser, user = await opened()
    await browser.hear()
    await sync_to_async(user.set_password)("another one")
    await sync_to_async(user.save)()
    assert await browser.hear_close() == consumer.NOT_SIGNED_IN


async def test_who_is_closed_out_is_sent_away(door):
    browser, user = await opened()
    user.is_active = False
    await sync_to_async(user.save)()
    assert await browser.hear_close() == consumer.NOT_SIGNED_IN


async def test_whose_role_may_not_look_any_more_is_sent_away(door):
    role = await sync_to_async(Group.objects.create)(name="watchers")
    looking = await sync_to_async(Permission.objects.get)(codename="view_account")
    await sync_to_async(role.permissions.add)(looking)
    user = await sync_to_async(person)()
    await sync_to_async(user.groups.add)(role)
    browser = Browser(await sync_to_async(cookie_of)(user))
    assert await browser.open()
    await browser.hear()
    await sync_to_async(role.permissions.clear)()
    assert await browser.hear_close() == consumer.NOT_ALLOWED


async def test_whose_role_may_see_less_from_now_on_does(door):
    role = await sync_to_async(Group.objects.create)(name="watchers")
    more = await Permission.objects.aget(codename="view_alert")
    await sync_to_async(role.permissions.add)(more)
    user = await sync_to_async(person)("view_account")
    await sync_to_async(user.groups.add)(role)
    browser = Browser(await sync_to_async(cookie_of)(user))
    assert await browser.open()
    had = await browser.hear()
    assert "alerts" in had["picture"]
    await sync_to_async(role.permissions.clear)()
    while (found := await browser.hear())["stream"] == had["stream"]:
        pass
    assert found["from"] >= had["n"]
    assert "alerts" not in found["changes"] or not found["changes"]["alerts"]["set"]
    await browser.leave()


async def test_who_is_for_other_accounts_from_now_on_signs_in_again(door):
    browser, user = await opened()
    await browser.hear()
    await sync_to_async(AccountGrant.objects.create)(user=user, account_id=ACCOUNTS[0])
    assert await browser.hear_close() == consumer.NOT_SIGNED_IN


# ----------------------------------------------------------------------------------------------------- sessions
def test_sessions_are_read_in_a_few_queries_however_many(trading, django_assert_max_num_queries):
    keys = []
    for number in range(7):
        user = person("view_account", name=f"user-{number}")
        keys.append(cookie_of(user).decode().partition("=")[2])
    with django_assert_max_num_queries(6):
        found = signed_in(keys)
    assert {key: acting.name for key, acting in found.items()} == {key: f"user-{n}" for n, key in enumerate(keys)}
