"""The hub: a picture a second while somebody looks, and for each the difference to the picture that they have."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec
import pytest
from channels.layers import InMemoryChannelLayer, channel_layers
from django.test import override_settings

from bus import browser
from dashboard import hub as hubs
from dashboard.hub import Hub, Place
from dashboard.pictures import Rows, View, row
from tests.support.patience import PATIENCE_S, eventually

EVERYTHING = View()


class Counting:
    """Shows how often it was asked, and what it heard."""

    def __init__(self) -> None:
        self.looks = 0
        self.heard: list[tuple[str, bytes]] = []
        self.watched: list[list[str]] = []
        self.fails = False
        self.free = threading.Event()
        self.free.set()

    def hear(self, subject: str, payload: bytes) -> bool:
        self.heard.append((subject, payload))
        return True

    def look(self, watched: Iterable[str]) -> dict[str, Rows]:
        assert self.free.wait(PATIENCE_S)
        if self.fails:
            raise RuntimeError("nothing to be seen")
        self.looks += 1
        self.watched.append(list(watched))
        return {"count": Rows({"now": row(self.looks), "A": row(self.looks, "A"), "same": row("same")})}


@pytest.fixture
def looker() -> Counting:
    return Counting()


@pytest.fixture
async def hub(looker, monkeypatch) -> AsyncIterator[Hub]:
    monkeypatch.setattr(hubs, "_LEAST_S", 0.01)
    monkeypatch.setitem(channel_layers.backends, "default", InMemoryChannelLayer())
    with override_settings(EMBEDDED=True):
        made = Hub(looker, every_s=0.05)
        yield made
        looker.free.set()
        await made.close()
        browser.live_in(None)


async def frame(hub: Hub, place: Place) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        return msgspec.json.decode(await hub.next_frame(place), type=dict[str, Any])


async def test_who_comes_gets_a_whole_picture_and_then_differences(hub):
    place = hub.join(EVERYTHING)
    first, second, third = [await frame(hub, place) for _ in range(3)]
    assert (first["type"], first["picture"]["count"]["same"]) == ("snapshot", "same")
    assert [each["type"] for each in (second, third)] == ["update", "update"]
    assert (second["from"], third["from"]) == (first["n"], second["n"])
    assert second["changes"]["count"]["set"].keys() == {"now", "A"}


async def test_nobody_looks_where_nobody_is(hub, looker):
    await asyncio.sleep(0.2)
    assert looker.looks == 0
    place = hub.join(EVERYTHING)
    await frame(hub, place)
    hub.leave(place)
    await asyncio.sleep(0.1)  # a look that had begun ends
    before = looker.looks
    await asyncio.sleep(0.3)
    assert looker.looks == before


async def test_a_slow_one_gets_the_whole_difference_later_and_holds_up_nobody(hub):
    slow, quick = hub.join(EVERYTHING), hub.join(EVERYTHING)
    had = await frame(hub, slow)
    for _ in range(5):
        await frame(hub, quick)
    late = await frame(hub, slow)
    assert late["from"] == had["n"]
    assert late["n"] >= had["n"] + 4


async def test_who_was_away_goes_on_where_they_were(hub):
    place, other = hub.join(EVERYTHING), hub.join(EVERYTHING)
    had = await frame(hub, place)
    hub.leave(place)
    for _ in range(3):
        await frame(hub, other)
    back = hub.join(EVERYTHING, had["stream"], had["n"])
    found = await frame(hub, back)
    assert (found["type"], found["from"]) == ("update", had["n"])


@pytest.mark.parametrize("stream", ["", "another"])
async def test_who_was_elsewhere_begins_anew(hub, stream):
    had = await frame(hub, hub.join(EVERYTHING))
    assert (await frame(hub, hub.join(EVERYTHING, stream, had["n"])))["type"] == "snapshot"


async def test_who_sees_something_else_now_begins_anew(hub):
    had = await frame(hub, hub.join(EVERYTHING))
    other = hub.join(View(accounts=frozenset({"B"})), had["stream"], had["n"])
    found = await frame(hub, other)
    assert (found["type"], found["picture"]["count"].keys()) == ("snapshot", {"now", "same"})


async def test_who_was_away_for_too_long_begins_anew(hub, monkeypatch):
    monkeypatch.setattr(hubs, "KEPT", 2)
    place, other = hub.join(EVERYTHING), hub.join(EVERYTHING)
    had = await frame(hub, place)
    for _ in range(4):
        await frame(hub, other)
    assert (await frame(hub, hub.join(EVERYTHING, had["stream"], had["n"])))["type"] == "snapshot"
    assert (await frame(hub, place))["type"] == "snapshot"


async def test_rights_that_are_withdrawn_take_rows_away(hub):
    place = hub.join(EVERYTHING)
    await frame(hub, place)
    place.view = View(accounts=frozenset({"B"}))
    place.moved.set()
    found = await frame(hub, place)
    assert found["changes"]["count"]["gone"] == ["A"]
    assert found["stream"] == hub.stream(place.view)


async def test_all_that_is_watched_is_looked_at(hub, looker):
    one, other = hub.join(View(watched=frozenset({"A", "B"}))), hub.join(View(watched=frozenset({"C"})))
    await frame(hub, one)
    await frame(hub, other)
    await eventually(lambda: looker.watched[-1] == ["A", "B", "C"], "that both are watched")


async def test_people_who_see_the_same_share_the_bytes(hub):
    one, other = hub.join(EVERYTHING), hub.join(EVERYTHING)
    await frame(hub, one)
    await frame(hub, other)
    async with asyncio.timeout(PATIENCE_S):
        assert await hub.next_frame(one) is await hub.next_frame(other)


async def test_what_is_published_wakes_it(hub, looker, monkeypatch):
    monkeypatch.setattr(hub, "_every_s", 3600.0)
    place = hub.join(EVERYTHING)
    await frame(hub, place)
    await asyncio.sleep(0.1)
    browser.tell("risk.emergency", b"{}")
    found = await frame(hub, place)
    assert found["type"] == "update"
    assert ("risk.emergency", b"{}") in looker.heard


async def test_a_look_that_fails_shows_nothing_new_and_the_next_one_does(hub, looker):
    place = hub.join(EVERYTHING)
    await frame(hub, place)
    looker.fails = True
    hub.wake()
    await asyncio.sleep(0.2)
    looker.fails = False
    assert (await frame(hub, place))["type"] == "update"


async def test_an_old_picture_is_not_given_to_who_comes(hub, looker, monkeypatch):
    place = hub.join(EVERYTHING)
    old = await frame(hub, place)
    hub.leave(place)
    monkeypatch.setattr(hubs, "_OLD_S", 0.1)
    await asyncio.sleep(0.3)
    found = await frame(hub, hub.join(EVERYTHING))
    assert found["n"] > old["n"]
