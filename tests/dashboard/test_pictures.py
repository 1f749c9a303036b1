"""A picture as each person may see it, and the difference between two of them, which makes the one the other."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from dashboard.frames import snapshot, update
from dashboard.pictures import Picture, Ranked, Row, Rows, Section, View, Watched, delta, rounded, row

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EVERYTHING = View()
ONLY_A = View(accounts=frozenset({"A"}))


def picture(number: int = 1, **sections: Section) -> Picture:
    return Picture(number, NOW, sections)


def of_rows(sections: dict[str, dict[str, Row]]) -> Picture:
    return Picture(1, NOW, {name: Rows(rows) for name, rows in sections.items()})


def decoded(seen) -> dict[str, Any]:
    return {name: {key: msgspec.json.decode(raw) for key, raw in rows.items()} for name, rows in seen.items()}


def applied(before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """What a page does with an update."""
    after = {name: dict(rows) for name, rows in before.items()}
    for name, change in changes.items():
        rows = after.setdefault(name, {})
        rows.update(change["set"])
        for key in change["gone"]:
            del rows[key]
    return after


# ------------------------------------------------------------------------------------------------ who sees what
def test_rows_of_others_are_not_there():
    rows = Rows({"1": row(1, "A"), "2": row(2, "B"), "3": row(3, ""), "4": row(4)})
    assert rows.seen(ONLY_A).keys() == {"1", "4"}
    assert rows.seen(EVERYTHING).keys() == {"1", "2", "3", "4"}


def test_a_row_may_say_less_to_outsiders():
    rows = Rows({"1": Row(Raw(b"1"), outside=Raw(b"0"))})
    assert bytes(rows.seen(ONLY_A)["1"]) == b"0"
    assert bytes(rows.seen(EVERYTHING)["1"]) == b"1"


def test_of_the_uses_of_a_limit_the_first_that_may_be_seen_is():
    ranked = Ranked({"limit": [("", 9), ("B", 8), ("A", 7), ("A", 6)], "other": [("B", 1)]}, lambda _, use: row(use))
    assert decoded({"limits": ranked.seen(ONLY_A)}) == {"limits": {"limit": 7}}
    assert decoded({"limits": ranked.seen(EVERYTHING)}) == {"limits": {"limit": 9, "other": 1}}


def test_watched_accounts_are_for_who_watches_and_may():
    rows = Watched({"A": row(1, "A"), "B": row(2, "B")})
    assert rows.seen(View(watched=frozenset({"A"}))).keys() == {"A"}
    assert rows.seen(View(accounts=frozenset({"A"}), watched=frozenset({"A", "B"}))).keys() == {"A"}
    assert not rows.seen(EVERYTHING)


def test_a_hidden_section_is_not_there_at_all():
    taken = picture(alerts=Rows({"1": row(1)}), book=Rows({"now": row(1)}))
    assert taken.seen(View(hidden=frozenset({"alerts"}))).keys() == {"book"}


def test_views_that_differ_have_names_that_differ():
    views = [EVERYTHING, ONLY_A, View(hidden=frozenset({"A"})), View(watched=frozenset({"A"}))]
    assert len({view.fingerprint for view in views}) == len(views)
    assert View(accounts=frozenset({"A"})).fingerprint == ONLY_A.fingerprint


# ------------------------------------------------------------------------------------------------- differences
SECTIONS = st.dictionaries(
    st.sampled_from(["accounts", "alerts", "book"]),
    st.dictionaries(st.sampled_from("ABCDE"), st.integers(0, 3).map(lambda value: row({"value": value})), max_size=5),
)


@given(SECTIONS, SECTIONS)
def test_a_difference_makes_one_picture_the_other(one, other):
    before, after = of_rows(one), of_rows(other)
    changes = msgspec.json.decode(msgspec.json.encode(delta(before.seen(EVERYTHING), after.seen(EVERYTHING))))
    found = applied(decoded(before.seen(EVERYTHING)), changes)
    wanted = decoded(after.seen(EVERYTHING))
    assert {name: rows for name, rows in found.items() if rows} == {name: rows for name, rows in wanted.items() if rows}


@given(SECTIONS)
def test_between_equal_pictures_there_is_nothing(one):
    before, after = of_rows(one), of_rows({name: dict(rows) for name, rows in one.items()})
    assert delta(before.seen(EVERYTHING), after.seen(EVERYTHING)) == {}


def test_frames_say_what_they_are_on_top_of():
    one = picture(4, book=Rows({"now": row({"version": 1})}))
    two = picture(9, book=Rows({"now": row({"version": 2})}))
    whole = msgspec.json.decode(snapshot("s", one, EVERYTHING))
    assert whole == {
        **{"type": "snapshot", "stream": "s", "n": 4, "at": "2026-01-02T00:00:00Z"},
        "picture": {"book": {"now": {"version": 1}}},
    }
    change = msgspec.json.decode(update("s", one, EVERYTHING, two, EVERYTHING))
    assert change == {
        **{"type": "update", "stream": "s", "n": 9, "from": 4, "at": "2026-01-02T00:00:00Z"},
        "changes": {"book": {"set": {"now": {"version": 2}}, "gone": []}},
    }


def test_who_may_see_less_now_is_told_what_is_gone():
    taken = picture(accounts=Rows({"A": row(1, "A"), "B": row(1, "B")}))
    change = msgspec.json.decode(update("s", taken, EVERYTHING, taken, ONLY_A))
    assert change["changes"] == {"accounts": {"set": {}, "gone": ["B"]}}


def test_figures_that_are_none_or_endless_are_none():
    assert rounded(Decimal("1.23456"), 2) == Decimal("1.23")
    assert [rounded(each, 2) for each in (None, Decimal("Infinity"), Decimal("NaN"))] == [None, None, None]


def test_a_picture_that_is_settled_is_kept_as_it_was_seen_and_no_more():
    taken = picture(accounts=Rows({"A": row(1, "A"), "B": row(1, "B")}))
    before = taken.seen(ONLY_A)
    taken.settle()
    assert taken.seen(ONLY_A) is before
    assert (taken.has_seen(ONLY_A), taken.has_seen(EVERYTHING)) == (True, False)
    with pytest.raises(AssertionError):
        taken.seen(EVERYTHING)
