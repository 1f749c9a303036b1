"""What the admin and the command line do with files of limits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from django.core.exceptions import ValidationError
from django.utils import timezone

from audit.acting import Acting
from audit.canonical import Json, plain
from policies.book import latest
from policies.edits import EDITABLE
from policies.errors import NothingToChange
from policies.files.csv_file import check_count, read_csv, write_csv
from policies.files.matching import Plan, is_of_edits, plan_of, problems_of
from policies.files.rows import MOST_BYTES, SHEETS, FileRow, columns, field_of, refused
from policies.files.yaml_file import read_yaml, write_yaml
from policies.models import ChangeRequest, RestrictedSymbol
from policies.requests.services import do_draft_request
from policies.requests.trying import Tried, try_edits

FORMATS = ("yaml", "xlsx", "csv")


def export_limits(form: str, kind: str = "") -> bytes:
    """Return the rows that officers manage as a file: "yaml", "xlsx" or "csv", which has one kind only."""
    sheets = {each: _rows(each) for each in SHEETS if kind in ("", each)}
    if form == "csv":
        return write_csv(kind, sheets[kind])
    if form == "xlsx":
        # Its library takes 15 MB, in no process that reads and writes no workbook.
        from policies.files.xlsx_file import write_xlsx

        return write_xlsx(sheets)
    newest = latest()
    version = 0 if newest is None else newest.version
    return write_yaml(sheets, f"Limits of riskportal as of book {version}, {timezone.now():%Y-%m-%d %H:%M:%S} UTC")


def read_limits(content: bytes, name: str, kind: str = "") -> tuple[FileRow, ...]:
    """Return the rows of a file, whose name ends with its format. Raises FileRefused."""
    if len(content) > MOST_BYTES:
        raise refused(f"is larger than {MOST_BYTES // 1_000_000} MB")
    match PurePath(name).suffix.lower():
        case ".yaml" | ".yml":
            rows = read_yaml(content)
        case ".xlsx":
            from policies.files.xlsx_file import read_xlsx

            rows = read_xlsx(content)
        case ".csv":
            rows = read_csv(content, kind)
        case _:
            raise refused("its name ends neither with .yaml, .xlsx nor .csv")
    check_count(rows)
    return rows


def plan_import(content: bytes, name: str, kind: str = "") -> Plan:
    """Return what a file changes. Raises FileRefused."""
    return plan_of(read_limits(content, name, kind))


def try_plan(plan: Plan) -> Tried:
    """Return what a plan would make of the rows as they are now. Raises FileRefused, and StaleEdit."""
    try:
        return try_edits(plan.edits)
    except ValidationError as error:
        raise problems_of(error, plan.places) from None


def do_import_limits(*, acting: Acting, reason: str, plan: Plan, title: str) -> ChangeRequest:
    """Write the one request that makes the rows say what a file says.

    Raises FileRefused, NothingToChange where they say so already, and what `do_draft_request` raises.
    """
    if not plan.edits:
        raise NothingToChange("What the file says")
    try:
        return do_draft_request(acting=acting, reason=reason, edits=plan.edits, title=title)
    except ValidationError as error:
        if not is_of_edits(error):
            raise
        raise problems_of(error, plan.places) from None


def _rows(kind: str) -> list[Mapping[str, Json]]:
    model = EDITABLE[kind]
    fields = [field_of(kind, name) for name in columns(kind)]
    rows = RestrictedSymbol.objects.filter(active=True) if kind == "restriction" else model._default_manager.all()
    return [{field.name: plain(getattr(row, field.attname)) for field in fields} for row in rows.order_by("pk")]
