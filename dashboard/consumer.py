"""/ws/risk/: one browser that looks, for as long as it may (decision 0027)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Literal
from urllib.parse import parse_qs

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseError
from msgspec import Struct

from audit.acting import Acting
from dashboard.guard import Guard
from dashboard.hub import Hub, Place
from dashboard.looking import Looking
from dashboard.parts import Reader
from dashboard.pictures import View
from dashboard.rights import hidden_from, may_look, signed_in
from dashboard.telling import Told
from state.wiring import store

logger = logging.getLogger(__name__)

# Accounts of which one browser wants everything.
MOST_WATCHED = 8

# Why a connection is closed, for the page.
NOT_UNDERSTOOD, NOT_SIGNED_IN, NOT_ALLOWED, TRY_LATER = 4400, 4401, 4403, 1013


class Watch(Struct, frozen=True, forbid_unknown_fields=True):
    """What a browser may say: the accounts of which it wants everything from now on."""

    type: Literal["watch"]
    accounts: tuple[str, ...]


_watch = msgspec.json.Decoder(Watch)


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels publishes no types
    """Sends the picture, and then what changes."""

    # Nothing is sent to a single browser over the channel layer: its process has one ear for all of them.
    channel_layer_alias = ""

    _task: asyncio.Task[None] | None = None
    _place: Place | None = None
    _acting: Acting | None = None

    async def connect(self) -> None:
        """Let in who is signed in and may look; close with a code that says why not."""
        await self.accept()  # only then can a page read the code
        self._desk = _desk_of_loop()
        try:
            acting = await self._desk.guard.admit(self.scope["session"].session_key or "", self._tell)
        except DatabaseError:
            await self.close(TRY_LATER)
            return
        code = _refusal(acting)
        asked = parse_qs(self.scope["query_string"].decode("latin-1"))
        watched = frozenset(asked.get("watch", ()))
        if code is not None or acting is None or len(watched) > MOST_WATCHED:
            await self.close(code or NOT_UNDERSTOOD)
            return
        self._acting = acting
        number = asked.get("n", ["0"])[0]
        self._place = self._desk.hub.join(
            _view(acting, watched), asked.get("stream", [""])[0], int(number) if number.isdecimal() else 0
        )
        self._task = asyncio.create_task(self._send_on(self._place))

    async def disconnect(self, code: int) -> None:
        """Look no more."""
        self._desk.guard.leave(self._tell)
        if self._task is not None:
            self._task.cancel()
        if self._place is not None:
            self._desk.hub.leave(self._place)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take the accounts that the page wants everything of; close on whatever else comes."""
        try:
            asked = _watch.decode(text_data or "")
        except msgspec.MsgspecError:
            await self.close(NOT_UNDERSTOOD)
            return
        if len(asked.accounts) > MOST_WATCHED:
            await self.close(NOT_UNDERSTOOD)
        elif self._place is not None and self._acting is not None:
            self._show(_view(self._acting, frozenset(asked.accounts)))

    async def _send_on(self, place: Place) -> None:
        """Send each frame once the one before is on its way: a slow browser waits by itself."""
        while True:
            await self.send(text_data=await self._desk.hub.next_frame(place))

    def _tell(self, acting: Acting | None) -> None:
        """Take what somebody may now."""
        code = _refusal(acting)
        if code is None and acting is not None and self._place is not None:
            self._acting = acting
            self._show(_view(acting, self._place.view.watched))
            return
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self.close(code))

    def _show(self, view: View) -> None:
        assert self._place is not None
        self._place.view = view
        self._place.moved.set()
        self._desk.hub.wake()


def _refusal(acting: Acting | None) -> int | None:
    """Return the code with which somebody is sent away; None: they may look."""
    if acting is None:
        return NOT_SIGNED_IN
    return None if may_look(acting) else NOT_ALLOWED


def _view(acting: Acting, watched: frozenset[str]) -> View:
    return View(accounts=acting.accounts, hidden=hidden_from(acting), watched=watched)


class _Desk:
    """What the browsers of a process share."""

    def __init__(self) -> None:
        told = Told()
        self.hub = Hub(Looking(told, Reader(store(), told).parts()))
        self.guard = Guard(signed_in)


_known: tuple[asyncio.AbstractEventLoop, Any, _Desk] | None = None


def _desk_of_loop() -> _Desk:
    """Return the desk of the running loop; a process has one that serves browsers, tests have one each."""
    global _known  # noqa: PLW0603 - a memo
    loop = asyncio.get_running_loop()
    if _known is None or _known[:2] != (loop, store()):
        _known = loop, store(), _Desk()
    return _known[2]
