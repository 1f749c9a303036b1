"""Limits as files: what is exported is imported again without a change, and what changes is one request."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import yaml
from django.utils import timezone
from openpyxl import load_workbook

from policies.errors import NothingToChange
from policies.files.rows import SHEETS
from policies.files.services import do_import_limits, export_limits, plan_import
from policies.models import ChangeRequest, Policy, RestrictedSymbol
from policies.requests import services
from tests.policies.filing import as_csv, as_xlsx, as_yaml, problems
from tests.policies.requesting import ALICE, approved, policy, seen
from tests.policies.subjects import account, instrument, limit, profile, restriction


@pytest.fixture
def everything(defaults) -> None:
    """Something of every kind, with values that are easily spoilt."""
    profile("wide", strategies=["s1", "s2"])
    account("desk-1", name='=Desk; one, "two"', exchange="ONE", reservation_ttl_s=30)
    instrument(
        "BTCUSDT",
        lot_size=Decimal("0.000000000001"),
        average_daily_volume=Decimal("31250.500000000001"),
        margin_rate=Decimal("0.1"),
        order_types=["LIMIT"],
    )
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
    limit(
        "Off",
        active_windows=["Tue 22:00-02:00 UTC", "Mon 09:00-17:00 UTC"],
        enabled=False,
        metric="daily_pnl",
        operator=">=",
        threshold=Decimal(-5000),
    )


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
    # That loader takes everything for text, also what stands for nothing.
    return {
        sheet: [{name: None if value == "null" else value for name, value in row.items()} for row in rows]
        for sheet, rows in found.items()
    }


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


def test_a_file_may_bring_no_more_than_the_volumes_of_a_day(everything, live):
    limit("Share", metric="order_adv_share", threshold=Decimal("0.05"))  # so that a known volume loosens
    imported(b"symbol,average_daily_volume\nBTCUSDT,40000\nETHUSDT,900000.5\n", "volumes.csv")
    rows = {row["symbol"]: row for row in exported()["instruments"]}
    assert {symbol: row["average_daily_volume"] for symbol, row in rows.items()} == {
        "BTCUSDT": "40000",
        "ETHUSDT": "900000.5",
    }
    assert rows["BTCUSDT"]["lot_size"] == "0.000000000001"


@pytest.mark.parametrize("volume", ["NaN", "-1", "1e9", "Infinity", "100000000000000000000"])
def test_a_volume_that_cannot_be_one_is_refused(everything, volume):
    content = f"symbol,average_daily_volume\nBTCUSDT,{volume}\n".encode()
    assert all(each.startswith("line 2, average_daily_volume: ") for each in problems(content, "volumes.csv"))


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
    sheets = exported()
    row = policy()
    services.do_publish_request(
        acting=ALICE,
        **seen(
            do_import_limits(
                acting=ALICE, reason="r", plan=plan_import(as_csv("name,owner", f"{row.name},ann"), "p.csv"), title=""
            )
        ),
    )
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
