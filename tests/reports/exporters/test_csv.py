"""A report as CSV, read back with the csv module."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.exporters.as_csv import CsvExporter
from reports.exporters.cells import fused
from reports.table import Summary
from tests.reports.exporters.subjects import ROWS, head_of, of_texts, written


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def test_the_first_line_names_the_columns():
    content, _ = written("csv")
    assert read(content)[0] == ["at", "account", "quantity", "approved", "message"]


def test_every_row_comes_back():
    content, _ = written("csv")
    assert read(content)[1:] == [
        ["2026-01-31T14:03:07.123456+00:00", "desk-1", "0.5", "true", "fine"],
        [
            "2026-01-31T14:03:07.123456+00:00",
            "desk-2",
            "-1234567.89",
            "false",
            "insufficient margin: need 500000.00, available 90000.00",
        ],
        ["", "", "", "", ""],
    ]


def test_lines_end_as_the_standard_says():
    content, _ = written("csv", rows=ROWS[:1])
    assert content.endswith(b",true,fine\r\n")


def test_a_report_without_rows_has_its_header():
    content, manifest = written("csv", rows=())
    assert content == b"at,account,quantity,approved,message\r\n"
    assert manifest.rows_in_file == 0


def test_a_formula_is_defused_and_a_negative_number_stays_one():
    rows, columns = of_texts("=HYPERLINK(1)")
    content, _ = written("csv", rows, columns)
    assert read(content)[1] == ["'=HYPERLINK(1)", "-1"]


def test_a_row_with_a_cell_too_few_is_not_written_as_a_whole_one():
    _, columns = of_texts()
    with pytest.raises(ValueError, match="shorter"):
        written("csv", [("alone",)], columns)


def test_the_stream_stays_open_whether_all_is_written_or_not():
    def broken_off():
        yield ROWS[0]
        raise ConnectionError("the database is gone")

    stream = io.BytesIO()
    CsvExporter().write(stream, head_of(), iter(ROWS), Summary())
    with pytest.raises(ConnectionError):
        CsvExporter().write(stream, head_of(), broken_off(), Summary())
    assert not stream.closed


def test_half_of_a_pair_of_characters_is_written_as_its_number():
    rows, columns = of_texts("x\ud800")
    content, _ = written("csv", rows, columns)
    assert read(content)[1][0] == "x\\ud800"


@given(st.lists(st.text(), max_size=5))
def test_any_text_comes_back(texts):
    rows, columns = of_texts(*texts)
    content, _ = written("csv", rows, columns)
    assert [fused(row[0]) for row in read(content)[1:]] == texts


@given(st.lists(st.decimals(allow_nan=False), max_size=5))
def test_any_number_comes_back(numbers):
    _, columns = of_texts()
    content, _ = written("csv", [("", number) for number in numbers], columns)
    assert [Decimal(row[1]) for row in read(content)[1:]] == numbers
