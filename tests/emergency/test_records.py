"""The record of a stop is written once, in few statements, whoever else writes it at the same time."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from msgspec.structs import replace

from audit.models import AuditEvent
from emergency.models import EmergencyStop
from emergency.notes import AccountThen, StopNote
from emergency.records import record_stop
from emergency.words import Trigger
from riskcore.calendar import microseconds
from riskcore.ports import StopScope
from riskcore.types import TradingState

ASKED_US, ENGAGED_US = 1_700_000_000_000_000, 1_700_000_000_000_250
ACCOUNTS = (
    AccountThen(account_id="desk-1", version=3, state='{"é":"\\t"}'),
    AccountThen(account_id="desk-2", version=1, state=""),
)


@pytest.fixture
def note(transactional_db) -> StopNote:
    return StopNote(
        id=str(uuid.uuid4()),
        scope=StopScope.SYMBOL,
        scope_id="BTCUSDT",
        state=TradingState.HALTED,
        reason="a test",
        triggered_by="alice",
        trigger=Trigger.PERSON,
        unwind=True,
        actor="key:desk",
        asked_at_us=ASKED_US,
        engaged_at_us=ENGAGED_US,
    )


def written() -> tuple[EmergencyStop, list[str], list[tuple[str, int, str]]]:
    """Return the only stop, its steps, and its accounts."""
    row = EmergencyStop.objects.get()
    accounts = row.accounts.values_list("account_id", "account_version", "state")
    return row, list(row.steps.values_list("what", flat=True)), list(accounts)


def test_a_stop_is_written_with_its_steps_and_accounts(note):
    assert record_stop(note, ACCOUNTS, is_new=True)
    row, steps, accounts = written()
    assert (microseconds(row.asked_at), microseconds(row.engaged_at), row.in_force_known) == (
        ASKED_US,
        ENGAGED_US,
        True,
    )
    assert steps == ["asked", "in_force", "recorded"]
    assert accounts == [("desk-1", 3, '{"é":"\\t"}'), ("desk-2", 1, "")]
    assert AuditEvent.objects.get(action="stop.engage").object_id == note.id


def test_it_takes_few_statements(note):
    record_stop(note)  # the first audit event of all takes more
    again = replace(note, id=str(uuid.uuid4()))
    with CaptureQueriesContext(connection) as statements:
        record_stop(again, ACCOUNTS, is_new=True)
    found = [each["sql"].split()[0] for each in statements]
    stop, event = ["BEGIN", "SELECT", "INSERT"], ["SELECT", "INSERT", "UPDATE"]
    sealed = ["SELECT", "SELECT", "COPY", "INSERT", "INSERT", "UPDATE", "COMMIT"]
    assert found == [*stop, *event, *sealed]


@pytest.mark.parametrize("is_new", [True, False])
def test_one_that_somebody_else_has_written_is_completed(note, is_new):
    unknown = replace(note, engaged_at_us=0)
    assert record_stop(unknown)
    assert not EmergencyStop.objects.get().in_force_known
    assert not record_stop(note, ACCOUNTS, is_new=is_new)
    row, steps, accounts = written()
    assert (microseconds(row.engaged_at), row.in_force_known) == (ENGAGED_US, True)
    assert sorted(steps) == ["asked", "in_force", "recorded"]
    assert len(accounts) == 2
    assert AuditEvent.objects.filter(action="stop.engage").count() == 1
