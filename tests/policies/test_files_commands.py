"""Files of limits on the command line."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from policies.files.rows import KINDS, SHEETS, columns
from policies.files.services import plan_import
from policies.models import Account, CapitalProfile, ChangeRequest, Instrument, Policy


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
