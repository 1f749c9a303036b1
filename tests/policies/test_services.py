"""Every change: one row, one audit event, one book, by somebody for a reason, and never on top of an unseen one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from audit.append_only import AppendOnlyError
from audit.models import AuditEvent
from audit.verify import verify_chain
from policies import services
from policies.errors import NotFound, NothingToChange, StaleEdit
from policies.models import Account, Book, CapitalProfile, Instrument, Policy, RestrictedSymbol
from riskcore.book import decode_book
from tests.policies.subjects import WHO, account, instrument, limit, live_book, profile, restriction


def _create_policy():
    return limit(scope="symbol", scope_ids=["BTCUSDT"])


def _change_policy():
    return services.do_change_policy(
        **WHO, policy_id=Policy.objects.get(name="Max Drawdown").pk, expected_version=1, threshold=Decimal("0.15")
    )


def _change_profile():
    return services.do_change_profile(**WHO, name="normal", expected_version=1, max_open_positions=9)


def _change_account():
    Account.objects.exists() or account()
    return services.do_change_account(**WHO, account_id="desk-1", expected_version=1, enabled=False)


def _change_instrument():
    Instrument.objects.exists() or instrument()
    return services.do_change_instrument(**WHO, symbol="btcusdt", expected_version=1, lot_size=Decimal("0.1"))


def _lift_symbol():
    row = RestrictedSymbol.objects.first() or restriction().row
    return services.do_lift_symbol(**WHO, restriction_id=row.pk, expected_version=1)


CREATING: dict[str, Callable[[], Any]] = {
    "policy.create": _create_policy,
    "profile.create": profile,
    "account.create": account,
    "instrument.create": instrument,
    "symbol.restrict": restriction,
}
CHANGING: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "policy.change": (_change_policy, lambda: None),
    "profile.change": (_change_profile, lambda: None),
    "account.change": (_change_account, account),
    "instrument.change": (_change_instrument, instrument),
    "symbol.lift": (_lift_symbol, restriction),
}


@pytest.mark.parametrize("action", CREATING)
def test_creating_makes_one_event_and_one_book(defaults, action):
    events, books = AuditEvent.objects.count(), Book.objects.count()
    made = CREATING[action]()
    assert AuditEvent.objects.count() == events + 1
    assert Book.objects.count() == books + 1
    event = AuditEvent.objects.get(sequence=made.event.sequence)
    assert (event.actor, event.reason, event.action) == ("alice", "because", action)
    assert event.object_id == str(made.row.pk)
    assert event.before is None
    assert event.after is not None
    assert event.after["version"] == made.row.version == 1


@pytest.mark.parametrize("action", CHANGING)
def test_changing_makes_one_event_and_one_book(defaults, action):
    do, prepare = CHANGING[action]
    prepare()
    events, books = AuditEvent.objects.count(), Book.objects.count()
    made = do()
    assert AuditEvent.objects.count() == events + 1
    assert Book.objects.count() == books + 1
    event = AuditEvent.objects.get(sequence=made.event.sequence)
    assert (event.actor, event.reason, event.action) == ("alice", "because", action)
    assert event.before is not None
    assert event.after is not None
    assert (event.before["version"], event.after["version"]) == (1, 2)
    assert made.row.version == 2


@pytest.mark.parametrize("action", CHANGING)
def test_the_history_has_the_same_actor_and_reason_as_the_audit_log(defaults, action):
    do, prepare = CHANGING[action]
    prepare()
    made = do()
    latest = made.row.history.latest()
    assert (latest.history_user, latest.history_change_reason, latest.version) == ("alice", "because", 2)
    assert latest.history_date == made.event.at == made.book.created_at


def test_an_event_names_the_book_and_its_hash(defaults):
    made = limit()
    assert made.event.after is not None
    assert made.event.after["book"] == {"version": made.book.version, "sha256": made.book.sha256}


def test_before_and_after_say_what_changed(defaults):
    made = _change_policy()
    assert made.event.before is not None
    assert made.event.after is not None
    assert (made.event.before["threshold"], made.event.after["threshold"]) == ("0.2", "0.15")


def test_the_new_book_has_the_change(defaults):
    made = _change_policy()
    book = decode_book(made.book.content.encode())
    assert {policy.name: policy.threshold for policy in book.policies}["Max Drawdown"] == Decimal("0.15")


@pytest.mark.parametrize("action", CHANGING)
def test_a_stale_edit_is_refused_and_changes_nothing(defaults, action):
    do, prepare = CHANGING[action]
    prepare()
    do()
    events, books = AuditEvent.objects.count(), Book.objects.count()
    with pytest.raises(StaleEdit):
        do()
    assert (AuditEvent.objects.count(), Book.objects.count()) == (events, books)


def test_a_stale_edit_says_what_changed_meanwhile_by_whom_and_why(defaults):
    _change_policy()
    with pytest.raises(StaleEdit) as refused:
        _change_policy()
    assert refused.value.current_version == 2
    assert [(each.field, each.before, each.after) for each in refused.value.changes] == [("threshold", "0.2", "0.15")]
    assert "by alice" in str(refused.value)
    assert "because" in str(refused.value)


def test_a_change_to_what_is_there_already_is_refused(defaults):
    with pytest.raises(NothingToChange):
        services.do_change_profile(**WHO, name="normal", expected_version=1, allowed_leverage=Decimal("3.00"))


def test_a_row_that_is_not_there_is_said_to_be_missing(defaults):
    for key in (uuid4(), "no uuid"):
        with pytest.raises(NotFound):
            services.do_change_policy(**WHO, policy_id=key, expected_version=1, enabled=False)


@pytest.mark.parametrize("field", ["actor", "reason"])
def test_a_change_by_nobody_or_without_reason_is_refused(defaults, field):
    with pytest.raises(ValidationError) as refused:
        services.do_restrict_symbol(**{**WHO, field: " "}, symbol="DOGEUSDT")
    assert field in refused.value.message_dict


REFUSED: dict[str, list[dict[str, Any]]] = {
    "threshold": [
        {"threshold": Decimal("NaN")},
        {"threshold": Decimal("Infinity")},
        {"threshold": Decimal("-Infinity")},
        {"threshold": Decimal("1E+12")},
        {"threshold": Decimal("0.000000001")},
        {"threshold": "many"},
        {"threshold": None},
    ],
    "metric": [{"metric": "luck"}, {"metric": ""}],
    "operator": [{"operator": "=>"}],
    "type": [{"type": "firm"}, {"type": "emergency"}],
    "scope": [{"scope": "planet"}],
    "scope_ids": [
        {"scope": "symbol"},
        {"scope_ids": ["BTCUSDT"]},
        {"scope": "account", "scope_ids": ["nobody"]},
        {"scope": "profile", "scope_ids": ["normal", "huge"]},
        {"scope": "symbol", "scope_ids": "BTCUSDT"},
        {"scope": "symbol", "scope_ids": [7]},
        {"scope": "symbol", "scope_ids": ["BTC|USDT"]},
        {"scope": "exchange", "scope_ids": ["A|B"]},
        {"scope": "exchange", "scope_ids": ["\uff22INANCE"]},
        {"scope": "symbol", "scope_ids": [" "]},
    ],
    "window_s": [{"window_s": 60}, {"metric": "order_rate"}, {"metric": "order_rate", "window_s": 86401}],
    "priority": [{"priority": 1001}, {"priority": -1}],
    "on_breach": [{"on_breach": "shrug"}],
    "name": [{"name": ""}, {"name": "Max Drawdown"}, {"name": "x" * 121}],
    "regulatory_tags": [{"regulatory_tags": "RTS 6"}],
    "version": [{"version": 7}],
    "id": [{"id": UUID(int=1)}],
}


@pytest.mark.parametrize(
    ("field", "values"), [(field, values) for field, cases in REFUSED.items() for values in cases], ids=str
)
def test_what_cannot_be_a_policy_is_refused_by_field_and_changes_nothing(defaults, field, values):
    events, books, policies = AuditEvent.objects.count(), Book.objects.count(), Policy.objects.count()
    with pytest.raises(ValidationError) as refused:
        limit(**values)
    assert field in refused.value.message_dict
    assert (AuditEvent.objects.count(), Book.objects.count(), Policy.objects.count()) == (events, books, policies)


def test_an_account_needs_a_profile_that_is_there(defaults):
    for wanted in ("huge", None):
        with pytest.raises(ValidationError) as refused:
            account(profile=wanted)
        assert "profile" in refused.value.message_dict


@pytest.mark.parametrize("account_id", ["", " ", "a b", "{a}", "a/b", "x" * 65, "-a", "a\n"])
def test_an_account_id_that_would_not_travel_is_refused(defaults, account_id):
    with pytest.raises(ValidationError) as refused:
        account(account_id)
    assert "id" in refused.value.message_dict


@pytest.mark.parametrize("symbol", ["", "A B", "A|B", "A{B}", "x" * 33])
def test_a_symbol_that_would_not_travel_is_refused(defaults, symbol):
    with pytest.raises(ValidationError) as refused:
        restriction(symbol)
    assert "symbol" in refused.value.message_dict


def test_exchanges_are_upper_case(defaults):
    assert account(exchange="binance").row.exchange == "BINANCE"
    scoped = limit(scope="exchange", scope_ids=["binance", "BINANCE", "Okx"])
    assert scoped.row.scope_ids == ["BINANCE", "OKX"]


def test_an_exchange_in_another_case_is_no_change(defaults):
    made = account(exchange="BINANCE")
    with pytest.raises(NothingToChange):
        services.do_change_account(**WHO, account_id=made.row.id, expected_version=1, exchange="binance")


def test_symbols_are_upper_case(defaults):
    assert restriction("dogeusdt").row.symbol == "DOGEUSDT"
    assert instrument(" ethusdt ").row.symbol == "ETHUSDT"
    assert limit(scope="symbol", scope_ids=["btcusdt", "BTCUSDT", "adausdt"]).row.scope_ids == ["ADAUSDT", "BTCUSDT"]


def test_a_restriction_that_is_over_already_is_refused(defaults):
    with pytest.raises(ValidationError) as refused:
        restriction(until=timezone.now() - timedelta(seconds=1))
    assert "until" in refused.value.message_dict


def test_the_largest_quantity_is_not_below_the_smallest(defaults):
    with pytest.raises(ValidationError, match="smaller than the smallest"):
        instrument(min_quantity=Decimal(2), max_quantity=Decimal(1))


def test_an_unknown_order_type_is_refused(defaults):
    with pytest.raises(ValidationError) as refused:
        instrument(order_types=["LIMIT", "ICEBERG"])
    assert "order_types" in refused.value.message_dict


def test_a_lifted_symbol_stays_as_a_row_and_leaves_the_book(defaults):
    made = restriction()
    lifted = services.do_lift_symbol(**WHO, restriction_id=made.row.pk, expected_version=1)
    assert RestrictedSymbol.objects.filter(pk=made.row.pk, active=False).exists()
    assert decode_book(made.book.content.encode()).restrictions
    assert not decode_book(lifted.book.content.encode()).restrictions


def test_a_disabled_policy_stays_as_a_row_and_leaves_the_book(defaults):
    made = limit()
    off = services.do_change_policy(**WHO, policy_id=made.row.pk, expected_version=1, enabled=False)
    assert str(made.row.pk) in {policy.id for policy in decode_book(made.book.content.encode()).policies}
    assert str(made.row.pk) not in {policy.id for policy in decode_book(off.book.content.encode()).policies}


@pytest.mark.parametrize("model", [Policy, CapitalProfile, Account, RestrictedSymbol, Instrument])
def test_nothing_writes_a_row_unseen(defaults, model):
    account(), instrument(), restriction()
    row = model.objects.first()
    for attempt in (
        row.save,
        row.delete,
        model.objects.all().delete,
        lambda: model.objects.update(version=9),
        lambda: model.objects.bulk_update([row], ["version"]),
        lambda: model.objects.bulk_create([model()]),
        model.objects.create,
        lambda: model.objects.get_or_create(pk="00000000-0000-4000-8000-000000000000"),
    ):
        with pytest.raises(AppendOnlyError):
            attempt()


def test_a_change_that_fails_at_its_end_leaves_no_trace(defaults, monkeypatch):
    def fail(changes):
        raise ZeroDivisionError

    events, books = AuditEvent.objects.count(), Book.objects.count()
    monkeypatch.setattr("policies.changes.record_all", fail)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        limit()
    assert not Policy.objects.filter(name="Max Order Notional").exists()
    assert not Policy.history.filter(name="Max Order Notional").exists()
    assert (AuditEvent.objects.count(), Book.objects.count()) == (events, books)


def test_a_committed_change_is_live_on_the_next_check(live):
    made = limit()
    assert made.live is True
    assert made.row.name in {policy.name for policy in live_book(live).policies}


def test_a_change_is_not_live_before_its_transaction_commits(live):
    with transaction.atomic():
        made = limit()
        assert made.live is None
        assert live_book(live).version < made.book.version
    assert live_book(live).version == made.book.version


def test_a_change_that_is_rolled_back_is_never_live(live):
    with transaction.atomic():
        limit()
        transaction.set_rollback(True)
    assert live_book(live).version == 1


@pytest.mark.django_db(transaction=True)
def test_without_the_live_state_a_change_is_kept_and_the_person_told(away):
    made = profile()
    assert made.live is False
    assert "cannot be reached" in str(made)
    assert CapitalProfile.objects.filter(name="wide").exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_edits_of_the_same_version_one_wins(live):
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def edit(leverage: int) -> None:
        try:
            barrier.wait()
            services.do_change_profile(**WHO, name="normal", expected_version=1, allowed_leverage=Decimal(leverage))
            outcomes.append("saved")
        except StaleEdit:
            outcomes.append("stale")
        finally:
            connection.close()

    _together(edit, [4, 5])
    assert sorted(outcomes) == ["saved", "stale"]
    assert CapitalProfile.objects.get(name="normal").version == 2


@pytest.mark.django_db(transaction=True)
def test_changes_at_the_same_time_number_books_without_gaps_and_lose_nothing(live):
    def add(number: int) -> None:
        try:
            for index in range(4):
                limit(f"Limit {number}-{index}")
        finally:
            connection.close()

    _together(add, list(range(6)))
    assert list(Book.objects.order_by("version").values_list("version", flat=True)) == list(range(1, 26))
    assert Policy.objects.filter(name__startswith="Limit ").count() == 24
    assert len(decode_book(Book.objects.get(version=25).content.encode()).policies) == 13 + 24
    assert live_book(live).version == 25
    assert verify_chain().intact


def _together(work, arguments) -> None:
    threads = [threading.Thread(target=work, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
