"""The records of accounts that have changed, from Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from riskcore.types import Reservation
from state import keys
from state.changes import AccountRecord, Changed
from state.redis_connections import RedisConnections
from state.redis_scripts import LOAD_CHANGED
from state.redis_wire import Argument
from state.store import StateUnavailable

# Checks wait while a script runs: with 100 accounts, all of them changed, it often took 4 to 6 ms.
_TOGETHER = 25

_reservations = msgspec.json.Decoder(tuple[Reservation, ...])
_UNREADABLE = (ValueError, TypeError, IndexError, AttributeError, msgspec.DecodeError)


class RedisChanges:
    """Reads the accounts of a store, those of one lane together.

    Parameters
    ----------
    connections
        To the server.
    run
        Runs a script in a lane, also one that Redis does not know yet: script, lane, arguments.
    lanes
        How many lanes the store has.
    """

    def __init__(self, connections: RedisConnections, run: Callable[..., Any], lanes: int) -> None:
        self._connections, self._run, self._lanes = connections, run, lanes

    def read(self, generation: str, known: Mapping[str, str]) -> Iterator[Changed]:
        """Yield what has changed, some accounts at a time. Raises StateUnavailable."""
        asked = list(self._asked(known))
        if not asked:
            return
        lane, some = asked[0]
        yield _changed(self._run(LOAD_CHANGED, lane, _arguments(generation, some), harmless=True), some)
        rest = asked[1:]  # from here on Redis knows the script
        commands = (
            ("EVALSHA", LOAD_CHANGED.digest, 1, keys.prefix(lane), *_arguments(generation, some)) for lane, some in rest
        )
        for reply, (_, some) in zip(self._connections.stream(commands), rest, strict=True):
            yield _changed(reply, some)

    def _asked(self, known: Mapping[str, str]) -> Iterator[tuple[int, Sequence[tuple[str, str]]]]:
        lanes: dict[int, list[tuple[str, str]]] = {}
        for each in known.items():
            lanes.setdefault(keys.lane_of(each[0], self._lanes), []).append(each)
        for lane, of_lane in lanes.items():
            rest = iter(of_lane)
            while some := tuple(islice(rest, _TOGETHER)):
                yield lane, some


def _arguments(generation: str, some: Sequence[tuple[str, str]]) -> list[Argument]:
    return [generation, *(part for each in some for part in each)]


def _changed(reply: Any, some: Sequence[tuple[str, str]]) -> Changed:
    try:
        now_us, generation, *found = reply
        return Changed(
            now_us=int(now_us),
            generation=(generation or b"").decode(),
            records=tuple(
                [_record(account_id, raw) for (account_id, _), raw in zip(some, found, strict=True) if raw is not None]
            ),
        )
    except _UNREADABLE as error:
        raise StateUnavailable(f"the live state holds what cannot be read: {error}") from error


def _record(account_id: str, raw: Sequence[bytes | None]) -> AccountRecord:
    edition, version, state, ledger, expired = raw
    assert edition is not None
    if version is None and state is not None:
        raise ValueError(f"account {account_id} has no version")
    return AccountRecord(
        account_id=account_id,
        edition=edition.decode(),
        version=int(version or 0),
        state=state,
        ledger=ledger,
        expired=_reservations.decode(expired) if expired else (),
    )
