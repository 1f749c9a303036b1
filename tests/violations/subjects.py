"""Short ways to look at accounts, on a clock that a test sets."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from audit.acting import acting
from violations.models import Alert, AlertState, Violation
from violations.observations import Observation
from violations.services import HANDLE, Observed, observe

# A while ago, so that nothing of it is in the future, or so old that nobody is told any more.
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
ALICE, BOB = acting("alice", [HANDLE]), acting("bob", [HANDLE])
MARKUP = "<script>alert(1)</script> <!channel> & *x*"


def at(seconds: float) -> datetime:
    """Return a moment, in seconds from the start."""
    return START + timedelta(seconds=seconds)


def broken(value: Any = "12", *, second: float = 0, **fields: Any) -> Observation:
    """Return a limit of account A that was found broken: by default leverage above 10, which is hard."""
    wanted: dict[str, Any] = {
        "account_id": "A",
        "policy_id": "p-1",
        "policy_name": "Max Leverage",
        "policy_type": "hard",
        "policy_version": 1,
        "metric": "leverage",
        "symbol": "",
        "exchange": "",
        "threshold": Decimal(10),
        "operator": "<=",
        "message": f"Max Leverage: leverage {value} breaks <= 10",
        "at": at(second),
    }
    found = {**wanted, **fields}
    number = None if value is None else Decimal(value)
    used = None if number is None or not number.is_finite() else abs(number / found["threshold"])
    return Observation(**{"value": number, "utilisation": used, **found})


def look(second: float, *found: Observation, accounts: Iterable[str] = ("A",), **what: Any) -> Observed:
    """Have the monitor look at accounts and find these limits broken."""
    moved = [Observation(**{**_fields(each), "at": at(second)}) for each in found]
    return observe(moved, frozenset(accounts), at(second), **what)


def only_violation() -> Violation:
    found: Violation = Violation.objects.get()
    return found


def only_alert() -> Alert:
    found: Alert = Alert.objects.get()
    return found


def states() -> list[str]:
    return sorted(Alert.objects.values_list("state", flat=True))


def raised(**fields: Any) -> Alert:
    """Return an alert that fires."""
    look(0, broken(**fields))
    return Alert.objects.get(state=AlertState.FIRING)


def _fields(each: Observation) -> dict[str, Any]:
    return {name: getattr(each, name) for name in each.__struct_fields__}
