"""Every table of evidence there is: whatever somebody with the database does to it is found, and the row named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection, models, transaction
from django.utils import timezone

from audit.append_only import AppendOnly
from audit.drain import drain
from audit.models import AuditEvent, EvidenceBatch
from audit.protection import Rule, rule_of, unprotected
from audit.retention import do_archive
from audit.verify import verify_chain
from audit.verify_batches import BadRow, sealed_models, verify_batches
from policies.returns import do_publish_returns
from tests.audit.subjects import Journal, decided, released
from tests.emergency.conftest import alive
from tests.emergency.world import World, engage, lift
from tests.policies.requesting import leverage, published, submitted
from tests.policies.test_returns import RETURNS
from tests.support.tampering import tamper
from tests.violations.subjects import at, broken, look
from violations.sealing import SETTLED, seal_what_is_over

TABLES = (
    *("audit.orderdecision", "audit.reservationend", "audit.journalreject", "audit.evidencearchive"),
    *("policies.book", "policies.bookreturns", "policies.requeststep"),
    *("emergency.stopstep", "emergency.stopaccount", "violations.overrecord"),
)


@pytest.fixture
def everything(request, settings, tmp_path, transactional_db, monkeypatch) -> Iterator[World]:
    """At least two rows in every table of evidence, as the product writes them."""
    settings.NATS_URL = settings.RISK_ALERT_WEBHOOK_URL = ""
    monkeypatch.setattr("audit.drain._begun", set())
    for world in alive(request, settings, tmp_path, "memory"):
        for number in range(2):
            do_publish_returns(_returns(number), reason="a test")
            published(submitted(leverage(str(9 - number))))
            lift(engage().stop_id)
            do_archive(
                actor="x", reason="old", before=timezone.now(), now=timezone.now(), directory=tmp_path / "archive"
            )
        journal = Journal(*(decided() for _ in range(3)), released(), released(), b"unreadable", b"unreadable, too")
        drain(journal)
        look(0, broken(), broken(policy_id="p-2"))
        look(1)
        seal_what_is_over(at(1) + SETTLED + timedelta(seconds=1))
        yield world


def _returns(number: int):
    from msgspec.structs import replace

    return replace(RETURNS, version=f"{number}" * 64)


def bad() -> BadRow:
    found = verify_batches().bad
    assert found is not None
    return found


def keys(model: type[models.Model]) -> list[str]:
    """The keys of two rows as statements have them."""
    found = [row.pk for row in model._default_manager.order_by("batch", "pk")]
    assert len(found) >= 2, f"{model._meta.label} has {len(found)} rows"
    as_stored = [key.hex if connection.vendor == "sqlite" and hasattr(key, "hex") else key for key in found]
    return [f"'{key}'" for key in as_stored]


def test_these_are_all_that_are_sealed():
    assert sorted(TABLES) == sorted(model._meta.label_lower for model in sealed_models())


def test_each_has_rows_and_all_of_them_are_as_they_were_sealed(everything):
    check = verify_batches()
    assert check.intact, check.bad
    assert all(len(keys(model)) >= 2 for model in sealed_models())
    assert verify_chain().intact


@contextmanager
def taken_back() -> Iterator[None]:
    """Whatever is done within is undone."""
    with transaction.atomic():
        if connection.vendor == "sqlite":  # no row is missed by what refers to it before that is looked at, at the end
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA defer_foreign_keys = ON")
        yield
        transaction.set_rollback(True)


def in_every_table() -> Iterator[tuple[type[models.Model], list[str], list[Any]]]:
    """Yield every model with the keys of its rows, as statements have them, and the rows; what is done is undone."""
    for label in TABLES:
        model = apps.get_model(label)
        with taken_back():
            yield model, keys(model), list(model._default_manager.order_by("batch", "pk"))
    assert verify_batches().intact


def test_a_row_that_was_changed_is_named(everything):
    for model, of_rows, rows in in_every_table():
        for field in model._meta.concrete_fields:
            if not field.primary_key and not field.is_relation and field.attname != "batch":
                column = connection.ops.quote_name(str(field.column))
                with taken_back():
                    where = f"{model._meta.pk.column} = {of_rows[0]}"
                    tamper(f"UPDATE {model._meta.db_table} SET {column} = {_another(field, column)} WHERE {where}")
                    found = bad()
                    assert (found.table, found.key) == (model._meta.label_lower, str(rows[0].pk)), field


def test_a_row_that_was_deleted_is_named(everything):
    for model, of_rows, rows in in_every_table():
        tamper(f"DELETE FROM {model._meta.db_table} WHERE {model._meta.pk.column} = {of_rows[1]}")
        found = bad()
        assert (found.table, found.key) == (model._meta.label_lower, str(rows[1].pk))
        assert "is missing" in found.problem


@pytest.mark.parametrize("statement", ["DELETE FROM", "TRUNCATE"])
def test_a_table_that_was_emptied_names_its_first_row(everything, statement):
    if connection.vendor == "sqlite" and statement == "TRUNCATE":
        pytest.skip("SQLite has no TRUNCATE")
    for model, _, rows in in_every_table():
        # PostgreSQL truncates no table to which another refers, but with that one.
        is_referred_to = any(
            each.auto_created and each.is_relation for each in model._meta.get_fields(include_hidden=True)
        )
        if statement == "DELETE FROM" or not is_referred_to:
            tamper(f"{statement} {model._meta.db_table}")
            found = bad()
            assert (found.table, found.batch) == (model._meta.label_lower, rows[0].batch)
            assert "is missing" in found.problem


def test_a_row_that_was_put_in_is_named(everything):
    for model, _, (row, *_rest) in in_every_table():
        row.pk, row._state.adding = _new_key(model), True
        for constraint in model._meta.constraints:
            for name in getattr(constraint, "fields", ()):
                if model._meta.get_field(name).get_internal_type() == "CharField":
                    setattr(row, name, "put in")
                elif model._meta.get_field(name).get_internal_type() == "UUIDField":
                    setattr(row, name, uuid4())
        if hasattr(row, "name"):
            row.name = "put in"
        models.Model.save(row, force_insert=True)
        found = bad()
        assert (found.table, found.key) == (model._meta.label_lower, str(row.pk))
        assert "was put in" in found.problem


def test_rows_that_changed_places_are_named(everything):
    for model, of_rows, rows in in_every_table():
        name, key = model._meta.db_table, model._meta.pk.column
        first, last = rows[0].batch, rows[-1].batch
        if first == last:  # in one batch they have no order but that of their keys
            tamper(f"UPDATE {name} SET batch = batch - 1 WHERE {key} = {of_rows[0]}")
        else:
            tamper(
                f"UPDATE {name} SET batch = {last} WHERE {key} = {of_rows[0]}",
                f"UPDATE {name} SET batch = {first} WHERE {key} = {of_rows[-1]}",
            )
        assert bad().table == model._meta.label_lower


def _another(field: models.Field[Any, Any], column: str) -> str:
    kind = field.get_internal_type()
    if kind == "BooleanField":
        return f"NOT {column}"
    if kind in ("DateTimeField", "DateField"):
        return "'2001-01-01'" if kind == "DateField" else "'2001-01-01 00:00:00+00:00'"
    if kind in ("PositiveIntegerField", "BigIntegerField", "PositiveBigIntegerField", "IntegerField"):
        return f"{column} + 1"
    if kind == "ExactDecimalField":
        return "'77'"
    if kind == "BinaryField":
        return "'x'"
    if kind == "UUIDField":
        return f"'{uuid4().hex}'"
    return "'y'"


def _new_key(model: type[models.Model]) -> object:
    kind = model._meta.pk.get_internal_type()
    return uuid4() if kind == "UUIDField" else "f" * 64 if kind == "CharField" else 999_999


# --------------------------------------------------------------------------------------------- the other chain
def test_events_that_changed_places_are_found(everything):
    tamper(
        "UPDATE audit_auditevent SET sequence = sequence + 1000 WHERE sequence IN (2, 3)",
        "UPDATE audit_auditevent SET sequence = 1005 - sequence WHERE sequence > 1000",
    )
    assert verify_chain().broken_at == 2


def test_a_log_that_was_emptied_is_found(everything):
    tamper("DELETE FROM audit_auditevent")
    assert verify_chain().broken_at == 1
    assert not AuditEvent.objects.exists()


# -------------------------------------------------------------------------------------------- what is protected
def test_every_table_that_is_written_once_is_protected(db):
    models_ = [model for model in apps.get_models() if issubclass(model, AppendOnly)]
    assert EvidenceBatch in models_
    assert {rule_of(model) for model in models_} == {Rule.ONCE, Rule.ARCHIVED}
    assert unprotected(apps.get_models()) == []
    kept = {model._meta.label_lower for model in apps.get_models() if rule_of(model) is Rule.KEPT}
    assert kept == {"emergency.emergencystop", "policies.changerequest"}
