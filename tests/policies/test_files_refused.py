"""What no file of limits may have: refused whole, with every row and column that is wrong."""

from __future__ import annotations

import io
import zipfile

import pytest
from django.utils import timezone

from policies.files.rows import MOST_BYTES
from tests.policies.filing import as_csv, as_xlsx, as_yaml, problems
from tests.policies.subjects import restriction


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-inf", "1e3", "1_000", "1,000.5", "0x10", "\u0661", "ten", "1 000"]
)
@pytest.mark.parametrize("form", ["yaml", "csv", "xlsx"])
def test_what_is_no_number_is_refused(defaults, value, form):
    content = {
        "yaml": as_yaml(policies=[{"name": "Max Account Leverage", "threshold": value}]),
        "csv": f'name,threshold\nMax Account Leverage,"{value}"'.encode(),
        "xlsx": as_xlsx(policies=[["name", "threshold"], ["Max Account Leverage", value]]),
    }[form]
    (said,) = problems(content, f"l.{form}")
    assert "threshold: expected a number" in said


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("threshold", "", "is empty"),
        ("threshold", "0.123456789", "more than 8 decimal places"),
        ("priority", "1.5", "expected a whole number"),
        ("priority", "-1", "expected a whole number"),
        ("enabled", "yes", "expected true or false"),
        ("metric", "moon_phase", "is not a valid choice"),
        ("scope", "account", "Say which accounts"),
        ("version", "one", "expected a whole number"),
        ("id", "not-a-uuid", "not a valid UUID"),
        ("name", "Max\x01", "a character that is no text"),
    ],
)
def test_a_wrong_value_is_told_with_its_row_and_column(defaults, column, value, said):
    given = {"name": "Max Account Leverage", column: value}
    content = (
        as_xlsx(policies=[list(given), list(given.values())])
        if "\x01" not in value
        else as_csv(*map(",".join, (given, given.values())))
    )
    name = "l.xlsx" if "\x01" not in value else "p.csv"
    (found,) = problems(content, name, "policy")
    assert said in found
    assert f"{column if column != 'scope' else 'scope_ids'}: " in found
    assert ("policies, row 2, " if name == "l.xlsx" else "line 2, ") in found


def test_everything_that_is_wrong_is_told_at_once(defaults):
    content = as_csv("name,threshold,priority", "Max Account Leverage,x,y", "Max Drawdown,0.1,z")
    assert problems(content, "p.csv") == [
        "line 2, threshold: expected a number such as 1000 or 0.05, not 'x'",
        "line 2, priority: expected a whole number, not 'y'",
        "line 3, priority: expected a whole number, not 'z'",
    ]


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "l.yaml", "expected names with values"),
        (b"- 1", "l.yaml", "expected names with values"),
        (b"policies: 3", "l.yaml", "expected a list"),
        (b"policies: [3]", "l.yaml", "expected names with values"),
        (b"books: []", "l.yaml", "there is no list of that name"),
        (b"policies: []\npolicies: []", "l.yaml", "is there twice"),
        (b"policies:\n- {name: a, name: b}", "l.yaml", "line 2, name: is there twice"),
        (b"policies:\n- {nome: a}", "l.yaml", "nome: there is no such column"),
        (b"policies:\n- {name: {a: b}}", "l.yaml", "expected a value, or a list"),
        (b"policies:\n- &a {name: x}\n- *a", "l.yaml", "line 3: uses an alias"),
        (b"policies: " + b"[" * 100_000, "l.yaml", "is nested more deeply"),
        (b"a: !!python/object/apply:os.system [ls]", "l.yaml", "there is no list of that name"),
        (b"policies: [", "l.yaml", "is not YAML"),
        (b"\xff\xfe", "l.yaml", "is not UTF-8"),
        (b"", "l.csv", "is empty"),
        (b"name,nome\na,b", "l.csv", "say which kind"),
        (b"id,version\na,1", "l.csv", "say which kind"),
        (b"name,threshold,threshold\na,b,c", "l.csv", "line 1, threshold: is there twice"),
        (b"name,threshold\na", "l.csv", "line 2: has 1 cells, but the first line names 2 columns"),
        (b'name,threshold\n"a,b', "l.csv", "is not CSV"),
        (b"\xff\xfe", "l.csv", "is not UTF-8"),
        (b"PK\x03\x04", "l.xlsx", "is not a workbook"),
        (b"hello", "l.xlsx", "is not a workbook"),
        (b"hello", "l.doc", "its name ends neither"),
        (b"x" * (MOST_BYTES + 1), "l.csv", "is larger than 10 MB"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_a_file_that_is_none_is_refused(defaults, content, name, said):
    (found,) = problems(content, name)
    assert said in found


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("=1+1", "is a formula"),
        (timezone.now().replace(tzinfo=None), "is a date"),
        (12345678901234567, "more than the 15 digits"),
        ("#N/A", "is an error"),
    ],
    ids=["formula", "date", "digits", "error"],
)
def test_a_cell_that_is_neither_text_nor_a_number_is_refused(defaults, cell, said):
    (found,) = problems(as_xlsx(policies=[["name", "threshold"], ["Max Account Leverage", cell]]), "l.xlsx")
    assert found.startswith("policies, row 2, threshold: ")
    assert said in found


def test_a_sheet_of_another_name_is_refused(defaults):
    assert "there is no sheet of that name" in problems(as_xlsx(Tabelle1=[["name"]]), "l.xlsx")[0]


def test_a_cell_beyond_the_columns_is_refused(defaults):
    content = as_xlsx(policies=[["name", "threshold"], ["Max Account Leverage", "9", "mine"]])
    assert "beyond the columns" in problems(content, "l.xlsx")[0]


def test_a_workbook_that_unpacks_to_too_much_is_refused(defaults):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", b"\0" * 250_000_000)
    assert "unpacks to more" in problems(made.getvalue(), "l.xlsx")[0]


def test_a_row_that_is_there_twice_is_refused(defaults):
    content = as_csv("name,threshold", "Max Account Leverage,9", "Max Account Leverage,8")
    assert problems(content, "p.csv") == ["line 3: is the same row as line 2"]


def test_a_restriction_is_not_changed_by_a_file(defaults):
    row = restriction("XRPUSDT").row
    (said,) = problems(as_csv("id,symbol,reason", f"{row.pk},XRPUSDT,other"), "r.csv")
    assert said.startswith("line 2, reason: This is not a field of a restricted symbol")
