"""What was worked out lately is there; where there is no room the oldest goes, and that alone."""

from __future__ import annotations

import gc

from riskcore import figures, unmoved
from riskcore.remembered import Remembered
from tests.riskcore.builders import check, compiled, order, policy, position, state


def test_the_oldest_goes_where_there_is_no_room() -> None:
    known: Remembered[str, int] = Remembered(2)
    for number, key in enumerate("abc"):
        known.keep(key, number)
    assert dict(known) == {"b": 1, "c": 2}


def test_what_is_remembered_anew_takes_no_further_room() -> None:
    known: Remembered[str, int] = Remembered(2)
    for number, key in enumerate("abab"):
        known.keep(key, number)
    assert dict(known) == {"a": 2, "b": 3}


def test_of_what_is_kept_for_accounts_the_collector_has_nothing_to_look_at() -> None:
    under = compiled(policy("drawdown_daily", "<=", "0.1"), policy("leverage", "<=", 2))
    check(order(1), at=state(position(2), position(3, "ETHUSDT")), under=under)
    gc.collect()
    ((at, legs),) = figures._legs.values()
    ((_, scope, known),) = unmoved._known.values()
    kept = (at, at.positions, legs, *legs.values(), scope, known, known.shown, known.utilisations, *under.limits)
    assert [one for one in kept if gc.is_tracked(one)] == []
