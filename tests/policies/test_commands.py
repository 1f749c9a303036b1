"""The commands of this package."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from audit.drain import drain
from audit.models import AuditEvent, OrderDecision
from audit.role_groups import ensure_roles
from audit.roles import ROLES
from policies.book import add_book, lock_books
from policies.models import Account, Book
from riskcore.book import content_hash, encode_book
from tests.audit.subjects import BOOK, Journal, decided, inputs
from tests.policies.subjects import live_book
from tests.support.evidence import keep
from tests.support.tampering import tamper


@pytest.mark.django_db
def test_bootstrap_makes_the_first_book_once(capsys):
    call_command("bootstrap")
    call_command("bootstrap")
    assert Book.objects.count() == 1
    assert capsys.readouterr().out.splitlines() == [
        f"Made or extended the roles {', '.join(role.name for role in ROLES)}.",
        "Made the default policies and profiles: book 1.",
        "Book 1 is the newest; nothing to do.",
    ]


def test_bootstrap_publishes_a_book_that_is_not_live(live, capsys):
    ensure_roles()
    live.publish_book(1, b"{}")
    call_command("bootstrap", "--json")
    assert json.loads(capsys.readouterr().out) == {"book": 1, "made": False, "published": True, "roles": []}
    assert live_book(live).version == 1


@pytest.mark.django_db
def test_bootstrap_says_that_the_live_state_is_away(away):
    with pytest.raises(CommandError, match="cannot be reached"):
        call_command("bootstrap")


def test_create_account_lets_an_account_send_orders(live, capsys):
    call_command("create_account", "desk-7", "--profile", "micro", "--exchange", "Binance")
    assert [(each.id, each.exchange) for each in live_book(live).accounts] == [("desk-7", "BINANCE")]
    assert capsys.readouterr().out.startswith("Account desk-7 has profile micro. Book 2 is live")
    assert AuditEvent.objects.order_by("-sequence")[0].actor.startswith("command line")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["desk-7", "--profile", "huge"], "profile"),
        (["desk 7", "--profile", "low"], "id"),
        (["desk-7", "--profile", "low", "--exchange", "A|B"], "exchange"),
    ],
)
def test_create_account_says_what_is_wrong(defaults, arguments, problem):
    with pytest.raises(CommandError, match=problem):
        call_command("create_account", *arguments)
    assert not Account.objects.exists()


@pytest.fixture
def decisions(db) -> list[OrderDecision]:
    """Three decisions under a book that is kept."""
    keep(
        Book(
            version=1,
            content=encode_book(BOOK).decode(),
            sha256=content_hash(encode_book(BOOK)),
            created_at="2026-01-01T00:00:00Z",
            actor="alice",
            reason="because",
        )
    )
    drain(Journal(decided(), decided(inputs(quantity=Decimal(1000))), decided(inputs(account_id="nobody"))))
    return list(OrderDecision.objects.all())


def test_verify_decisions_is_content_with_what_comes_out_the_same(decisions, capsys):
    assert {row.verdict for row in decisions} == {"allow", "block"}
    call_command("verify_decisions")
    assert "3 decisions evaluated again, 0 come out otherwise" in capsys.readouterr().out


def test_verify_decisions_reports_an_answer_that_was_changed(decisions, capsys):
    blocked = next(row for row in decisions if not row.approved)
    tamper("UPDATE audit_orderdecision SET answer = REPLACE(answer, 'false', 'true')")
    with pytest.raises(SystemExit) as exit_:
        call_command("verify_decisions")
    assert exit_.value.code == 1
    said = capsys.readouterr().out
    assert str(blocked.decision_id) in said
    assert "approved: recorded true, now false" in said


def test_verify_decisions_does_not_mind_a_metric_that_was_not_shown_then(decisions, capsys):
    shown = '"drawdown_rapid":"0.000000",'
    tamper(f"UPDATE audit_orderdecision SET answer = REPLACE(answer, '{shown}', '')")
    assert not any("drawdown_rapid" in row.answer for row in OrderDecision.objects.all())
    call_command("verify_decisions")
    assert "0 come out otherwise" in capsys.readouterr().out


def test_verify_decisions_reports_inputs_that_were_changed(decisions, capsys):
    tamper("""UPDATE audit_orderdecision SET inputs = REPLACE(inputs, '"100000"', '"1"')""")
    with pytest.raises(SystemExit):
        call_command("verify_decisions", "--json")
    *differences, total = map(json.loads, capsys.readouterr().out.splitlines())
    assert total == {"checked": 3, "differing": len(differences)}
    assert any(each["fields"]["approved"] == [True, False] for each in differences if "approved" in each["fields"])


def test_verify_decisions_reports_a_book_that_is_gone_or_changed(decisions, capsys):
    tamper("UPDATE audit_orderdecision SET book_version = 7")
    with pytest.raises(SystemExit):
        call_command("verify_decisions")
    assert "there is no book 7" in capsys.readouterr().out


def test_verify_decisions_accepts_the_same_answer_in_other_bytes(decisions, capsys):
    for row in decisions:
        shuffled = json.dumps(dict(reversed(msgspec.json.decode(row.answer).items())))
        tamper("UPDATE audit_orderdecision SET answer = %s WHERE order_id = %s", with_=[shuffled, row.order_id])
    call_command("verify_decisions")
    assert "0 come out otherwise" in capsys.readouterr().out


def test_verify_decisions_keeps_to_an_account_and_a_time(decisions, capsys):
    call_command("verify_decisions", "--account", "nobody", "--json")
    assert json.loads(capsys.readouterr().out)["checked"] == 1
    call_command("verify_decisions", "--since", "2100-01-01", "--json")
    assert json.loads(capsys.readouterr().out)["checked"] == 0


def test_verify_decisions_says_what_a_moment_is(decisions):
    with pytest.raises(CommandError, match="is not a moment"):
        call_command("verify_decisions", "--since", "yesterday")


def test_books_made_under_the_lock_follow_each_other(decisions):
    with transaction.atomic():
        lock_books()
        assert add_book(actor="alice", reason="because", at=timezone.now()).version == 2
