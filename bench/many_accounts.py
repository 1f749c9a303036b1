"""Ten thousand accounts of twenty positions in the live state, as fast as they can be written and reported anew."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from random import Random

import msgspec
from msgspec.structs import replace

from riskcore.book import Account, decode_book, encode_book
from riskcore.ports import AccountChange, Commit, Committed, Load
from riskcore.types import AccountState, Position
from state.store import Store

POSITIONS = 20
SYMBOLS = tuple(f"MANY{number:03d}USDT" for number in range(200))

_TOGETHER = 100
_DAY_US = 86_400_000_000
_START = Decimal(100_000)


class ManyAccounts:
    """Accounts that are written past the doors. Whoever looks at them sees nothing that is near a limit.

    Parameters
    ----------
    store
        The live state, restored, with a book whose first account has the profile of all.
    count
        How many accounts.
    """

    def __init__(self, store: Store, count: int) -> None:
        self._store, self._random = store, Random(1)
        self._ids = [f"many-{number:05d}" for number in range(count)]
        self._version = 0
        self._held = [self._random.sample(SYMBOLS, POSITIONS) for _ in self._ids]
        self._publish()

    def _publish(self) -> None:
        """Publish the book that is in force with these accounts instead of its own."""
        control = self._store.control()
        assert control is not None, "the live state is not there"
        content = self._store.fetch_book(control.book_version)
        assert content is not None
        book = decode_book(content)
        profile = book.accounts[0].profile
        accounts = tuple(Account(id=account_id, profile=profile) for account_id in self._ids)
        made = replace(book, version=book.version + 1, accounts=accounts)
        self._store.publish_book(made.version, encode_book(made))

    def price(self) -> None:
        """Put another price of every symbol."""
        prices = {symbol: (f"{self._random.randrange(9_800, 10_200) / 100}", 0) for symbol in SYMBOLS}
        self._store.put_prices(prices)

    def change(self) -> None:
        """Put another price of every symbol, and report every account anew."""
        self.price()
        self.report()

    def fall(self) -> None:
        """Report every account with a third less than the day began with: each breaks four limits."""
        self.report(fallen=True)

    def report(self, *, fallen: bool = False) -> None:
        """Report every account anew; `fallen`: with a third less than the day began with."""
        now_us = self._store.load(Load(accounts=())).now_us
        changes = self._changes(now_us, Decimal("0.66") if fallen else Decimal(1))
        while some := tuple(one for _, one in zip(range(_TOGETHER), changes, strict=False)):
            done = self._store.commit(Commit(expect=None, changes=some, journal=(), reload=Load(accounts=())))
            assert isinstance(done, Committed), "somebody else has written an account"
        self._version += 1

    def _changes(self, now_us: int, left: Decimal) -> Iterator[AccountChange]:
        for account_id, symbols in zip(self._ids, self._held, strict=True):
            state = self._state(account_id, symbols, now_us, left)
            yield AccountChange(
                account_id=account_id,
                expected_version=self._version,
                state=msgspec.json.encode(state),
                symbols=tuple(symbols),
            )

    def _state(self, account_id: str, symbols: list[str], now_us: int, left: Decimal) -> AccountState:
        pick = self._random.randrange
        equity = left * _START + Decimal(pick(100_000)) / 100
        positions = {
            symbol: Position(
                symbol=symbol,
                quantity=Decimal(number * 2 - POSITIONS + 1),
                entry_price=Decimal("99.75"),
                mark_price=Decimal(pick(9_800, 10_200)) / 100,
                margin=Decimal("125.63"),
            )
            for number, symbol in enumerate(symbols)
        }
        return AccountState(
            account_id=account_id,
            equity=equity,
            balance=equity,
            margin_used=Decimal("2512.60"),
            peak_equity=_START + 1_000,
            daily_start_equity=_START,
            weekly_start_equity=_START,
            positions=positions,
            received_at_us=now_us,
            day_end_us=now_us + _DAY_US,
            week_end_us=now_us + 7 * _DAY_US,
        )
