"""Who looks, and what they are shown: one hub for the event loop of a process, at work while somebody is there.

It takes a picture as soon as the monitor has said what it saw, each second, and whenever it hears of something. Nothing
is queued for anybody: whoever is ready for more asks for the difference between the picture that they have and the
newest (decision 0027).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Protocol

from channels.layers import get_channel_layer
from django.conf import settings

from bus import browser
from dashboard import frames
from dashboard.metrics import FRAMES, LOOKERS, PICTURE
from dashboard.pictures import Picture, Section, View

logger = logging.getLogger(__name__)

# Seconds between two pictures at most, which is more than from one look of the monitor to the next: what it says brings
# the next picture, and is not as old as that by then. And the least, however much there is to hear of.
EVERY_S = 1.25
_LEAST_S = 0.2

# Pictures that are kept: whoever was away for longer begins anew.
KEPT = 60

# A picture that is older, in seconds, is not given to those who come.
_OLD_S = 5.0

# How long to wait before the channel layer is listened to again, in seconds.
_PAUSE_S = 1.0


class Looker(Protocol):
    """Finds out what there is to be seen."""

    def hear(self, subject: str, payload: bytes) -> bool:
        """Take a message that was published; return whether to look at once. Called while a thread looks, too."""
        ...

    def look(self, watched: Iterable[str]) -> Mapping[str, Section]:
        """Return the sections of a picture, with all of the accounts that are watched. Never raises."""
        ...


class Place:
    """Where one connection is: how it sees, and the newest picture that it has.

    Attributes
    ----------
    view
        What it may see and wants to; may be changed at any time.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self._has: tuple[Picture, View] | None = None
        self.moved = asyncio.Event()

    @property
    def has(self) -> tuple[Picture, View] | None:
        """Return the picture that the browser has, and as whom it sees it; None where it has none."""
        return self._has

    def take(self, picture: Picture) -> None:
        """Say that it is on its way to the browser."""
        self._has = picture, self.view


class Hub:
    """Takes pictures for those who look.

    Parameters
    ----------
    looker
        Finds out what there is to be seen.
    every_s
        Seconds from one picture to the next at most.
    """

    def __init__(self, looker: Looker, *, every_s: float = EVERY_S) -> None:
        self._name = uuid.uuid4().hex
        self._looker, self._every_s = looker, every_s
        self._places: set[Place] = set()
        self._pictures: OrderedDict[int, Picture] = OrderedDict()
        self._frames: dict[tuple[int, View, View], str] = {}
        self._number, self._taken_s = 0, 0.0
        # One thread: a looker remembers what it saw.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._woken = asyncio.Event()
        self._work = [asyncio.create_task(self._take_all()), asyncio.create_task(self._listen())]

    def stream(self, view: View) -> str:
        """Return the name of the pictures as a view sees them: with other rights, or in another process, another."""
        return f"{self._name}-{view.fingerprint}"

    def join(self, view: View, stream: str = "", number: int = 0) -> Place:
        """Return the place of somebody who looks from now on, and who may have a picture of a stream already."""
        place = Place(view)
        kept = self._pictures.get(number) if stream == self.stream(view) else None
        if kept is not None and kept.has_seen(view):
            place.take(kept)
        self._places.add(place)
        LOOKERS.set(len(self._places))
        self.wake()
        return place

    def leave(self, place: Place) -> None:
        """Let somebody look no more."""
        self._places.discard(place)
        LOOKERS.set(len(self._places))

    def wake(self) -> None:
        """Take the next picture soon."""
        self._woken.set()

    async def next_frame(self, place: Place) -> str:
        """Return what brings a place to the newest picture, once there is one that it does not have."""
        while (frame := self._frame(place)) is None:
            place.moved.clear()
            await place.moved.wait()
        return frame

    async def close(self) -> None:
        """Take no more pictures."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        self._thread.shutdown(wait=False)

    # -------------------------------------------------------------------------------------------- what is sent
    def _frame(self, place: Place) -> str | None:
        # What was seen before somebody came, after nobody had been here for a while, is shown to nobody.
        if not self._pictures or asyncio.get_running_loop().time() - self._taken_s > _OLD_S:
            return None
        newest = self._pictures[self._number]
        has = place.has
        if has is not None and has[0] is newest and has[1] == place.view:
            return None
        # One that has fallen out of memory here may still be in the browser's: it begins anew all the same.
        if has is not None and has[0].number not in self._pictures:
            has = None
        place.take(newest)
        FRAMES.labels("snapshot" if has is None else "update").inc()
        key = (0 if has is None else has[0].number, place.view if has is None else has[1], place.view)
        frame = self._frames.get(key)
        if frame is None:
            frame = self._frames[key] = self._encoded(has, newest, place.view)
        return frame

    def _encoded(self, has: tuple[Picture, View] | None, newest: Picture, view: View) -> str:
        if has is None:
            return frames.snapshot(self.stream(view), newest, view)
        return frames.update(self.stream(view), *has, newest, view)

    # -------------------------------------------------------------------------------------------- what is seen
    async def _take_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._places:
                await self._woken.wait()
            self._woken.clear()
            if not self._places:
                continue
            begun_s = loop.time()
            await self._take(loop)
            await asyncio.sleep(_LEAST_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, begun_s + self._every_s - loop.time())):
                    await self._woken.wait()

    async def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        watched = sorted(frozenset[str]().union(*(place.view.watched for place in self._places)))
        try:
            with PICTURE.time():
                sections = await loop.run_in_executor(self._thread, self._looker.look, watched)
        except Exception:  # the next one may be better, and those who look see that this one is old
            logger.exception("no picture was taken for browsers")
            return
        if self._pictures:
            self._pictures[self._number].settle()
        self._number, self._taken_s = self._number + 1, loop.time()
        self._pictures[self._number] = Picture(self._number, datetime.now(UTC), sections)
        while len(self._pictures) > KEPT:
            self._pictures.popitem(last=False)
        self._frames.clear()
        for place in self._places:
            place.moved.set()

    async def _listen(self) -> None:
        """Hear what is published, for ever."""
        layer = get_channel_layer()
        if settings.EMBEDDED:
            browser.live_in(asyncio.get_running_loop())
        while True:
            try:
                channel = await layer.new_channel()
                await layer.group_add(browser.GROUP, channel)
                while True:
                    message = await layer.receive(channel)
                    if self._looker.hear(message["subject"], message["payload"]):
                        self.wake()
            except Exception as error:
                logger.warning("what is published does not reach browsers: %s", error)
                await asyncio.sleep(_PAUSE_S)
