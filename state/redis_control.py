"""The control of all lanes: stops, book and generation, and how they stay the same in every lane.

The first lane leads. Every change is made there first, which gives it its place among others, and then in
the other lanes in turn, where only what is newer is taken over. So
all lanes end the same, whoever comes last.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from riskcore.ports import Control, Stop
from state import keys
from state.redis_codec import decode_control, decode_stops, encode_ids, encode_stop, encode_stops
from state.redis_scripts import FOLLOW_STOPS, IS_USED, PUBLISH, RAISE_STOP, RESTORE, SET_STOPS, Script
from state.redis_wire import Argument, Refused
from state.store import StateUnavailable, StopsInForce, StopsMoved

# A script, the lane that it is for, and its arguments.
Run: TypeAlias = tuple[Script, int, Sequence[Argument]]

# What a lane's control holds: generation, epoch, book, stops, lanes.
Fields: TypeAlias = list[bytes | None]

_FIELDS = ("generation", "epoch", "book", "stops", "lanes")
_AGREEMENT_ATTEMPTS = 5
_AGREEMENT_PAUSE_S = 0.005
_RESTORE_ATTEMPTS = 20


class RedisControl:
    """Reads and changes the control of every lane.

    Parameters
    ----------
    lanes
        How many there are.
    execute
        Sends one command to Redis and returns its reply.
    run
        Runs a script in a lane with some arguments and returns its reply.
    run_all
        Runs scripts that may be repeated, all of them in one trip, and returns their replies.
    in_use
        Returns how many lanes there are in Redis: more than `lanes` where others were restored for more.
    """

    def __init__(
        self,
        lanes: int,
        execute: Callable[..., Any],
        run: Callable[[Script, int, Sequence[Argument]], Any],
        run_all: Callable[[Sequence[Run]], list[Any]],
        in_use: Callable[[], int],
    ) -> None:
        self._lanes = range(lanes)
        self._execute = execute
        self._run = run
        self._run_all = run_all
        self._in_use = in_use

    def read(self) -> Control | None:
        """Return what all lanes agree on; a change on its way through them is given time to arrive."""
        for _ in range(_AGREEMENT_ATTEMPTS):
            first, *others = (decode_control(self._fields(lane), len(self._lanes)) for lane in self._lanes)
            if all(other == first for other in others):
                return first
            time.sleep(_AGREEMENT_PAUSE_S)
        return None

    def stops(self) -> tuple[int, tuple[Stop, ...]]:
        """Return the epoch and the stops of the leading lane, 0 and none where it has no control at all.

        Raises StateUnavailable where it has lost its stops alone: whoever takes none for all of them, and writes
        those, re-enables trading.
        """
        generation, epoch, _, text, _ = self._fields(0)
        stops = decode_stops(text)
        if stops is None and (generation or text is not None):
            raise StateUnavailable("the live state holds stops that cannot be read: they come back with its restore")
        return _number(epoch), stops or ()

    def set_stops(self, stops: Sequence[Stop], expected_epoch: int | None, notes: Mapping[str, bytes]) -> int:
        """Replace the stops in every lane, keep the notes, and return their epoch. Raises StopsMoved."""
        text = encode_stops(stops)
        expected = "" if expected_epoch is None else str(expected_epoch)
        written, epoch = self._lead_stops(text, expected, 0, notes)
        if not written:
            raise StopsMoved(f"the epoch is {epoch}, not {expected}")
        epoch, _ = self._spread(text, epoch, self._in_use())
        return epoch

    def raise_stop(self, stop: Stop, note: bytes, unless: Sequence[Stop], ignoring: Sequence[str]) -> StopsInForce:
        """Put a stop in force in every lane, unless one will do that is: a trip, two where there are lanes."""
        lanes = len(self._lanes)
        arguments = (encode_stop(stop), stop.id, note, encode_stops(unless), encode_ids(ignoring))
        (epoch, text, at_us, lost), more = self._run_all([(RAISE_STOP, 0, arguments), (IS_USED, lanes, ())])
        _, everywhere_us = self._spread(text, int(epoch), self._in_use() if more else lanes, lost=bool(lost))
        stops = decode_stops(text)
        if stops is None:
            raise StateUnavailable("the live state holds stops that cannot be read")
        return StopsInForce(stops, max(int(at_us), everywhere_us))

    def _lead_stops(
        self, text: bytes, expected: str, least: int, notes: Mapping[str, bytes] | None = None
    ) -> tuple[bool, int]:
        pairs = [part for pair in (notes or {}).items() for part in pair]
        written, epoch = self._run(SET_STOPS, 0, (text, expected, least, *pairs))
        return bool(written), int(epoch)

    def _spread(self, text: bytes, epoch: int, lanes: int, *, lost: bool = False) -> tuple[int, int]:
        """Set the stops of the first lane in all others; return their epoch, and when the last had them, in us.

        A stop must reach lanes of another number too. A lane that is added from now on takes it from the first.
        `lost`: the first lane had lost others, without which no lane may approve anything until it is restored.
        """
        at_us, loss = 0, "lost" if lost else ""
        while True:
            replies = self._run_all([(FOLLOW_STOPS, lane, (text, epoch, loss)) for lane in range(1, lanes)])
            highest = max([epoch, *(int(number) for number, _ in replies)])
            at_us = max([at_us, *(int(moment) for _, moment in replies)])
            # A lane may be ahead because somebody else has set newer stops, which then lead already. Otherwise
            # the first lane lost its memory and its clock is behind: no lane may keep what it had before.
            if highest == epoch or _number(self._fields(0)[1]) != epoch:
                return epoch, at_us
            written, number = self._lead_stops(text, str(epoch), highest + 1)
            if not written:
                return epoch, at_us
            epoch = number

    def publish(self, version: int) -> int:
        """Make a book current in every lane, if it is newer, and return the version that now is."""
        return max(int(self._run(PUBLISH, lane, (version,))) for lane in range(self._in_use()))

    def written_for(self) -> str:
        """Return for how many lanes the control was written, empty where it does not say."""
        return (self._fields(0)[4] or b"").decode(errors="replace")

    def restore(self, book_version: int, stops: Sequence[Stop], has_book: Callable[[int], bool]) -> str:
        """Write the control of every lane anew and return the new generation."""
        generation = uuid.uuid4().hex
        for _ in range(_RESTORE_ATTEMPTS):
            seen = [self._fields(lane) for lane in self._lanes]
            wanted = _restored(seen, book_version, stops, generation, self._now_us(), has_book)
            if self._replace(0, seen[0], wanted):
                break
        else:
            raise StateUnavailable("the stops kept changing during the restore")
        for lane in self._lanes[1:]:
            self._copy_to(lane)
        return generation

    def _copy_to(self, lane: int) -> None:
        for _ in range(_RESTORE_ATTEMPTS):
            if self._replace(lane, self._fields(lane), self._fields(0)):
                return
        raise StateUnavailable("the stops kept changing during the restore")

    def _replace(self, lane: int, seen: Fields, wanted: Fields) -> bool:
        """Write the control of a lane, unless it is not as it was seen any more."""
        return bool(self._run(RESTORE, lane, [field or b"" for field in (*seen, *wanted)]))

    def _fields(self, lane: int) -> Fields:
        try:
            fields: Fields = self._execute("HMGET", keys.prefix(lane) + keys.CONTROL, *_FIELDS, harmless=True)
        except Refused as error:
            if str(error).startswith("WRONGTYPE"):
                return [None] * len(_FIELDS)  # whatever is there, it is no control
            raise
        return fields

    def _now_us(self) -> int:
        seconds, microseconds = self._execute("TIME", harmless=True)
        return int(seconds) * 1_000_000 + int(microseconds)


def _number(text: bytes | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


def _restored(
    seen: Sequence[Fields],
    book_version: int,
    stops: Sequence[Stop],
    generation: str,
    now_us: int,
    has_book: Callable[[int], bool],
) -> Fields:
    """Return the control that a restore writes over those that it sees in the lanes."""
    found = decode_stops(seen[0][3])
    if found is None:  # the leading lane forgot its stops; the others may remember
        found = tuple(stop for fields in seen for stop in decode_stops(fields[3]) or ())
    kept = {stop.id: stop for stop in (*stops, *found)}
    epochs = [int(epoch) for _, epoch, _, _, _ in seen if epoch is not None and epoch.isdigit()]
    epoch = max([now_us, *(number + 1 for number in epochs)])
    marker, _, found_book, _, _ = seen[0]
    if not marker and found_book is not None and found_book.isdigit():
        newer = int(found_book)
        if newer > book_version and has_book(newer):
            book_version = newer
    return [
        generation.encode(),
        str(epoch).encode(),
        str(book_version).encode(),
        encode_stops(kept.values()),
        str(len(seen)).encode(),
    ]
