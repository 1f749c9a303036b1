"""A report as a document, read back with poppler's tools."""

from __future__ import annotations

import io
import math
import re
import subprocess
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.exporters.as_pdf import PdfExporter
from reports.exporters.pdf.charts import Scale
from reports.exporters.pdf.fonts import BODY, printable, width_of
from reports.exporters.pdf.table import lay_out, shown
from reports.exporters.pdf.wrapping import wrap
from reports.table import Chart, ChartKind, Column, Figure, Kind, Row, Summary
from tests.reports.exporters.subjects import AT, ROWS, head_of, of_texts, written


def text_of(content: bytes, *options: str) -> str:
    """Return the text of a document; a page ends with a form feed."""
    done = subprocess.run(["pdftotext", "-layout", *options, "-", "-"], input=content, capture_output=True, check=True)
    assert not done.stderr, done.stderr
    return done.stdout.decode()


def pages_of(content: bytes) -> list[str]:
    return text_of(content).split("\f")[:-1]


def text_with(*texts: str) -> str:
    rows, columns = of_texts(*texts)
    return text_of(written("pdf", rows, columns)[0])


def document(count: int, most: int) -> tuple[bytes, int]:
    """Return a document of so many rows of which so many at most are printed, and how many were."""
    out = io.BytesIO()
    rows, columns = of_texts(*(f"row-{number}" for number in range(count)))
    printed = PdfExporter(most_rows=most).write(out, head_of(rows, columns), iter(rows), Summary())
    return out.getvalue(), printed


# --------------------------------------------------------------------------------------------- what it says
@pytest.mark.parametrize(
    "said",
    [
        "What was answered to each order.",
        r"Account +desk-1",
        r"Since +2026-01-31 00:00:00 UTC",
        r"Policy book +versions 3 to 9",
        r"Asked by +auditor",
        r"As of +2026-01-31 14:03:07.123 UTC",
        rf"Audit events +41; the last has the hash {'a' * 64}",
        rf"Sealed batches +7; the last has the hash {'b' * 64}",
        "All 3 rows",
        r"Moment +Account +Quantity +Approved +Message",
        r"2026-01-31 14:03:07.123 +desk-2 +-1,234,567.89 +no +insufficient margin",
        "Moments are UTC, to the millisecond.",
    ],
)
def test_it_says(said):
    assert re.search(said, text_of(written("pdf")[0]))


def test_figures_and_notes_are_in_it():
    summary = Summary(
        figures=tuple(Figure(f"Figure {number}", f"{number * 1204:,}") for number in range(6)),
        notes=("What-ifs are left out.",),
    )
    text = text_of(written("pdf", summary=summary)[0])
    assert re.search(r"Figure 0 +Figure 1 +Figure 2 +Figure 3", text)
    assert re.search(r"4,816 +6,020", text)
    assert "What-ifs are left out." in text


def test_its_properties_name_it():
    done = subprocess.run(["pdfinfo", "-"], input=written("pdf")[0], capture_output=True, check=True)
    assert re.search(r"Title: +Decisions\n[\s\S]*Author: +auditor\nCreator: +riskportal", done.stdout.decode())


# -------------------------------------------------------------------------------------------------- pages
def test_every_page_says_which_of_how_many_it_is_and_what_of():
    pages = pages_of(document(300, 300)[0])
    assert len(pages) > 3
    for number, page in enumerate(pages, 1):
        assert re.search(rf"page {number} of +{len(pages)}\b", page)
        assert re.search(r"Decisions +as of 2026-01-31 14:03:07.123 UTC, for auditor", page)


def test_the_header_of_the_table_is_on_every_page_with_rows():
    for page in pages_of(document(300, 300)[0]):
        assert "row-" not in page or re.search(r"Text +Number", page)


def test_every_row_is_printed_once():
    content, printed = document(300, 300)
    assert printed == 300
    assert sorted(re.findall(r"row-\d+", text_of(content))) == sorted(f"row-{number}" for number in range(300))


def test_beyond_the_most_rows_it_says_how_many_there_are_and_where():
    content, printed = document(12, 10)
    text = text_of(content)
    assert printed == 10
    assert "The first 10 of 12 rows" in text
    assert "… of 12 rows; the rest is in CSV, XLSX or JSON lines." in text
    assert "row-10" not in text


def test_without_rows_it_says_so():
    assert "No rows" in text_of(written("pdf", rows=())[0])


# ------------------------------------------------------------------------------------------------- any text
@pytest.mark.parametrize("text", ["Ärger über 5 €", "Ελλάδα, Москва", "≥ 0.05 → ∞", "a <b>&amp; %s (x\\)"])
def test_what_the_fonts_have_is_printed(text):
    assert text in text_with(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("中", "[U+4E2D]"),
        ("\U0001f600", "[U+1F600]"),
        ("\u202e", "[U+202E]"),
        ("\0", "[U+0000]"),
        ("\ud800", "[U+D800]"),
    ],
    ids=["cjk", "emoji", "override", "nul", "half"],
)
def test_what_they_do_not_have_is_printed_as_its_number_and_said(text, number):
    said = text_with(f"x{text}y")
    assert f"x{number}y" in said
    assert "is printed as its number" in said


def test_text_that_runs_to_the_left_is_said_to_be_printed_as_it_is_stored():
    assert "in the order in which they are stored" in text_with("שלום")


@given(st.lists(st.text(st.characters(codec=None)), max_size=5))
@settings(max_examples=50)
def test_any_text_makes_a_document(texts):
    rows, columns = of_texts(*texts)
    content, manifest = written("pdf", rows, columns, title="".join(texts))
    assert manifest.rows_in_file == len(texts)
    text_of(content)


# ---------------------------------------------------------------------------------------------------- cells
def test_a_long_cell_is_wrapped_and_then_cut_which_is_said():
    text = text_with("word " * 2000)
    assert re.search(r"\w …", text)
    assert "Cells of which only the first lines are printed: 1." in text


@pytest.mark.parametrize(
    ("kind", "cell", "text"),
    [
        (Kind.NUMBER, Decimal("-1234567.890"), "-1,234,567.89"),
        (Kind.NUMBER, Decimal("0.000000000001"), "0.000000000001"),
        (Kind.NUMBER, Decimal("-0.5"), "-0.5"),
        (Kind.NUMBER, Decimal("Infinity"), "Infinity"),
        (Kind.NUMBER, 12345, "12345"),
        (Kind.MOMENT, AT, "2026-01-31 14:03:07.123"),
        (Kind.FLAG, True, "yes"),
        (Kind.FLAG, False, "no"),
        (Kind.TEXT, "a\tb\r\nc", "a b\nc"),
        (Kind.TEXT, None, ""),
    ],
    ids=str,
)
def test_a_cell_is_shown_for_people(kind, cell, text):
    assert shown(kind, cell) == text


def test_a_number_of_thousands_of_digits_is_shown():
    assert shown(Kind.NUMBER, Decimal("1" * 5000)) == ",".join(["11", *["111"] * 1666])


def columns_of(count: int) -> tuple[Column, ...]:
    return tuple(Column(name=f"c{number}", label=f"C{number}") for number in range(count))


def test_few_columns_have_large_letters_on_a_small_page():
    layout = lay_out(columns_of(4), [["abc"] * 4])
    assert (layout.size, round(layout.paper[0])) == (8.0, 842)


def test_many_columns_have_a_large_page():
    assert round(lay_out(columns_of(24), [["fourteen chars"] * 24]).paper[0]) == 1191


@pytest.mark.parametrize("count", [1, 40, 200])
def test_columns_are_never_wider_than_the_page(count):
    layout = lay_out(columns_of(count), [["w" * 300] * count])
    assert sum(layout.widths) <= layout.paper[0] - 72 + 0.01


def test_narrow_columns_are_broken_between_words_while_that_is_possible():
    row = ["short words " * 20] * 12 + ["0198c0de-aaaa-7bbb-8ccc-ddddeeeeffff"]
    columns = (*columns_of(12), Column(name="id", label="Id", width=36))
    wide = tuple(Column(name=column.name, label=column.label, width=60) for column in columns)
    layout = lay_out(wide, [row])
    assert layout.widths[-1] >= width_of(row[-1], BODY, layout.size)


def test_two_hundred_columns_are_printed():
    row: Row = tuple(f"cell {number}" for number in range(200))
    _, manifest = written("pdf", [row], columns_of(200))
    assert manifest.rows_in_file == 1


# ------------------------------------------------------------------------------------------------- wrapping
@given(st.text(), st.floats(10, 200))
def test_lines_are_no_wider_than_their_place_and_lose_nothing(text, width):
    text = printable(text)
    lines = wrap(text, width, 8)
    assert re.sub(r"[ \n]", "", "".join(lines)) == re.sub(r"[ \n]", "", text)
    assert all(width_of(line, BODY, 8) <= width or len(line) == 1 for line in lines)


def test_of_too_many_lines_the_last_says_that_there_are_more():
    assert wrap("one\ntwo\nthree", 100, 8, most=2) == ["one", "two …"]


# --------------------------------------------------------------------------------------------------- charts
@pytest.mark.parametrize("kind", ChartKind)
@pytest.mark.parametrize(
    "values",
    [(1.0, 2.0, 3.0), (0.0, 0.0, 0.0), (-3.0, 5.0, 1e12), (math.nan, math.inf, 2.0), (1e-9, 2e-9, 0.0), (5.0,)],
    ids=["some", "zeros", "signs", "gaps", "tiny", "one"],
)
@pytest.mark.parametrize("label", ["{}", "a label that is far longer than its place, number {}"], ids=["short", "long"])
def test_any_chart_is_drawn(kind, values, label):
    labels = tuple(label.format(number) for number in range(len(values)))
    chart = Chart(title="A chart", kind=kind, labels=labels, values=values, unit="orders")
    assert "A chart (orders)" in text_of(written("pdf", summary=Summary(charts=(chart,)))[0])


def test_a_chart_of_nothing_says_so():
    chart = Chart(title="A chart", kind=ChartKind.BARS, labels=(), values=())
    assert "Nothing to draw." in text_of(written("pdf", summary=Summary(charts=(chart,)))[0])


def test_of_many_labels_as_many_are_written_as_there_is_room_for():
    labels = tuple(f"label-{number}" for number in range(200))
    chart = Chart(title="A chart", kind=ChartKind.BARS, labels=labels, values=tuple(map(float, range(200))))
    text = text_of(written("pdf", summary=Summary(charts=(chart,)))[0])
    assert 5 < len(re.findall(r"label-\d+", text)) < 40


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15), min_size=1))
def test_every_value_is_on_the_scale(values):
    scale = Scale(values)
    assert all(-1e-6 <= scale.share(value) <= 1 + 1e-6 for value in values)
    assert 2 <= len(scale.ticks) <= 12


@pytest.mark.parametrize(
    ("values", "ticks"),
    [([0.0], ["0", "1"]), ([1204.0, 380.0], ["0", "500", "1,000", "1,500"]), ([0.03], ["0", "0.01", "0.02", "0.03"])],
    ids=str,
)
def test_a_scale_has_round_numbers(values, ticks):
    scale = Scale(values)
    assert [scale.shown(tick) for tick in scale.ticks] == ticks


# ------------------------------------------------------------------------------------------ where it fails
def test_what_is_broken_off_leaves_no_document():
    def rows():
        yield ROWS[0]
        raise ConnectionError("the database is gone")

    out = io.BytesIO()
    with pytest.raises(ConnectionError):
        PdfExporter().write(out, head_of(), rows(), Summary())
    assert out.getvalue() == b""
