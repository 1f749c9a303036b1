"""Which accounts an edit concerns: somebody who is for some accounts changes nothing that concerns others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from audit.acting import Acting, NotTheirAccount
from policies.changes import rows_of
from policies.edits import Edit
from policies.errors import Unreadable
from policies.models import ChangeRequest, Managed
from policies.requests.trying import edits_of
from riskcore.book import Scope


def check_accounts(acting: Acting, edits: Iterable[Edit]) -> None:
    """Raise NotTheirAccount where somebody is for some accounts only, and an edit concerns others as well."""
    if not acting.accounts:
        return
    of_each = list(edits)
    rows = rows_of(of_each)
    if any(not _within(edit, rows.get((edit.kind, edit.key)), acting.accounts) for edit in of_each):
        raise NotTheirAccount(acting.name, "what concerns others as well")


def may_see(acting: Acting, edits: Iterable[Edit]) -> bool:
    """Return whether somebody may see edits: not one that names accounts none of which they are for."""
    if not acting.accounts:
        return True
    of_each = list(edits)
    rows = rows_of(of_each)
    return all(_shown(edit, rows.get((edit.kind, edit.key)), acting.accounts) for edit in of_each)


def check_request(acting: Acting, request: ChangeRequest) -> None:
    """Raise NotTheirAccount where a request concerns others as well, or Unreadable where nobody can tell."""
    if acting.accounts:
        check_accounts(acting, edits_of(request))


def may_see_request(acting: Acting, request: ChangeRequest) -> bool:
    """Return whether somebody may see a request: what nobody can read may concern anybody."""
    try:
        return not acting.accounts or may_see(acting, edits_of(request))
    except Unreadable:
        return False


def _shown(edit: Edit, row: Managed | None, accounts: frozenset[str]) -> bool:
    named: set[Any] = set()
    if edit.kind == "account":
        named = {edit.key}
    elif edit.kind in ("restriction", "override"):
        named = {_value(row, edit, "account")} - {None, ""}
    elif edit.kind == "policy":
        named = {*_covered(row, edit.fields), *(_covered(row, {}) if row is not None else ())}
    return not named or bool(named & accounts)


def _within(edit: Edit, row: Managed | None, accounts: frozenset[str]) -> bool:
    if edit.kind == "account":
        return edit.key in accounts
    if edit.kind in ("restriction", "override"):
        return _value(row, edit, "account") in accounts
    if edit.kind != "policy":
        return False
    sides = [_covered(row, {})] if row is not None else []
    return all(covered and covered <= accounts for covered in (*sides, _covered(row, edit.fields)))


def _covered(row: Managed | None, fields: Any) -> frozenset[str]:
    """Return the accounts that a limit names, none where it covers others too."""
    scope = fields.get("scope", getattr(row, "scope", ""))
    names = fields.get("scope_ids", getattr(row, "scope_ids", ()))
    return frozenset(map(str, names or ())) if scope == Scope.ACCOUNT else frozenset()


def _value(row: Managed | None, edit: Edit, name: str) -> Any:
    return edit.fields.get(name) if row is None else getattr(row, f"{name}_id")
