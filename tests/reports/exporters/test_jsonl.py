"""A report as JSON lines, read back with the json module."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reports.exporters.subjects import ROWS, of_texts, written


def read(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.decode().splitlines()]


def test_a_row_is_an_object_by_the_names_of_the_columns():
    content, _ = written("jsonl", rows=ROWS[:1])
    (row,) = read(content)
    assert row == {
        "at": "2026-01-31T14:03:07.123456+00:00",
        "account": "desk-1",
        "quantity": "0.5",
        "approved": True,
        "message": "fine",
    }


def test_what_is_empty_is_null_and_an_empty_text_is_one():
    content, _ = written("jsonl", rows=ROWS[2:])
    assert read(content) == [{"at": None, "account": "", "quantity": None, "approved": None, "message": ""}]


def test_a_whole_number_is_one():
    _, columns = of_texts()
    content, _ = written("jsonl", [("", 2**80)], columns)
    assert read(content)[0]["number"] == 2**80


def test_text_is_as_it_is_even_where_it_would_be_a_formula():
    rows, columns = of_texts("=1+1")
    content, _ = written("jsonl", rows, columns)
    assert read(content)[0]["text"] == "=1+1"


def test_each_row_is_one_line_whatever_is_in_it():
    rows, columns = of_texts("a\nb\r\u2028c", "d")
    content, _ = written("jsonl", rows, columns)
    assert content.count(b"\n") == 2


def test_more_rows_than_are_written_at_once_are_all_there():
    rows, columns = of_texts(*map(str, range(1_203)))
    content, manifest = written("jsonl", rows, columns)
    assert [row["text"] for row in read(content)] == [str(number) for number in range(1_203)]
    assert manifest.rows_in_file == 1_203


def test_a_row_with_a_cell_too_few_is_not_written_as_a_whole_one():
    _, columns = of_texts()
    with pytest.raises(ValueError, match="shorter"):
        written("jsonl", [("alone",)], columns)


@given(st.lists(st.text(st.characters(codec=None)), max_size=5))
def test_any_text_comes_back_halves_of_pairs_too(texts):
    rows, columns = of_texts(*texts)
    content, _ = written("jsonl", rows, columns)
    assert [json.loads(line)["text"] for line in content.split(b"\n")[:-1]] == texts


@given(st.lists(st.decimals(allow_nan=False), max_size=5))
def test_any_decimal_comes_back(numbers):
    _, columns = of_texts()
    content, _ = written("jsonl", [("", number) for number in numbers], columns)
    assert [Decimal(row["number"]) for row in read(content)] == numbers
