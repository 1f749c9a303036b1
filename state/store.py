"""What every store offers: the port of the engine, and what the other floors need of the live state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from riskcore.ports import Commit, Committed, Control, Load, Loaded, Stop
from riskcore.types import Price, Reservation, RiskLevel
from state.bars import PriceBars
from state.changes import Changed

# Earlier answers are kept this long (SPEC 3: at least 24 hours).
ANSWER_LIFE_S = 24 * 60 * 60

# At most this many reservations whose life is over come with one load of an account.
EXPIRED_LIMIT = 64

# Stands for the ledger of an account that has reservations and no ledger: JSON, and unreadable as a ledger.
LOST_LEDGER = b'"lost"'

# The cursor from which a journal is read whole.
JOURNAL_START = "0"


class StateUnavailable(Exception):
    """The live state cannot be reached, took too long, or holds something that cannot be read.

    A commit that raises this may or may not have been written: only its answer, read again by the order's
    id, can tell.
    """


class StopsMoved(Exception):
    """The stops are not those of the epoch that the caller read; it must read them and decide again."""


class StopsInForce(Struct, frozen=True):
    """The stops that every lane has, and since when at the latest: microseconds since the epoch, the store's clock."""

    stops: tuple[Stop, ...]
    at_us: int


class Store(Protocol):
    """The live state, from a thread. Every method raises StateUnavailable, and changes nothing it can help.

    A lane is a part of the accounts that is read and written atomically. Control, prices and stops are
    kept in every lane; the book's content and the API keys in the first.
    """

    @property
    def lanes(self) -> int:
        """Return the number of lanes, 1 or more."""
        ...

    def lane_of(self, account_id: str) -> int:
        """Return the lane of an account. One Load or Commit names accounts of one lane only (ValueError)."""
        ...

    def load(self, load: Load) -> Loaded:
        """Read some accounts at one moment.

        The ledger of an account that has reservations and no ledger is LOST_LEDGER: nothing is approved on
        it until a restore writes one.
        """
        ...

    def commit(self, commit: Commit) -> Committed | Loaded:
        """Write all of it, or answer with what `commit.reload` reads now.

        Besides what Commit says, nothing is written if an order_id to be remembered has an answer already,
        if a reservation to be added is there already, or if one to be removed is not there as it is given;
        nor, with `expect`, the first ledger of an account that has reservations.
        Raises ValueError where an account has more than one change, or a reservation to be added has a price
        or quantity below 0, not finite or longer than 99 digits.
        """
        ...

    def control(self) -> Control | None:
        """Return what all lanes agree on; None where one has lost its memory or they differ for good.

        Also None where it was restored for another number of lanes: most accounts are elsewhere then.
        """
        ...

    def stops(self) -> tuple[int, tuple[Stop, ...]]:
        """Return the newest epoch and its stops, also of a store that has lost its memory and found none.

        Raises StateUnavailable where it has lost its stops alone, or cannot read them.
        """
        ...

    def set_stops(
        self, stops: Sequence[Stop], *, expected_epoch: int | None = None, notes: Mapping[str, bytes] | None = None
    ) -> int:
        """Replace the stops in every lane and return the new epoch.

        `notes` are kept together with the stops of the first lane, so that none stands there without its note.

        That is every lane there is, also where another process has restored the store for more of them.
        With `expected_epoch`, raises StopsMoved and writes nothing if the epoch is another. Works on a
        store that has lost its memory too: the restore that follows keeps the stops it finds.
        Where it raises StateUnavailable the stops may be in force in some lanes: call it again.
        """
        ...

    def raise_stop(
        self, stop: Stop, note: bytes, *, unless: Sequence[Stop] = (), ignoring: Sequence[str] = ()
    ) -> StopsInForce:
        """Put a stop in force beside those that are, in every lane, with its note; return all of them.

        It is left out where one is in force that has its id, or is the same as one of `unless` but for the id, which
        `ignoring` does not name. Those that are in force are in every lane then, whatever became of whoever set them.
        May be repeated. Otherwise as `set_stops`.
        """
        ...

    def stop_notes(self, *names: str) -> dict[str, bytes]:
        """Return what was noted about stops, by name: the notes named that are there, or else all of them.

        Notes outlive the process, and a live state without a control has its own.
        """
        ...

    def put_stop_notes(self, notes: Mapping[str, bytes]) -> None:
        """Keep notes about stops; each takes the place of the one of its name."""
        ...

    def drop_stop_notes(self, *names: str) -> None:
        """Forget the notes of these names."""
        ...

    def publish_book(self, version: int, content: bytes) -> int:
        """Keep a book's content and make it the current one; return the version that now is.

        Never goes back: an older version than the current one is kept, but not made current.
        """
        ...

    def fetch_book(self, version: int) -> bytes | None:
        """Return the content of a book among the last published, None where it is not kept."""
        ...

    def restore(self, *, book_version: int, content: bytes, stops: Sequence[Stop], keys: bytes) -> str:
        """Give the store its memory back and return the name of its new generation.

        Stops found in the store stay in force besides those given: a restore never lifts one. A newer book
        published since the memory was lost stays current. The epoch is greater than any before it.
        """
        ...

    def put_signal(self, risk_level: RiskLevel, *, action_required: bool, token: int) -> bool:
        """Write what the firm's risk is in every lane, and when, unless a later token has; return whether it was."""
        ...

    def put_firm_part(self, name: str, content: bytes, *, token: int) -> bool:
        """Keep what a part of the firm comes to, and when, unless a later token has; return whether it was."""
        ...

    def firm_parts(self, *names: str) -> dict[str, tuple[int, bytes]]:
        """Return the parts of the firm, each with the moment it was kept: those named that are there, or else all."""
        ...

    def hold_lease(self, name: str, holder: str, life_us: int) -> int | None:
        """Take or renew the lease of something that one alone may do; None where another holds it.

        Returns the holder's fencing token: the same for as long as it is renewed in time, and greater than any before
        each time it changes hands or ran out: the clock at that moment, in us, or more. Whoever acts under an older
        one comes too late. A life of 0 ends it.
        """
        ...

    def oms_leases(self, *names: str) -> dict[str, bytes]:
        """Return what is kept of the leases of OMSs, by holder: those named that are there, or else all of them."""
        ...

    def swap_oms_lease(self, name: str, expected: bytes | None, content: bytes | None) -> bool:
        """Put a lease in the place of the one that is expected there, None: of none; return whether it was that one.

        `content` None forgets it.
        """
        ...

    def put_prices(self, prices: Mapping[str, tuple[str, int]]) -> int:
        """Write prices, {symbol: (decimal text, sent_at_us or 0)}, and return how many were written.

        One sent before the one that is there is left out; one without a stamp is always written. Raises
        ValueError where a text is not a finite decimal or a stamp is out of range.
        """
        ...

    def prices(self, symbols: Iterable[str]) -> dict[str, Price]:
        """Return those of the symbols' prices that are known."""
        ...

    def all_prices(self) -> dict[str, Price]:
        """Return every price that was ever put, however old."""
        ...

    @property
    def bars(self) -> PriceBars:
        """Return the bars that the prices make, until they are fetched."""
        ...

    def account_ids(self) -> tuple[str, ...]:
        """Return every account that was ever written, sorted."""
        ...

    def reservations(self, account_id: str) -> tuple[Reservation, ...]:
        """Return all reservations in an account's ledger, expired ones too, oldest first."""
        ...

    def changed(self, generation: str, known: Mapping[str, str]) -> Iterator[Changed]:
        """Yield the records of those accounts that are not of the edition that is known, some at a time.

        `known` has the accounts asked for, each with its edition or UNKNOWN, and `generation` the life of the store
        that editions are of: in another one all accounts come.
        """
        ...

    def put_keys(self, content: bytes) -> None:
        """Replace the API keys that doors admit."""
        ...

    def fetch_keys(self) -> bytes | None:
        """Return the API keys that doors admit, None where they were never put."""
        ...

    def read_journal(self, lane: int, after: str, count: int) -> list[tuple[str, bytes]]:
        """Return up to `count` journal entries after the id `after`, oldest first, each with its id.

        Where the journal is a file, what is returned is on the disk: a power cut does not take it any more.
        """
        ...

    def trim_journal(self, lane: int, through: str) -> None:
        """Forget the journal entries up to and including the id `through`."""
        ...

    def journal_lanes(self) -> int:
        """Return how many lanes may have a journal: `lanes`, or more where there were more before."""
        ...

    def claim_lanes(self) -> str:
        """Make this process's number of lanes the one that the next restore is for, and name the claim.

        The controls of another number end, so that nothing more is approved on them, and what was written of
        accounts in lanes that are not theirs any more is forgotten. The journals stay: drain them first.
        Does nothing where the number has not changed. While no other number is claimed, and until a restore,
        the name is the same: what was put back under another one may have been forgotten.
        """
        ...

    def journal_length(self, lane: int) -> int:
        """Return how many journal entries are not trimmed yet."""
        ...

    def journal_generation(self, lane: int) -> str:
        """Return the name of this life of the journal. Ids of another life say nothing: read from the start.

        Ask for it before each read. Entries may be seen twice around its change, never skipped.
        """
        ...

    def ping(self) -> None:
        """Return if the live state can be reached."""
        ...

    def warnings(self) -> list[str]:
        """Return what about the server's set-up endangers the live state, for people."""
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...


class AsyncStore(Protocol):
    """The part of a store that an asynchronous door needs; the methods are those of Store."""

    @property
    def lanes(self) -> int: ...

    def lane_of(self, account_id: str) -> int: ...

    async def load(self, load: Load) -> Loaded: ...

    async def commit(self, commit: Commit) -> Committed | Loaded: ...

    async def fetch_book(self, version: int) -> bytes | None: ...

    async def fetch_keys(self) -> bytes | None: ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...
