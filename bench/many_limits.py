"""Files of many accounts and limits, as a firm of some thousand desks has them: few limits are of every account."""

from __future__ import annotations

from collections.abc import Iterator

PROFILES = ("micro", "low", "normal", "aggressive")

# Of ten limits so many are of each kind.
_OF_TEN = ("account",) * 6 + ("strategy", "symbol", "exchange", "account")
_METRICS = (("leverage", "5"), ("gross_exposure", "5000000"), ("order_notional", "900000"), ("open_positions", "90"))


def account_id(number: int) -> str:
    """Return the name of an account."""
    return f"desk-{number:05d}"


def accounts_file(count: int, name: str = "") -> bytes:
    """Return a CSV file of accounts."""
    lines = (f"{account_id(number)},{PROFILES[number % len(PROFILES)]},{name}" for number in range(count))
    return _file("id,profile,name", lines)


def limits_file(count: int, accounts: int, *, tighter: bool = False) -> bytes:
    """Return a CSV file of limits, each of some accounts, or of one strategy, symbol or exchange."""
    return _file(
        "name,metric,threshold,scope,scope_ids", (_limit(number, accounts, tighter) for number in range(count))
    )


def _limit(number: int, accounts: int, tighter: bool) -> str:
    scope = _OF_TEN[number % len(_OF_TEN)]
    metric, threshold = _METRICS[number % len(_METRICS)]
    threshold = str(int(threshold) - 1) if tighter else threshold
    names = f"{scope.upper()}{number}"
    if scope == "account":
        names = f'"{", ".join(account_id((number * 10 + each) % accounts) for each in range(10))}"'
    return f"Limit {number},{metric},{threshold},{scope},{names}"


def _file(columns: str, lines: Iterator[str]) -> bytes:
    return "\n".join([columns, *lines, ""]).encode()
