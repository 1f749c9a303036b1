"""Sealed rows: whatever is done to them behind our back is found, and the first bad row named."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import Error, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import digest
from audit.digests import digest_of, digester
from audit.drain import drain
from audit.models import EvidenceBatch, EvidenceHead, JournalReject, OrderDecision, ReservationEnd
from audit.sealing import batch_hash, seal
from audit.services import record
from audit.verify_batches import BadRow, verify_batches
from tests.audit.subjects import Journal, decided, inputs, released
from tests.support.tampering import tamper

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def new_process(monkeypatch) -> None:
    """Each test drains as a process that has drained nothing yet."""
    monkeypatch.setattr("audit.drain._begun", set())


@pytest.fixture
def sealed() -> list[OrderDecision]:
    """Three batches, of two decisions each and an end and a reject of both kinds; the decisions in their order."""
    journal = Journal()
    for number in range(3):
        journal.add(*(decided(inputs(order_id=f"{number}-{place}")) for place in range(2)), released(), b"unreadable")
        drain(journal)
    return list(OrderDecision.objects.order_by("batch", "decision_id"))


def bad() -> BadRow:
    found = verify_batches().bad
    assert found is not None
    return found


def test_what_is_drained_is_sealed_in_a_batch(sealed):
    check = verify_batches()
    assert check.intact
    assert (check.batches, check.rows) == (3, 12)
    assert [row.batch for row in sealed] == [1, 1, 2, 2, 3, 3]
    first, second, third = EvidenceBatch.objects.order_by("sequence")
    assert (first.previous_hash, second.previous_hash, third.previous_hash) == ("0" * 64, first.hash, second.hash)
    assert check.head == third.hash == batch_hash(third)


def test_nothing_at_all_is_intact():
    assert verify_batches().intact


def test_what_was_read_twice_is_sealed_once():
    entry = decided()
    drain(Journal(entry))
    drain(Journal(entry, decided()))
    assert OrderDecision.objects.count() == 2
    assert verify_batches().rows == 2


@pytest.mark.parametrize(
    "change",
    [
        "account_id = 'another'",
        "quantity = '7'",
        "approved = NOT approved",
        "reason = 'x'",
        "inputs = '{}'",
        "answer = '{}'",
        "decided_at = '2001-01-01 00:00:00+00:00'",
        "book_version = book_version + 1",
    ],
)
def test_a_decision_that_was_changed_is_named(sealed, change):
    key = sealed[3].pk.hex if connection.vendor == "sqlite" else str(sealed[3].pk)
    tamper(f"UPDATE audit_orderdecision SET {change} WHERE decision_id = '{key}'")
    found = bad()
    assert (found.batch, found.table, found.key) == (2, "audit.orderdecision", str(sealed[3].pk))
    assert "was changed" in found.problem


@pytest.mark.parametrize(
    ("table", "statement", "what"),
    [
        ("audit.orderdecision", "DELETE FROM audit_orderdecision WHERE batch = 2", "is missing"),
        ("audit.orderdecision", "DELETE FROM audit_orderdecision", "is missing"),
        ("audit.orderdecision", "UPDATE audit_orderdecision SET batch = 3 WHERE batch = 2", "is missing"),
        ("audit.orderdecision", "UPDATE audit_orderdecision SET batch = 1 WHERE batch = 3", "was put in"),
        ("audit.orderdecision", "UPDATE audit_orderdecision SET batch = 9 WHERE batch = 3", "is missing"),
        ("audit.reservationend", "UPDATE audit_reservationend SET actor = 'x' WHERE batch = 2", "was changed"),
        ("audit.reservationend", "DELETE FROM audit_reservationend", "is missing"),
        ("audit.journalreject", "UPDATE audit_journalreject SET error = 'x' WHERE batch = 2", "was changed"),
        ("audit.journalreject", "DELETE FROM audit_journalreject WHERE batch = 1", "is missing"),
        ("", "UPDATE audit_evidencebatch SET content = '{}' WHERE sequence = 2", "its hash is not that of its content"),
        ("", "DELETE FROM audit_evidencebatch WHERE sequence = 2", "batch 2 is missing; batch 3 follows"),
        ("", "DELETE FROM audit_evidencebatch WHERE sequence = 3", "batch 3 is missing; the chain's end is batch 3"),
        ("", "DELETE FROM audit_evidencebatch", "batch 1 is missing"),
        ("", "UPDATE audit_evidencehead SET sequence = 2", "is not the one that the chain ended with"),
        ("", "DELETE FROM audit_evidencehead", "is not of the chain"),
        (
            "",
            "UPDATE audit_evidencebatch SET at = '2001-01-01 00:00:00+00:00' WHERE sequence = 1",
            "batch 1 was changed",
        ),
    ],
)
def test_tampering_is_found_in_every_table(sealed, table, statement, what):
    tamper(statement)
    found = bad()
    assert found.table == table
    assert what in found.problem


@pytest.mark.parametrize("table", ["orderdecision", "reservationend", "journalreject", "evidencebatch"])
def test_a_table_that_was_truncated_is_found(sealed, table):
    tamper(f"{'DELETE FROM' if connection.vendor == 'sqlite' else 'TRUNCATE'} audit_{table}")
    assert (bad().batch, "is missing" in bad().problem) == (1, True)


def test_two_rows_that_changed_places_are_found(sealed):
    one, other = sealed[2], sealed[4]
    one.account_id, other.account_id = "one", "other"
    for row, number in ((sealed[2], 3), (sealed[4], 2)):
        key = row.pk.hex if connection.vendor == "sqlite" else str(row.pk)
        tamper(f"UPDATE audit_orderdecision SET batch = {number} WHERE decision_id = '{key}'")
    assert (bad().batch, bad().table) == (2, "audit.orderdecision")


def test_two_batches_that_changed_places_are_found(sealed):
    tamper(
        "UPDATE audit_evidencebatch SET sequence = 9 WHERE sequence = 1",
        "UPDATE audit_evidencebatch SET sequence = 1 WHERE sequence = 2",
        "UPDATE audit_evidencebatch SET sequence = 2 WHERE sequence = 9",
    )
    assert "batch 1 does not name the hash" in bad().problem


@pytest.mark.parametrize(("batch", "named"), [(2, 2), (9, 9), (0, 0)])
def test_a_row_that_was_put_in_is_named(sealed, batch, named):
    forged = OrderDecision.objects.get(pk=sealed[0].pk)
    forged.decision_id, forged.batch, forged._state.adding = "f" * 32, batch, True
    forged.save()
    found = bad()
    assert (found.batch, found.key) == (named, "f" * 8 + "-" + "-".join(["f" * 4] * 3) + "-" + "f" * 12)
    assert "was put in" in found.problem


def test_a_batch_sealed_anew_after_tampering_breaks_the_one_after_it(sealed):
    batch = EvidenceBatch.objects.get(sequence=2)
    batch.content = "{}"
    tamper(f"UPDATE audit_evidencebatch SET content = '{{}}', hash = '{batch_hash(batch)}' WHERE sequence = 2")
    found = bad()
    # Its rows are in no batch any more, which comes first.
    assert (found.batch, "was put in" in found.problem) == (2, True)
    for table in ("orderdecision", "reservationend", "journalreject"):
        tamper(f"DELETE FROM audit_{table} WHERE batch = 2")
    assert "batch 3 does not name the hash" in bad().problem


def test_rows_before_a_broken_batch_are_looked_at_first(sealed):
    tamper(
        "UPDATE audit_evidencebatch SET content = '{}' WHERE sequence = 2",
        "UPDATE audit_reservationend SET actor = 'x' WHERE batch = 1",
    )
    assert (bad().batch, bad().table) == (1, "audit.reservationend")


def test_batches_on_top_of_a_lost_head_are_refused(sealed, monkeypatch):
    monkeypatch.setattr("audit.drain._begun", set())
    tamper("DELETE FROM audit_evidencehead")
    with pytest.raises(Exception, match=r"(?i)unique"), transaction.atomic():
        drain(Journal(decided()))


def test_rows_of_several_models_are_sealed_together_with_a_change():
    with transaction.atomic():
        record(actor="a", action="b", object_type="c", object_id=1, object_label="d", reason="e")
        seal(OrderDecision(**_columns(decided_row())))
    assert verify_batches().rows == 1


def test_what_is_sealed_outside_of_a_transaction_is_refused(transactional_db):
    with pytest.raises(transaction.TransactionManagementError):
        seal(OrderDecision(**_columns(decided_row())))


def decided_row() -> OrderDecision:
    from audit.entries import read_row

    row = read_row(decided())
    assert isinstance(row, OrderDecision)
    return row


def _columns(row: OrderDecision) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if field.name != "batch"}


# -------------------------------------------------------------------------------- refused by the database itself
TABLES = (
    "audit_auditevent",
    "audit_orderdecision",
    "audit_reservationend",
    "audit_journalreject",
    "audit_evidencebatch",
)


@pytest.mark.parametrize("table", [*TABLES, "audit_audithead", "audit_evidencehead"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {}"])
def test_the_database_refuses_to_delete_evidence(sealed, table, statement):
    if connection.vendor == "sqlite" and "TRUNCATE" in statement:
        pytest.skip("SQLite has no TRUNCATE")
    with transaction.atomic():
        record(actor="a", action="b", object_type="c", object_id=1, object_label="d", reason="e")
    refused(statement.format(table))


@pytest.mark.parametrize("table", TABLES)
def test_the_database_refuses_to_change_evidence(sealed, table):
    with transaction.atomic():
        record(actor="a", action="b", object_type="c", object_id=1, object_label="d", reason="e")
    column = "batch" if table in TABLES[1:4] else "sequence"
    refused(f"UPDATE {table} SET {column} = {column}")


@pytest.mark.parametrize("sequence", [0, 2, 3])
def test_the_end_of_a_chain_does_not_go_back(sealed, sequence):
    refused(f"UPDATE audit_evidencehead SET sequence = {sequence}")


def refused(statement: str) -> None:
    with pytest.raises(Error, match="evidence"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert (EvidenceHead.objects.get().sequence, verify_batches().rows) == (3, 12)


# ----------------------------------------------------------------------------------------------- the canonical form
@given(
    st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8")),
    st.decimals(allow_nan=False, allow_infinity=False),
)
def test_the_quick_canonical_form_is_the_slow_one(text, number):
    names = ("a", "b", "é", "z\n")
    values = [text, number, [text, {"x": 1}], None]
    slow = digest(dict(zip(names, values, strict=True)))
    made = digester(OrderDecision).__class__(names)
    assert made.digest(values) == slow
    assert digest_of(made.content(values)) == slow


def test_a_digest_is_over_every_column_by_name():
    assert set(digester(OrderDecision).names) == {field.attname for field in OrderDecision._meta.concrete_fields}
    assert {"batch", "content"} <= set(digester(JournalReject).names)
    assert "batch" in digester(ReservationEnd).names
    row = decided_row()
    row.batch, row.quantity = 1, Decimal("1.50")
    before = digester(OrderDecision).digest_row(row)
    row.quantity = Decimal("1.5")
    assert digester(OrderDecision).digest_row(row) == before
    row.quantity = Decimal("1.51")
    assert digester(OrderDecision).digest_row(row) != before
