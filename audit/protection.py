"""Has the database itself refuse what evidence must not suffer: from every client, whatever our own code does.

Triggers refuse changes, deletions and TRUNCATE; in PostgreSQL they do so for a superuser, too, and the role of the
application has no right to them in the first place. Whoever owns the tables can still switch triggers off:
that `audit.verify` is there to find, and `unprotected` to say. Set up after every `migrate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

from django.apps import AppConfig
from django.db import connection, models, transaction

from audit.append_only import AppendOnly
from audit.models import AuditHead, EvidenceArchive, EvidenceHead, Sealed


class Rule(StrEnum):
    """What a table of evidence allows besides adding rows."""

    ONCE = "once"  # nothing
    ARCHIVED = "archived"  # what is in an archive is deleted
    HEAD = "head"  # its one row moves on
    KEPT = "kept"  # rows change, but stay


_REFUSED = {
    Rule.ONCE: ("UPDATE", "DELETE", "TRUNCATE"),
    Rule.ARCHIVED: ("UPDATE", "DELETE", "TRUNCATE"),
    Rule.HEAD: ("UPDATE", "DELETE", "TRUNCATE"),
    Rule.KEPT: ("DELETE", "TRUNCATE"),
}

# Part of the triggers' names: another one here has them all made anew.
_EDITION = 1

_GOES_BACK = "NEW.id <> OLD.id OR NEW.sequence <= OLD.sequence"
_IS_ARCHIVED = "OLD.batch <= (SELECT COALESCE(MAX(through), 0) FROM audit_evidencearchive)"

_REFUSAL = """RAISE EXCEPTION 'rows of % are evidence: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';"""

_FUNCTIONS = f"""
CREATE OR REPLACE FUNCTION riskportal_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {_REFUSAL}
END $$;
CREATE OR REPLACE FUNCTION riskportal_refuse_unless_archived() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {_IS_ARCHIVED} THEN RETURN OLD; END IF;
    {_REFUSAL}
END $$;
"""


def rule_of(model: type[models.Model]) -> Rule | None:
    """Return the rule of a model's table; None: it keeps no evidence."""
    if issubclass(model, Sealed) and model.goes_into_archives:
        return Rule.ARCHIVED
    if issubclass(model, AppendOnly):
        return Rule.ONCE
    if model in (AuditHead, EvidenceHead):
        return Rule.HEAD
    return Rule.KEPT if getattr(model, "is_kept", False) else None


def protect(app_config: AppConfig, **_: Any) -> None:
    """Protect the tables of an application, as far as they are not protected yet (a listener of `post_migrate`)."""
    missing = [(model, rule) for model, rule in _protected(app_config.get_models()) if _lacking(model, rule)]
    if not missing:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_FUNCTIONS)
        for model, rule in missing:
            for statement in _statements(model, rule):
                cursor.execute(statement)


def unprotected(found: Iterable[type[models.Model]]) -> list[str]:
    """Return the tables, of these models, that lack a trigger which should be there, or have one switched off."""
    return [model._meta.db_table for model, rule in _protected(found) if _lacking(model, rule)]


def _protected(found: Iterable[type[models.Model]]) -> list[tuple[type[models.Model], Rule]]:
    there = set(connection.introspection.table_names())
    rules = ((model, rule_of(model)) for model in found)
    # Of an application that is not migrated to the end, a table may not be there.
    return [
        (model, rule)
        for model, rule in rules
        if rule is not None and {model._meta.db_table, EvidenceArchive._meta.db_table} <= there
    ]


def _lacking(model: type[models.Model], rule: Rule) -> bool:
    wanted = {name for name, _ in _names(model, rule)}
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            statement = "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgenabled <> 'D'"
        else:
            statement = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s"
        cursor.execute(statement, [model._meta.db_table])
        return not wanted <= {name for (name,) in cursor.fetchall()}


def _names(model: type[models.Model], rule: Rule) -> list[tuple[str, str]]:
    """Return the triggers of a table: the name of each, and what it refuses."""
    return [
        (f"{model._meta.db_table}_{what.lower()}_{_EDITION}", what)
        for what in _REFUSED[rule]
        if what != "TRUNCATE" or connection.vendor == "postgresql"
    ]


def _statements(model: type[models.Model], rule: Rule) -> Iterator[str]:
    table = model._meta.db_table
    make = _in_postgresql if connection.vendor == "postgresql" else _in_sqlite
    for name, what in _names(model, rule):
        yield from make(name, table, rule, what)
    if connection.vendor == "postgresql":
        yield f"REVOKE {', '.join(_revoked(model, rule))} ON {table} FROM CURRENT_USER"


def _in_postgresql(name: str, table: str, rule: Rule, what: str) -> Iterator[str]:
    each = "STATEMENT" if what == "TRUNCATE" else "ROW"
    when = f"WHEN ({_GOES_BACK})" if (rule, what) == (Rule.HEAD, "UPDATE") else ""
    refusal = "riskportal_refuse_unless_archived" if (rule, what) == (Rule.ARCHIVED, "DELETE") else "riskportal_refuse"
    yield f"DROP TRIGGER IF EXISTS {name} ON {table}"
    yield f"CREATE TRIGGER {name} BEFORE {what} ON {table} FOR EACH {each} {when} EXECUTE FUNCTION {refusal}()"


def _in_sqlite(name: str, table: str, rule: Rule, what: str) -> Iterator[str]:
    conditions = {(Rule.HEAD, "UPDATE"): _GOES_BACK, (Rule.ARCHIVED, "DELETE"): f"NOT ({_IS_ARCHIVED})"}
    when = f"WHEN {conditions[rule, what]}" if (rule, what) in conditions else ""
    refusal = f"SELECT RAISE(ABORT, 'rows of {table} are evidence: {what} is refused')"
    yield f"DROP TRIGGER IF EXISTS {name}"
    yield f"CREATE TRIGGER {name} BEFORE {what} ON {table} FOR EACH ROW {when} BEGIN {refusal}; END"


def _revoked(model: type[models.Model], rule: Rule) -> list[str]:
    """Return the rights that the role of the application does without.

    PostgreSQL takes the right to update for the right to lock a row, as it does where another row refers to it.
    """
    referred_to = any(each.auto_created and each.is_relation for each in model._meta.get_fields(include_hidden=True))
    locked = referred_to or rule in (Rule.HEAD, Rule.KEPT)
    without = {"UPDATE"} if locked else set()
    if rule is Rule.ARCHIVED:
        without.add("DELETE")
    return [what for what in _REFUSED[rule] if what not in without]
