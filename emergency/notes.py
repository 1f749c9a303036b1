"""What is noted of a stop beside its flag in the live state, so that it is recorded even if the database is away.

The note of the stop itself is written with the flag and stays until the stop is lifted: it says who and why without the
database. The others stay until they are recorded. Each has a name by which recording it twice does nothing more.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

import msgspec
from msgspec import Struct

from emergency.words import Trigger
from emergency.work import PatienceNote, ProgressNote, UnwindNote
from riskcore.ports import Stop, StopScope
from riskcore.types import TradingState

logger = logging.getLogger(__name__)

# The note that names the life of the notes: where it is not what the database has, some were lost.
LIFE = "life"

_ACCOUNTS_OF_A_NOTE = 200


class StopNote(Struct, frozen=True, kw_only=True, tag="stop"):
    """A stop that was called. `engaged_at_us` 0: whoever called it ended before it was known to be in force."""

    id: str
    scope: StopScope
    scope_id: str
    state: TradingState
    reason: str
    triggered_by: str
    trigger: Trigger
    unwind: bool
    actor: str
    asked_at_us: int
    engaged_at_us: int = 0

    @property
    def name(self) -> str:
        """Return the name under which it is kept."""
        return self.id

    @property
    def flag(self) -> Stop:
        """Return the flag that checks go by."""
        return Stop(id=self.id, scope=self.scope, scope_id=self.scope_id, state=self.state, unwind=self.unwind)


class StepNote(Struct, frozen=True, kw_only=True, tag="step"):
    """A step of a stop's timeline; `id` is a UUID."""

    id: str
    stop_id: str
    at_us: int
    what: str
    detail: str

    @property
    def name(self) -> str:
        """Return the name under which it is kept."""
        return f"step:{self.id}"


class AccountThen(Struct, frozen=True, kw_only=True):
    """An account at the moment of a stop; `state` is its JSON, empty where none was ever reported."""

    account_id: str
    version: int
    state: str


class AccountsNote(Struct, frozen=True, kw_only=True, tag="accounts"):
    """Accounts at the moment of a stop; `part` numbers the notes that share them."""

    stop_id: str
    part: int
    accounts: tuple[AccountThen, ...]

    @property
    def name(self) -> str:
        """Return the name under which it is kept."""
        return f"accounts:{self.stop_id}:{self.part}"


Note: TypeAlias = StopNote | StepNote | AccountsNote | UnwindNote | PatienceNote | ProgressNote

_decoder = msgspec.json.Decoder(Note)


def encode(note: Note) -> bytes:
    """Return a note as it is kept."""
    return msgspec.json.encode(note)


def decode(found: Mapping[str, bytes]) -> Iterator[Note]:
    """Yield the notes among what is kept; what cannot be read is said, and left where it is."""
    for name, content in found.items():
        if name == LIFE:
            continue
        try:
            yield _decoder.decode(content)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            logger.error("the note %s about a stop cannot be read: %s", name, error)


def accounts_notes(stop_id: str, accounts: Sequence[AccountThen]) -> Iterator[AccountsNote]:
    """Yield the notes of a stop's accounts, some in each."""
    rest = iter(accounts)
    part = 0
    while some := tuple(islice(rest, _ACCOUNTS_OF_A_NOTE)):
        yield AccountsNote(stop_id=stop_id, part=part, accounts=some)
        part += 1
