"""What is HTTP's own in a check: types, lengths and chunks of bodies."""

from __future__ import annotations

import msgspec
import pytest

from tests.api.world import CHECK, bearer, order


def test_an_answer_says_that_it_is_json_and_how_long(ready, http_door):
    answer = http_door.post(CHECK, order())

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))


def test_a_refusal_says_that_it_is_problem_details(ready, http_door):
    assert http_door.post(CHECK, b"{}").headers["content-type"] == "application/problem+json"


def test_10_mb_are_refused_unread(ready, http_door):
    answer = http_door.post(CHECK, b" " * 10_000_000)

    assert answer.status == 413
    assert answer.json["code"] == "too_large"


def test_10_mb_without_a_length_are_refused_before_they_are_whole(ready, http_door):
    answer = http_door.post(CHECK, [b" " * 65_536] * 153)

    assert answer.status == 413


def test_a_body_in_chunks_is_as_good_as_any(ready, http_door):
    body = msgspec.json.encode(order())

    assert http_door.post(CHECK, [body[:10], body[10:]]).status == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", ""]
)
def test_another_content_type_is_415(ready, http_door, kind):
    assert http_door.post(CHECK, order(), {**bearer(), "Content-Type": kind}).status == 415


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", 'application/json; charset="utf-8"']
)
def test_json_may_name_its_encoding(ready, http_door, kind):
    assert http_door.post(CHECK, order(), {**bearer(), "Content-Type": kind}).status == 200
