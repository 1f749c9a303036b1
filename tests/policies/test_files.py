"""Limits as files: what is exported is imported again without a change, and what changes is one request."""

from __future__ import annotations

import csv
import io
import json
import uuid
import zipfile
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.utils import timezone
from openpyxl import Workbook, load_workbook

from policies.errors import NothingToChange
from policies.files.rows import KINDS, MOST_BYTES, SHEETS, FileRefused, columns
from policies.files.services import do_import_limits, export_limits, plan_import, try_plan
from policies.models import Account, CapitalProfile, ChangeRequest, Instrument, Policy, RestrictedSymbol
from policies.requests import services
from tests.policies.requesting import ALICE, approved, policy, seen
from tests.policies.subjects import account, instrument, limit, profile, restriction


@pytest.fixture
def everything(defaults) -> None:
    """Something of every kind, with values that are easily spoilt."""
    profile("wide", strategies=["s1", "s2"])
    account("desk-1", name='=Desk; one, "two"', exchange="ONE", reservation_ttl_s=30)
    instrument("BTCUSDT", lot_size=Decimal("0.000000000001"), margin_rate=Decimal("0.1"), order_types=["LIMIT"])
    restriction("DOGEUSDT", side="SELL", account_id="desk-1", until=timezone.now() + timedelta(days=1))
    limit(
        "+Formel",
        threshold=Decimal("123456789.12345678"),
        description="first line\nsecond: '=line', \"quoted\"; é",
        scope="symbol",
        scope_ids=["BTCUSDT", "ETHUSDT"],
        regulatory_tags=["15c3-5", "RTS 6"],
        owner="-owner",
    )
    limit("Off", enabled=False, metric="daily_pnl", operator=">=", threshold=Decimal(-5000))


def as_yaml(**sheets: Any) -> bytes:
    return yaml.safe_dump(sheets).encode()


def as_csv(*lines: str) -> bytes:
    return "\n".join(lines).encode()


def as_xlsx(**sheets: list[list[Any]]) -> bytes:
    book = Workbook()
    del book["Sheet"]
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def problems(content: bytes, name: str = "limits.yaml", kind: str = "") -> list[str]:
    """What is wrong with a file, tried if it can be read."""
    with pytest.raises(FileRefused) as refused:
        try_plan(plan_import(content, name, kind))
    return [str(each) for each in refused.value.problems]


# ---------------------------------------------------------------------------------------------- there and back
@pytest.mark.parametrize("form", ["yaml", "xlsx"])
def test_what_was_exported_changes_nothing(everything, form):
    plan = plan_import(export_limits(form), f"limits.{form}")
    assert (plan.edits, plan.same) == ((), 4 + 1 + 1 + 1 + 1 + Policy.objects.count())


@pytest.mark.parametrize("kind", SHEETS)
def test_what_was_exported_as_csv_changes_nothing(everything, kind):
    content = export_limits("csv", kind)
    assert plan_import(content, "rows.csv", kind).edits == ()


def exported() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = yaml.load(export_limits("yaml"), yaml.BaseLoader)
    return found


def test_limits_of_another_installation_are_known_by_their_names(everything):
    sheets = exported()
    for row in sheets["policies"]:
        row |= {"id": str(uuid.uuid4()), "version": "17"}
    assert plan_import(as_yaml(policies=sheets["policies"]), "limits.yaml").edits == ()


def test_rows_that_are_not_there_are_made_as_the_file_says(everything, live):
    sheets = exported()
    for row in sheets["policies"]:
        row |= {"id": "", "name": f"Second {row['name']}"}
    for sheet, key in (("profiles", "name"), ("accounts", "id"), ("instruments", "symbol")):
        for row in sheets[sheet]:
            row[key] = f"second-{row[key]}" if sheet != "instruments" else f"2{row[key]}"
    for row in sheets["restrictions"]:
        row["id"] = ""
    imported(as_yaml(**sheets))
    found = exported()
    made = [row for row in found["policies"] if row["name"].startswith("Second ")]
    assert [_plain(row) for row in made] == [_plain(row) for row in _sorted_like(sheets["policies"], made)]
    assert len(found["profiles"]) == 10
    assert len(found["restrictions"]) == 2


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("id", "version")}


def _sorted_like(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = [row["name"] for row in others]
    return sorted(rows, key=lambda row: names.index(row["name"]))


def imported(content: bytes, name: str = "limits.yaml") -> ChangeRequest:
    """Import a file and publish what it asks for, with whatever approval that takes."""
    request = do_import_limits(acting=ALICE, reason="A file", plan=plan_import(content, name), title="Import")
    services.do_publish_request(acting=ALICE, **seen(approved(request)))
    return request


def test_numbers_are_text_in_every_format(everything):
    row = next(row for row in yaml.safe_load(export_limits("yaml"))["policies"] if row["name"] == "+Formel")
    assert row["threshold"] == "123456789.12345678"
    sheet = load_workbook(io.BytesIO(export_limits("xlsx")))["policies"]
    assert {cell.data_type for cells in sheet.iter_rows() for cell in cells} <= {"s", "inlineStr", "n"}
    assert not [cell for cells in sheet.iter_rows() for cell in cells if isinstance(cell.value, (int, float))]


def test_nothing_in_a_spreadsheet_is_a_formula(everything):
    text = export_limits("csv", "policy").decode("utf-8-sig") + export_limits("csv", "account").decode("utf-8-sig")
    cells = [cell for cells in csv.reader(io.StringIO(text)) for cell in cells]
    begun = [cell for cell in cells if cell[:1] in ("=", "+", "-", "@")]
    assert begun == ["-5000"]
    assert "'+Formel" in cells
    sheets = load_workbook(io.BytesIO(export_limits("xlsx")))
    shown = [str(cell.value) for sheet in sheets for cells in sheet.iter_rows() for cell in cells if cell.value]
    assert [cell for cell in shown if cell[:1] in ("=", "+", "-", "@")] == ["-5000"]


def test_restrictions_that_were_lifted_are_not_exported(everything):
    RestrictedSymbol.objects.get()
    assert len(yaml.safe_load(export_limits("yaml"))["restrictions"]) == 1


# -------------------------------------------------------------------------------------------------- what changes
def test_a_file_changes_the_rows_and_fields_that_it_names_and_no_others(defaults):
    limit("Max Order Notional")
    content = as_csv("name,threshold", "Max Order Notional,900.50", "Max Account Leverage,10")
    plan = plan_import(content, "policies.csv", "policy")
    (edit,) = plan.edits
    assert (edit.kind, edit.key, edit.expected_version) == ("policy", str(policy("Max Order Notional").pk), 1)
    assert (edit.fields, plan.same) == ({"threshold": "900.5"}, 1)


def test_one_file_is_one_request(defaults):
    content = as_csv("name,threshold", "Max Account Leverage,9", "Max Open Positions,50")
    plan = plan_import(content, "policies.csv", "policy")
    request = do_import_limits(acting=ALICE, reason="Review", plan=plan, title="Import of policies.csv")
    assert (request.title, request.reason, request.state) == ("Import of policies.csv", "Review", "draft")
    assert len(request.edits) == 2
    assert policy().threshold == 10


def test_a_file_that_says_what_is_so_already_asks_for_nothing(defaults):
    plan = plan_import(as_csv("name,threshold", "Max Account Leverage,10.0"), "p.csv", "policy")
    with pytest.raises(NothingToChange):
        do_import_limits(acting=ALICE, reason="Review", plan=plan, title="Import")


def test_a_row_that_was_changed_since_it_was_exported_is_refused(defaults):
    content = export_limits("yaml").replace(b"threshold: '10'", b"threshold: '9'")
    request = do_import_limits(
        acting=ALICE,
        reason="Meanwhile",
        plan=plan_import(as_csv("name,threshold", "Max Account Leverage,8"), "p.csv"),
        title="",
    )
    services.do_publish_request(acting=ALICE, **seen(request))
    (said,) = problems(content)
    assert "policies, line" in said
    assert "was changed meanwhile by alice" in said
    assert "threshold 10" in said


def test_a_row_that_was_changed_since_and_says_the_same_is_no_matter(defaults):
    content = export_limits("yaml")
    row = policy()
    services.do_publish_request(
        acting=ALICE,
        **seen(
            do_import_limits(
                acting=ALICE, reason="r", plan=plan_import(as_csv("name,owner", f"{row.name},ann"), "p.csv"), title=""
            )
        ),
    )
    sheets = yaml.load(content, yaml.BaseLoader)
    kept = [{name: value for name, value in each.items() if name != "owner"} for each in sheets["policies"]]
    assert plan_import(as_yaml(policies=kept), "l.yaml").edits == ()


def test_lists_and_moments_are_read_from_every_format(defaults):
    account("desk-1")
    until = "2030-01-31T14:00:00+01:00"
    rows = [["symbol", "account", "close_only", "until", "reason"], ["xrpusdt", "desk-1", "true", until, "news"]]
    edits = [
        plan_import(as_xlsx(restrictions=rows), "l.xlsx").edits,
        plan_import(as_csv(*(",".join(row) for row in rows)), "l.csv").edits,
        plan_import(as_yaml(restrictions=[dict(zip(*rows, strict=True))]), "l.yaml").edits,
    ]
    for (edit,) in edits:
        assert edit.fields["until"] == "2030-01-31T13:00:00.000000+00:00"
        assert edit.fields["close_only"] is True


def test_names_are_known_whatever_the_case_that_orders_have_them_in(defaults):
    limit("Narrow", scope="symbol", scope_ids=["BTCUSDT"])
    instrument("BTCUSDT")
    assert plan_import(as_csv("name,scope_ids", 'Narrow,"btcusdt"'), "p.csv").edits == ()
    assert plan_import(as_csv("symbol,tick_size", "btcusdt,0.01"), "i.csv").edits == ()


def test_a_number_of_a_spreadsheet_is_what_was_typed(defaults):
    content = as_xlsx(policies=[["name", "threshold", "priority"], ["Max Account Leverage", 0.1, 7]])
    (edit,) = plan_import(content, "l.xlsx").edits
    assert edit.fields == {"threshold": "0.1", "priority": 7}


def test_a_spreadsheet_saved_with_semicolons_is_read(defaults):
    assert len(plan_import(as_csv("name;threshold", "Max Account Leverage;9"), "p.csv").edits) == 1


def test_empty_rows_are_left_out(defaults):
    content = as_xlsx(policies=[["name", "threshold"], [None, None], ["Max Account Leverage", "9"]])
    assert len(plan_import(content, "l.xlsx").edits) == 1
    assert len(plan_import(as_csv("name,threshold", ",", "Max Account Leverage,9", ""), "p.csv").edits) == 1


def test_a_restriction_is_lifted_by_a_file(defaults):
    row = restriction("XRPUSDT").row
    (edit,) = plan_import(as_csv("id,symbol,active", f"{row.pk},XRPUSDT,false"), "r.csv").edits
    assert (edit.key, edit.fields) == (str(row.pk), {"active": False})


# ---------------------------------------------------------------------------------------------- what is refused
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


# ---------------------------------------------------------------------------------------------- the command line
def run(command: str, *arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


def test_what_the_command_line_exports_it_imports_as_one_request(defaults, tmp_path):
    path = tmp_path / "limits.yaml"
    run("export_policies", str(path))
    assert "there is nothing to change" in run("import_policies", str(path))
    path.write_text(path.read_text().replace("threshold: '10'", "threshold: '8'"))
    said = run("import_policies", str(path), reason="Calmer markets")
    request = ChangeRequest.objects.get()
    assert "tightens  Limit Max Account Leverage, threshold: 10 -> 8 (a lower ceiling on leverage)" in said
    assert f"Request {request.pk}: Import of limits.yaml. It is ready to publish." in said
    assert (request.reason, request.state) == ("Calmer markets", "approved")
    assert request.author.startswith("command line (")


def test_a_dry_run_writes_nothing(defaults, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("name,threshold\nMax Account Leverage,12\n")
    result = json.loads(run("import_policies", str(path), "--dry-run", "--json"))
    assert (result["request"], result["direction"], result["changed"]) == (None, "loosens", 1)
    assert result["differences"][0]["why"] == "a higher ceiling on leverage"
    assert not ChangeRequest.objects.exists()


def test_what_loosens_waits_for_approval_from_the_command_line_too(defaults, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("name,threshold\nMax Account Leverage,12\n")
    assert "waits for approval" in run("import_policies", str(path), reason="More room")


@pytest.mark.parametrize("form", ["yaml", "xlsx", "csv"])
def test_a_file_is_exported_in_the_format_of_its_name(defaults, tmp_path, form):
    path = tmp_path / f"limits.{form}"
    run("export_policies", str(path), *(["--only", "policies"] if form == "csv" else []))
    assert plan_import(path.read_bytes(), path.name).edits == ()


def test_the_command_line_says_what_is_wrong(defaults, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("name,threshold\nMax Account Leverage,NaN\n")
    with pytest.raises(CommandError, match="line 2, threshold: expected a number"):
        run("import_policies", str(path), reason="r")
    path.write_text("name,threshold\nMax Account Leverage,9\n")
    with pytest.raises(CommandError, match="Say why this is changed"):
        run("import_policies", str(path))
    with pytest.raises(CommandError, match="cannot be read"):
        run("import_policies", str(tmp_path / "missing.yaml"), reason="r")
    with pytest.raises(CommandError, match="one kind of row"):
        run("export_policies", str(path))
    with pytest.raises(CommandError, match="was not written"):
        run("export_policies", str(tmp_path / "no" / "where.yaml"))


def test_every_field_that_officers_manage_has_a_column():
    assert set(KINDS.values()) == set(SHEETS)
    for kind, model in (
        ("policy", Policy),
        ("profile", CapitalProfile),
        ("account", Account),
        ("instrument", Instrument),
    ):
        assert set(model.CHANGEABLE) <= set(columns(kind))
