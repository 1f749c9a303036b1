"""Objects with a fixed set of fields, and where in a body something is wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds import values
from feeds.malformed import MOST_ERRORS, Malformed, locate
from feeds.objects import read_list, read_object

FIELDS = {"name": values.text(10), "size": values.decimal, "flag": values.flag}


def wrong_fields(content: bytes) -> dict[str, str]:
    with pytest.raises(Malformed) as caught:
        read_object(content, FIELDS, ("name",))
    return {error.field: error.code for error in caught.value.errors}


def errors_in(content: bytes) -> list[tuple[str, str]]:
    """Return the wrong fields with their codes, none where there are none."""
    try:
        read_object(content, FIELDS)
    except Malformed as malformed:
        return [(error.field, error.code) for error in malformed.errors]
    return []


def test_fields_come_out_by_name():
    assert read_object(b'{"name":"a","flag":true}', FIELDS, ("name",)) == {"name": "a", "flag": True}


def test_every_error_is_reported():
    assert wrong_fields(b'{"size":"x","flag":1,"other":{}}') == {
        "name": "missing",
        "size": "not_a_number",
        "flag": "not_a_flag",
        "other": "unknown_field",
    }


@given(
    st.lists(st.tuples(st.sampled_from([*FIELDS, "other"]), st.sampled_from(['"a"', "1", "true", '"\\""'])), max_size=5)
)
def test_a_field_given_twice_is_always_noticed(pairs):
    content = "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in pairs) + "}"
    names = [name for name, _ in pairs]
    repeated = {name for name in names if names.count(name) > 1}
    assert {name for name, code in errors_in(content.encode()) if code == "repeated_field"} == repeated


def test_a_name_with_escaped_letters_is_the_same_name():
    assert wrong_fields(b'{"name":"a","n\\u0061me":"b"}') == {"name": "repeated_field"}


def test_errors_are_not_endless():
    many = json.dumps({f"{number:0200d}": 1 for number in range(1000)}).encode()

    with pytest.raises(Malformed) as caught:
        read_object(many, FIELDS)

    assert len(caught.value.errors) == MOST_ERRORS
    assert max(len(error.field) for error in caught.value.errors) < 100


def test_items_are_named_by_their_place():
    with pytest.raises(Malformed) as caught:
        read_list(b"[true,1,false,{}]", values.flag, most=9)

    assert [error.field for error in caught.value.errors] == ["[1]", "[3]"]


@pytest.mark.parametrize(
    ("before", "field"),
    [
        (b"", ""),
        (b"[", "[0]"),
        (b'{"a":', "a"),
        (b'{"a":1,"b":', "b"),
        (b'{"a":{"b":[1,2,', "a.b[2]"),
        (b'{"a":"}{][,:\\"",', ""),
        (b'{"a":[{"b":1},{"b":', "a[1].b"),
        (b'{"a":[[]],"b":{"c":1},"d":', "d"),
        (b'{"\\u0061":', "\\u0061"),
    ],
)
def test_a_place_in_a_broken_body_is_named(before, field):
    assert locate(before + b"!", len(before)) == field


@given(st.binary(max_size=200))
def test_any_bytes_are_understood_or_refused_by_name(content):
    assert all(name for name, _ in errors_in(content))
