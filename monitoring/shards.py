"""The accounts shared out over several monitors: each looks at its own, and the first adds up what all have found.

Each says what its accounts come to (`state.store.Store.put_firm_part`). The sums of the firm are those of all parts at
nearly one moment; while one is missing nobody knows them, and nothing is said of the firm.
"""

from __future__ import annotations

import math
from binascii import crc32
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from monitoring.metrics import PART_AGE
from riskcore.firm_sums import FirmSums, together
from state.store import Store

_encoder = msgspec.json.Encoder()


class Shard(Struct, frozen=True):
    """One of so many parts of the accounts, counted from 0."""

    number: int = 0
    of: int = 1

    @property
    def name(self) -> str:
        """Its name in the live state. Another number of parts is another one: theirs are never mixed."""
        return f"{self.number}/{self.of}"

    @property
    def lease(self) -> str:
        """The lease of who looks at it."""
        return "monitor" if self.of == 1 else f"monitor:{self.name}"

    @property
    def is_first(self) -> bool:
        """Whether it speaks for the firm."""
        return self.number == 0

    def has(self, account_id: str) -> bool:
        """Return whether an account is in it."""
        return self.of == 1 or crc32(account_id.encode()) % self.of == self.number

    def all(self) -> Sequence[Shard]:
        """Return all parts, in their order."""
        return [Shard(number, self.of) for number in range(self.of)]


EVERYTHING = Shard()


class Part(Struct, frozen=True):
    """What the accounts of a shard come to under a book; `sums` None: there is none that can be valued."""

    book_version: int
    sums: FirmSums | None


_decoder = msgspec.json.Decoder(Part)


class MissingPart(Exception):
    """What a part of the firm comes to is not known, so nobody knows what the firm does."""


def say(store: Store, shard: Shard, part: Part, token: int) -> bool:
    """Say what a shard comes to, unless a later token has; return whether it was said. Raises StateUnavailable."""
    return store.put_firm_part(shard.name, _encoder.encode(part), token=token)


def last_said_us(store: Store, shard: Shard) -> int | None:
    """Return when it was last said what a shard comes to, None if never. Raises StateUnavailable."""
    found = store.firm_parts(shard.name).get(shard.name)
    return None if found is None else found[0]


def sums_of_all(store: Store, shard: Shard, own: Part, now_us: int, max_age_us: int) -> FirmSums | None:
    """Return the sums over the accounts of all shards, None where none can be valued.

    Raises MissingPart where a part was never said, or longer ago than `max_age_us`, or under another book than `own`;
    StateUnavailable.
    """
    others = [each.name for each in shard.all() if each != shard]
    said = store.firm_parts(*others) if others else {}
    parts = [own]
    for name in others:
        at_us, content = said.get(name, (0, b""))
        age_us = now_us - at_us
        PART_AGE.labels(name).set(age_us / 1_000_000 if content else math.inf)
        if not content:
            raise MissingPart(f"part {name} of the accounts was never looked at")
        if age_us > max_age_us:
            raise MissingPart(f"part {name} of the accounts was last looked at {age_us / 1_000_000:.1f} s ago")
        part = _read(name, content)
        if part.book_version != own.book_version:
            raise MissingPart(f"part {name} was looked at under book {part.book_version}, not {own.book_version}")
        parts.append(part)
    return together([part.sums for part in parts if part.sums is not None])


def _read(name: str, content: bytes) -> Part:
    try:
        return _decoder.decode(content)
    except msgspec.MsgspecError as error:
        raise MissingPart(f"part {name} cannot be read: {error}") from error
