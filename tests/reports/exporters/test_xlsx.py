"""A report as a workbook, read back with openpyxl."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.workbook import Workbook

from reports.exporters.as_xlsx import XlsxExporter
from reports.exporters.xlsx.texts import LONGEST, clean
from reports.table import Chart, ChartKind, Column, Figure, Kind, Summary
from tests.reports.exporters.subjects import ROWS, head_of, of_texts, written


def opened(content: bytes) -> Workbook:
    return openpyxl.load_workbook(io.BytesIO(content))


def rows_of(content: bytes, sheet: str = "Rows") -> list[list[Any]]:
    """Return the cells of a sheet but for its header."""
    return [[cell.value for cell in row] for row in opened(content)[sheet].iter_rows(min_row=2)]


def about(content: bytes) -> dict[str, object]:
    """Return what stands in the second column of the first sheet by what stands in the first."""
    return {str(row[0].value): row[1].value for row in opened(content)["About"].iter_rows(max_col=2) if row[0].value}


def of_numbers(*numbers: int | Decimal) -> bytes:
    columns = (Column(name="number", label="Number", kind=Kind.NUMBER),)
    return written("xlsx", [(number,) for number in numbers], columns)[0]


def test_every_row_comes_back():
    content, _ = written("xlsx")
    at = datetime(2026, 1, 31, 14, 3, 7, 123000)  # noqa: DTZ001 - a workbook knows no zones
    assert rows_of(content) == [
        [at, "desk-1", 0.5, True, "fine"],
        [at, "desk-2", -1234567.89, False, "insufficient margin: need 500000.00, available 90000.00"],
        [None, "", None, None, ""],
    ]


def test_columns_are_named_for_people_and_stay_in_view():
    sheet = opened(written("xlsx")[0])["Rows"]
    assert [cell.value for cell in sheet[1]] == ["Moment", "Account", "Quantity", "Approved", "Message"]
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:E4")


def test_columns_have_their_widths():
    sheet = opened(written("xlsx")[0])["Rows"]
    assert sheet.column_dimensions["E"].width == pytest.approx(42, abs=1)


def test_a_report_without_rows_has_its_header():
    content, manifest = written("xlsx", rows=())
    assert (rows_of(content), manifest.rows_in_file) == ([], 0)


def test_an_empty_row_is_a_row():
    content, manifest = written("xlsx", [(None, None)], of_texts()[1])
    assert manifest.rows_in_file == 1
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        assert book.read("xl/worksheets/sheet2.xml").count(b"<row ") == 2


# -------------------------------------------------------------------------------------------------- numbers
@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (Decimal("1234.50"), "#,##0.0"),
        (Decimal("100.00"), "#,##0"),
        (Decimal("0.000000000001"), "#,##0." + "0" * 12),
        (7, "0"),
    ],
    ids=str,
)
def test_a_number_is_shown_with_all_its_digits(number, shown):
    cell = opened(of_numbers(number))["Rows"]["A2"]
    assert (cell.data_type, cell.number_format) == ("n", shown)


def test_a_number_that_excel_would_round_is_text_and_the_first_sheet_says_so():
    content = of_numbers(Decimal("1234567890.1234567"), Decimal("1.5"))
    assert rows_of(content) == [["1234567890.1234567"], [1.5]]
    assert "Numbers with more than 15 digits, which Excel would round, are written as text: 1." in about(content)


def test_a_number_that_excel_cannot_say_is_text():
    assert rows_of(of_numbers(Decimal("Infinity"), Decimal("-Infinity"), Decimal("NaN"), Decimal("1E-400"))) == [
        ["Infinity"],
        ["-Infinity"],
        ["NaN"],
        ["0." + "0" * 399 + "1"],
    ]


@given(st.lists(st.decimals(allow_nan=False), min_size=1, max_size=5))
def test_any_number_comes_back(numbers):
    read = [cells[0] for cells in rows_of(of_numbers(*numbers))]
    # A number of Excel has 15 digits: so many of the double that is read are looked at.
    assert [Decimal(cell if isinstance(cell, str) else f"{cell:.15g}") for cell in read] == numbers


@given(st.decimals(min_value=-(10**15), max_value=10**15, places=2))
def test_an_amount_to_the_cent_is_the_double_that_is_nearest(number):
    (read,) = rows_of(of_numbers(number))
    assert float(read[0]) == float(number)


# --------------------------------------------------------------------------------------------------- moments
@given(st.datetimes(datetime(1900, 3, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_moment_comes_back_to_the_millisecond(at):
    columns = (Column(name="at", label="At", kind=Kind.MOMENT),)
    (row,) = rows_of(written("xlsx", [(at,)], columns)[0])
    expected = at.replace(tzinfo=None, microsecond=at.microsecond // 1000 * 1000)
    assert abs(row[0] - expected) < timedelta(milliseconds=1)


def test_a_moment_before_excel_is_text():
    columns = (Column(name="at", label="At", kind=Kind.MOMENT),)
    content, _ = written("xlsx", [(datetime(1899, 1, 1, tzinfo=UTC),)], columns)
    assert rows_of(content) == [["1899-01-01T00:00:00.000000+00:00"]]


def test_the_first_sheet_says_what_moments_lose():
    assert any(label.startswith("Moments are UTC, to the millisecond") for label in about(written("xlsx")[0]))


# ------------------------------------------------------------------------------------------------------ text
@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(1)",
        "\t=1",
        "{=1}",
        "http://example.com",
        "0042",
        "1e5",
        "<r><t>mark</t></r>",
        "<r></r>",
        "#N/A",
    ],
)
def test_text_is_text_whatever_it_looks_like(text):
    rows, columns = of_texts(text)
    content, _ = written("xlsx", rows, columns)
    cell = opened(content)["Rows"]["A2"]
    assert (cell.data_type, cell.value, cell.hyperlink) == ("s", text, None)


def test_no_formula_is_in_the_file():
    rows, columns = of_texts("=1+1", "=cmd|' /C calc'!A0")
    summary = Summary(figures=(Figure("=1", "=2"),), notes=("=3",))
    content, _ = written("xlsx", rows, columns, summary, title="=4", filters=(("=5", "=6"),))
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        sheets = b"".join(book.read(name) for name in book.namelist() if name.startswith("xl/worksheets/"))
    assert not re.search(rb"<f[ >]", sheets)


def test_what_xml_does_not_allow_is_replaced_visibly():
    rows, columns = of_texts("nul\0 bell\x07 return\r half\ud800 none\uffff", "two\r\nlines")
    content, _ = written("xlsx", rows, columns)
    assert [row[0] for row in rows_of(content)] == ["nul␀ bell␇ return␍ half\ufffd none\ufffd", "two\nlines"]


def test_a_text_too_long_for_a_cell_is_cut_and_says_so():
    rows, columns = of_texts("x" * (LONGEST + 1), "\U0001f4a5" * (LONGEST // 2), "\U0001f4a5" * LONGEST)
    content, _ = written("xlsx", rows, columns)
    first, whole, last = (row[0] for row in rows_of(content))
    assert first.endswith("xxx … (cut)")
    assert whole == "\U0001f4a5" * (LONGEST // 2)
    assert last.endswith("\U0001f4a5 … (cut)")
    assert f"Texts longer than {LONGEST:,} characters, of which the end is cut off: 2." in about(content)


def _unescaped(text: object) -> str:
    """Return text as Excel reads it: openpyxl leaves the escape of what looks like one."""
    return re.sub("_x005F(?=_x[0-9a-fA-F]{4}_)", "", str(text or ""))


@given(st.lists(st.text(st.one_of(st.characters(codec=None), st.sampled_from("<r>/_x041&"))), min_size=1, max_size=5))
def test_any_text_comes_back_as_it_can_be_seen(texts):
    rows, columns = of_texts(*texts)
    content, _ = written("xlsx", rows, columns)
    assert [_unescaped(row[0]) for row in rows_of(content)] == [clean(text) for text in texts]


# ------------------------------------------------------------------------------------------- many rows, About
def test_rows_beyond_what_a_sheet_holds_go_on_in_the_next():
    out = io.BytesIO()
    rows, columns = of_texts(*"abcde")
    written_rows = XlsxExporter(rows_of_a_sheet=2).write(out, head_of(rows, columns), iter(rows), Summary())
    content = out.getvalue()
    assert written_rows == 5
    assert opened(content).sheetnames == ["About", "Rows", "Rows 2", "Rows 3"]
    assert [rows_of(content, sheet) for sheet in ("Rows", "Rows 2", "Rows 3")] == [
        [["a", -1], ["b", -1]],
        [["c", -1], ["d", -1]],
        [["e", -1]],
    ]
    assert "The rows go on from sheet to sheet: 3 sheets." in about(content)


def test_a_sheet_that_is_full_to_the_last_row_needs_no_other():
    out = io.BytesIO()
    rows, columns = of_texts(*"ab")
    XlsxExporter(rows_of_a_sheet=2).write(out, head_of(rows, columns), iter(rows), Summary())
    assert opened(out.getvalue()).sheetnames == ["About", "Rows"]


def test_the_first_sheet_says_what_it_is():
    summary = Summary(figures=(Figure("Orders blocked", "1,204"),), notes=("What-ifs are left out.",))
    said = about(written("xlsx", summary=summary)[0])
    expected = {
        "Decisions": None,
        "Account": "desk-1",
        "Rows": "3",
        "Policy book": "versions 3 to 9",
        "Asked by": "auditor",
        "As of": "2026-01-31 14:03:07.123 UTC",
        "Audit events": f"41; the last has the hash {'a' * 64}",
        "Sealed batches": f"7; the last has the hash {'b' * 64}",
        "Orders blocked": "1,204",
        "What-ifs are left out.": None,
    }
    assert {label: said.get(label, "missing") for label in expected} == expected


@pytest.mark.parametrize(("kind", "drawn"), [(ChartKind.BARS, "barChart"), (ChartKind.LINE, "lineChart")])
def test_a_chart_is_one_of_excel_on_the_values_beside_it(kind, drawn):
    chart = Chart(title="=Blocked by reason", kind=kind, labels=("margin", "=collar"), values=(3.0, 1.5), unit="orders")
    content, _ = written("xlsx", summary=Summary(charts=(chart,)))
    assert about(content)["margin"] == 3
    assert about(content)["=collar"] == 1.5
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        picture = book.read("xl/charts/chart1.xml").decode()
    assert f"<c:{drawn}>" in picture
    assert "<c:f>About!$B$" in picture


def test_a_chart_of_nothing_is_said_to_be_empty():
    chart = Chart(title="Blocked by reason", kind=ChartKind.BARS, labels=(), values=())
    content, _ = written("xlsx", summary=Summary(charts=(chart,)))
    assert "None." in about(content)
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        assert "xl/charts/chart1.xml" not in book.namelist()


# ------------------------------------------------------------------------------------------------ where it fails
def test_what_is_broken_off_leaves_no_workbook_and_no_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def rows():
        yield ROWS[0]
        raise ConnectionError("the database is gone")

    out = io.BytesIO()
    with pytest.raises(ConnectionError):
        XlsxExporter().write(out, head_of(), rows(), Summary())
    assert (out.getvalue(), list(tmp_path.iterdir())) == (b"", [])


def test_a_row_with_a_cell_too_few_is_not_written_as_a_whole_one():
    with pytest.raises(ValueError, match="shorter"):
        written("xlsx", [("alone",)], of_texts()[1])
