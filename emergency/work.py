"""What is noted of a stop's workflow in the live state: how far the OMS has come, what is left, and who gave up.

Whoever drives the workflow finds all of it there, so that anybody can go on where somebody else ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from emergency.words import Command, Status


class Errand(Struct, frozen=True, array_like=True):
    """What the OMS last said of one command on one account.

    `done_us`: when it first said that nothing was left to cancel, 0: never. `remaining`: how many orders and positions
    were left, None: it never said. `why` says why there is no such answer to the last request, empty where there is.
    """

    done_us: int = 0
    orders_canceled: int = 0
    positions_closed: int = 0
    remaining: int | None = None
    rejects: dict[str, int] = {}
    why: str = ""


_NOT_ASKED = Errand()


class AccountWork(Struct, frozen=True, array_like=True):
    """The commands on one account. `close` None: it was not asked to close anything."""

    cancel: Errand = _NOT_ASKED
    close: Errand | None = None

    def errand(self, command: Command) -> Errand:
        """Return what is known of a command."""
        return self.cancel if command is Command.CANCEL_ALL else self.close or _NOT_ASKED

    def with_errand(self, command: Command, errand: Errand) -> AccountWork:
        """Return the same with another errand."""
        if command is Command.CANCEL_ALL:
            return replace(self, cancel=errand)
        return replace(self, close=errand)


class HeldPosition(Struct, frozen=True, kw_only=True):
    """A position that should be closed; `quantity` is signed."""

    symbol: str
    exchange: str
    quantity: Decimal


class Residual(Struct, frozen=True, kw_only=True):
    """What is left of an account, and why.

    `command`: what the OMS is asked for. `remaining`: how many orders and positions it says are left, None where it
    does not say. `open_orders`: orders from before the stop that riskportal still counts. `account_id` is empty in the
    last of a list that was cut short.
    """

    account_id: str
    why: str
    command: Command | None = None
    remaining: int | None = None
    open_orders: int = 0
    positions: tuple[HeldPosition, ...] = ()
    rejects: dict[str, int] = {}


class Sums(Struct, frozen=True, kw_only=True):
    """Of the `accounts` that a stop is about those that are `cancelled`, and what the OMS has done in all of them."""

    accounts: int
    cancelled: int
    orders_canceled: int
    positions_closed: int


class UnwindNote(Struct, frozen=True, kw_only=True, tag="unwind"):
    """How far a stop has come. `begun_us`: when somebody first saw to it, on the live state's clock.

    Of one that is completed the sums are all that is kept: it may be in force for days, and is read every second.
    """

    stop_id: str
    begun_us: int
    status: Status = Status.BLOCKED
    accounts: Mapping[str, AccountWork] = {}
    residuals: tuple[Residual, ...] = ()
    completed: Sums | None = None

    @property
    def name(self) -> str:
        """Return the name under which it is kept."""
        return f"unwind:{self.stop_id}"

    @property
    def sums(self) -> Sums:
        """Return what was done so far."""
        if self.completed is not None:
            return self.completed
        errands = [account.errand(command) for account in self.accounts.values() for command in Command]
        return Sums(
            accounts=len(self.accounts),
            cancelled=sum(account.cancel.done_us > 0 for account in self.accounts.values()),
            orders_canceled=sum(errand.orders_canceled for errand in errands),
            positions_closed=sum(errand.positions_closed for errand in errands),
        )

    @property
    def kept(self) -> UnwindNote:
        """Return the note as it is kept."""
        return replace(self, accounts={}, completed=self.sums) if self.status is Status.COMPLETED else self


class PatienceNote(Struct, frozen=True, kw_only=True, tag="patience"):
    """The last word on whether the OMS is asked on: `given_up`, when, by whom and why. The latest counts."""

    stop_id: str
    given_up: bool
    at_us: int
    by: str
    reason: str

    @property
    def name(self) -> str:
        """Return the name under which it is kept."""
        return f"patience:{self.stop_id}"


class Progress(Struct, frozen=True, kw_only=True):
    """How far an OMS says that a command on one account has come; `rejects` counts by reason."""

    orders_canceled: int
    positions_closed: int
    remaining: int
    rejects: dict[str, int] = {}


class ProgressNote(Struct, frozen=True, kw_only=True, tag="progress"):
    """A message of an OMS that waits for whoever drives the stop. `command` None: it did not say of which."""

    stop_id: str
    account_id: str
    command: Command | None
    progress: Progress

    @property
    def name(self) -> str:
        """Return the name under which it is kept."""
        return f"progress:{self.stop_id}:{self.command or ''}:{self.account_id}"
