"""Scheduled reports leave by e-mail: whole, once, to those who may see them then, again until the server takes them."""

from __future__ import annotations

import email
import json
import socketserver
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from hashlib import sha256
from typing import cast

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.utils import timezone

from reports.background import run_next
from reports.mailing import send_due
from reports.making import make
from reports.models import Mail, Report, Schedule
from reports.schedules import run_due
from tests.reports.subjects import Numbers, actions
from tests.reports.test_schedules import add, person

pytestmark = pytest.mark.django_db(transaction=True)


class Receiver(socketserver.ThreadingTCPServer):
    """A mail server that takes what it is sent, or answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.taken: list[EmailMessage] = []
        self.to: list[str] = []
        self.refusals = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        receiver = cast(Receiver, self.server)
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                content = b"".join(iter(self.rfile.readline, b".\r\n")).replace(b"\r\n..", b"\r\n.")
                receiver.taken.append(email.message_from_bytes(content, policy=default))
            elif word == b"MAIL" and receiver.refusals:
                receiver.refusals -= 1
                self.wfile.write(b"451 later\r\n")
                continue
            elif word == b"RCPT":
                receiver.to.append(line.split(b"<")[1].split(b">")[0].decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 yes\r\n")
            if word == b"QUIT":
                return


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:
    with Receiver() as found:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", found.server_address[1]
        yield found
        found.shutdown()


@pytest.fixture
def alice(numbers: Numbers) -> User:
    return person("alice", "view_orderdecision", email="alice@example.com")


@pytest.fixture
def made(alice: User) -> Report:
    """A scheduled report of alice's, for her and for bob."""
    person("bob", "view_orderdecision", email="bob@example.com")
    schedule = add(alice, to=("alice@example.com", "bob@example.com"))
    run_due(schedule.next_at)
    assert run_next(timezone.now(), make)
    return Report.objects.get()


def soon(minutes: float = 0.0) -> datetime:
    return timezone.now() + timedelta(minutes=minutes)


def parts(message: EmailMessage) -> dict[str, bytes]:
    return {str(part.get_filename()): cast(bytes, part.get_payload(decode=True)) for part in message.iter_attachments()}


# ------------------------------------------------------------------------------------------------- not sent
def test_one_that_nobody_is_to_be_sent_is_not(alice):
    run_due(add(alice).next_at)
    run_next(timezone.now(), make)
    assert send_due(soon()) == 0
    assert mail.outbox == []


def test_who_may_not_see_it_any_more_is_left_out(made):
    User.objects.get(username="bob").user_permissions.clear()
    assert send_due(soon()) == 1
    assert mail.outbox[0].to == ["alice@example.com"]


@pytest.mark.parametrize("who", ["owner", "all"])
def test_where_the_owner_or_everybody_lost_the_right_nothing_is_sent(made, who, settings):
    settings.RISK_REPORT_MAIL_DOMAINS = ["example.com"] if who == "owner" else []
    for user in User.objects.all():
        user.user_permissions.clear()
    assert send_due(soon()) == 0
    assert mail.outbox == []
    assert "may not see" in Schedule.objects.get().problem


def test_without_a_mail_server_it_says_so(made, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    assert send_due(soon()) == 0
    assert "RISK_EMAIL_URL" in Schedule.objects.get().problem
    assert Mail.objects.get().given_up_at is not None


def test_a_server_that_is_away_is_asked_again_later_and_given_up_after_a_day(made, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    assert send_due(soon()) == 0
    row = Mail.objects.get()
    assert (row.attempts, row.error) == (1, "ConnectionRefusedError")
    assert soon(0.5) < row.next_at < soon(1.5)
    assert send_due(soon()) == 0
    assert Mail.objects.get().attempts == 1
    send_due(soon(25 * 60))
    assert Mail.objects.get().given_up_at is not None
    assert "for a day" in Schedule.objects.get().problem


# ------------------------------------------------------------------------------------------------------ sent
def test_it_comes_with_its_manifest_over_the_wire(made, receiver):
    assert send_due(soon()) == 1
    (message,) = receiver.taken
    assert sorted(receiver.to) == ["alice@example.com", "bob@example.com"]
    found = parts(message)
    assert set(found) == {made.file_name, f"{made.file_name}.manifest.json"}
    assert sha256(found[made.file_name]).hexdigest() == made.sha256
    assert json.loads(found[f"{made.file_name}.manifest.json"])["sha256"] == made.sha256
    assert message["Message-ID"] == f"<{made.pk}@riskportal>"
    assert actions()[-1] == "report.send"


def test_its_subject_and_its_text_say_what_it_is(made, receiver):
    send_due(soon())
    (message,) = receiver.taken
    text = cast(EmailMessage, message.get_body()).get_content()
    assert message["Subject"].startswith("Numbers: 20")
    assert made.sha256 in text
    assert "Rows: 3" in text


def test_one_that_the_server_puts_off_is_sent_later_and_once(made, receiver):
    receiver.refusals = 1
    assert send_due(soon()) == 0
    assert send_due(soon(1.1)) == 1
    assert send_due(soon(10)) == 0
    assert len(receiver.taken) == 1


def test_two_workers_send_it_once(made, receiver):
    together = threading.Barrier(4)

    def work() -> None:
        together.wait()
        send_due(soon())
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(receiver.taken) == 1


def test_a_large_one_is_a_link(made, settings):
    settings.RISK_REPORT_MAIL_LIMIT = 0
    settings.RISK_PUBLIC_URL = "https://risk.example.com"
    send_due(soon())
    (message,) = mail.outbox
    assert message.attachments == []
    assert f"https://risk.example.com/reports/#report-{made.pk}" in str(message.body)
