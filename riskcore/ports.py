"""What a check asks of a store, and what every store must answer: two requests, Load and Commit.

The engine yields these and is sent the replies; it never sees Redis, memory, threads or an event loop. A
store compares and writes, it does not calculate. `state/` has the two stores, and tests/contract/ the one
contract that both pass.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from riskcore.types import OrderTail, Price, Reservation, RiskLevel, TradingState


class StopScope(StrEnum):
    GLOBAL = "global"
    EXCHANGE = "exchange"
    ACCOUNT = "account"
    STRATEGY = "strategy"
    SYMBOL = "symbol"


class Stop(Struct, frozen=True, kw_only=True, gc=False):
    """A stop in force. `scope_id` is empty for global scope; `state` is HALTED or REDUCING.

    `unwind`: positions in its scope are to be closed; orders that name it may do so (decision 0020).
    """

    id: str
    scope: StopScope = StopScope.GLOBAL
    scope_id: str = ""
    state: TradingState = TradingState.HALTED
    unwind: bool = False


class Control(Struct, frozen=True, kw_only=True, gc=False):
    """What every order of a lane depends on. A store without one has lost its memory: nothing is approved.

    `generation` names this life of the store (a new one after each restore), `epoch` grows with every stop
    and re-enable, `book_version` is the published book.
    """

    generation: str
    epoch: int
    book_version: int
    stops: tuple[Stop, ...] = ()


class Signal(Struct, frozen=True, array_like=True, gc=False):
    """What the monitor last made of the whole firm (`signal`), and when that was written, by the store's clock."""

    risk_level: RiskLevel
    action_required: bool
    at_us: int


class Answer(Struct, frozen=True, gc=False):
    """The first decision on an order_id: the request's fingerprint and the decision's JSON."""

    fingerprint: str
    decision: bytes


class AccountQuery(Struct, frozen=True, kw_only=True, gc=False):
    """What to load of one account: earlier answers by order_id, and its own best prices by position key.

    `reservations` are order_ids whose reservation is wanted, as a fill, a release or a close does; `fills` are
    fill_ids of which is asked whether they were taken, and `flow` asks for what the feeds remember.
    """

    account_id: str
    order_ids: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    reservations: tuple[str, ...] = ()
    fills: tuple[str, ...] = ()
    flow: bool = False


class Load(Struct, frozen=True, kw_only=True, gc=False):
    """Read some accounts of one lane, and all that deciding on them needs, at one moment."""

    accounts: tuple[AccountQuery, ...]


class AccountView(Struct, frozen=True, kw_only=True, gc=False):
    """One account at the moment of a load.

    `version` is 0 for an account never written. `state` and `ledger` are the JSON of AccountState and
    Ledger, None where there is none (the engine decodes them; the journal keeps them as they are).
    `prices` by symbol: of the query's symbols and of every symbol in the state or in the ledger's open
    orders, those that are known.
    `answers` by order_id: those that are known. `expired`: at most 64 reservations whose life is over and
    that are still in the ledger's sums. `own_bids` and `own_asks` by position key: the highest price of
    the account's own open buys and the lowest of its open sells (decimal text), expired ones left out.
    `reservations` by order_id: those of the query that are held, expired or not. `tails` by order_id: what was
    told of the query's orders before they were asked about. `fills`: those of the query that were taken. `flow`:
    JSON of FlowRecord, None where there is none or it was not asked for.
    """

    account_id: str
    version: int
    state: bytes | None
    ledger: bytes | None
    prices: dict[str, Price]
    answers: dict[str, Answer]
    expired: tuple[Reservation, ...]
    own_bids: dict[str, str]
    own_asks: dict[str, str]
    reservations: dict[str, Reservation] = {}
    tails: dict[str, OrderTail] = {}
    fills: frozenset[str] = frozenset()
    flow: bytes | None = None


class Loaded(Struct, frozen=True, kw_only=True, gc=False):
    """The reply to Load. `control` None: the store is empty or its marker unreadable (recovering).

    `signal` None: no monitor has ever written one.
    """

    now_us: int
    control: Control | None
    accounts: tuple[AccountView, ...]
    signal: Signal | None = None


class AccountChange(Struct, frozen=True, kw_only=True, gc=False):
    """What to write to one account, if its version is still `expected_version`.

    `state`, `ledger` and `flow`: new JSON, None leaves what is there; the version grows by one if any of them or
    a tail is given.
    `symbols` are those whose prices a load must bring. With `state` they take the place of those that are
    there, so they are all that its positions and the ledger's open orders are in; without it they are
    added. `answers` maps order_id to the answer to remember, `tails` to what an order is to be met with when it
    is asked about; `fills` are fill_ids to remember.
    """

    account_id: str
    expected_version: int
    state: bytes | None = None
    symbols: tuple[str, ...] = ()
    ledger: bytes | None = None
    add: tuple[Reservation, ...] = ()
    remove: tuple[Reservation, ...] = ()
    answers: dict[str, Answer] = {}
    flow: bytes | None = None
    tails: dict[str, OrderTail] = {}
    fills: tuple[str, ...] = ()


class Commit(Struct, frozen=True, kw_only=True, gc=False):
    """Write all of it or nothing: the changes, the answers and the journal entries.

    Nothing is written if the store's generation, epoch or book version differ from `expect`, or any
    account's version from its `expected_version`; the reply is then what `reload` would have loaded.
    `expect` None: written whatever the trading state and the book (a feed's report, a release).
    `journal`: entries (JSON) for the journal stream, in order.
    """

    expect: Control | None
    changes: tuple[AccountChange, ...]
    journal: tuple[bytes, ...]
    reload: Load


class Committed(Struct, frozen=True, gc=False):
    """The reply to a Commit that was written."""


class NeedBook(Struct, frozen=True, gc=False):
    """Give the compiled book of this version (a door keeps one per version in its process)."""

    version: int
