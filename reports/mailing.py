"""Sends scheduled reports by e-mail, each with its manifest, or with a link where it is large.

A message is tried until the server takes it, more and more seldom, for a day. What a process was sending when it died
is sent again with the same Message-ID, by which receivers tell that they have it.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from email.mime.application import MIMEApplication
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from audit.manifest import SUFFIX
from audit.rights import acting_of
from audit.services import record
from reports import asking, recipients, rights
from reports.datasets import DATASETS
from reports.errors import NotThere
from reports.files import open_file
from reports.making import ACTOR
from reports.models import Mail, Report, Schedule, State

logger = logging.getLogger(__name__)

# What says that the server is at fault, and not the message.
_FAILURES = (SMTPException, OSError)

# Of one run, and for how long a message is this process's alone.
_TOGETHER = 20
_LEASE = timedelta(minutes=5)

_LONGEST_PAUSE = timedelta(hours=1)
_GIVEN_UP_AFTER = timedelta(days=1)
_MB = 1_000_000


class _NotSent(Exception):
    """This message will never be sent, and why."""


def send_due(now: datetime) -> int:
    """Send the reports that wait to be, and return how many the server took."""
    waiting = Mail.objects.filter(sent_at=None, given_up_at=None, next_at__lte=now).order_by("next_at")
    return sum(_send_one(mail, now) for mail in waiting[:_TOGETHER])


def _send_one(mail: Mail, now: datetime) -> bool:
    claimed = Mail.objects.filter(pk=mail.pk, next_at=mail.next_at, sent_at=None, given_up_at=None)
    if not claimed.update(next_at=now + _LEASE, attempts=F("attempts") + 1):
        return False  # another process has it
    report = Report.objects.select_related("schedule__owner").get(pk=mail.pk)
    try:
        to = _recipients(mail, report)
        _message(report, to).send()
    except (_NotSent, NotThere) as error:
        _give_up(report, str(error))
        return False
    except _FAILURES as error:
        _try_later(mail, report, now, type(error).__name__)
        return False
    _mark_sent(report, to)
    return True


def _recipients(mail: Mail, report: Report) -> list[str]:
    """Return who may be sent the report now. Raises _NotSent where nobody may."""
    owner, dataset = report.schedule.owner if report.schedule else None, DATASETS.get(report.name)
    if settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
        raise _NotSent("There is no mail server: RISK_EMAIL_URL is not set.")
    if report.state != State.DONE or dataset is None:
        raise _NotSent("There is no such report any more.")
    if owner is None or not rights.may_see(acting_of(owner), report):
        raise _NotSent(f"{report.asked_by} may not see this report any more.")
    allowed = recipients.allowed_of(mail.recipients, dataset, frozenset(report.accounts))
    if not allowed:
        raise _NotSent("None of the recipients may see this report any more.")
    return [each for each in mail.recipients if each in allowed]


def _message(report: Report, to: list[str]) -> EmailMessage:
    title = DATASETS[report.name].title
    about = asking.in_words(asking.read(report.filters), frozenset(report.accounts))
    is_attached = (report.bytes or 0) <= settings.RISK_REPORT_MAIL_LIMIT * _MB
    lines = [
        *(f"{label}: {value}" for label, value in about),
        f"Rows: {report.rows:,}",
        f"File: {report.file_name} ({report.bytes:,} bytes)",
        f"SHA-256: {report.sha256}",
        "",
        _where(report, is_attached=is_attached),
    ]
    subject = " ".join(f"{title}: {_period(report)}".split())
    message = EmailMessage(subject, "\n".join([title, "", *lines]), to=to)
    message.extra_headers["Message-ID"] = f"<{report.pk}@riskportal>"
    if is_attached:
        with open_file(report) as file:
            message.attach(_attachment(report.file_name, file.read()))
        message.attach(_attachment(report.file_name + SUFFIX, report.manifest.encode()))
    return message


def _attachment(name: str, content: bytes) -> MIMEApplication:
    """Return an attachment that arrives to the byte: of text, mail servers and programs change the ends of lines."""
    part = MIMEApplication(content)
    part.add_header("Content-Disposition", "attachment", filename=name)
    return part


def _where(report: Report, *, is_attached: bool) -> str:
    """Return the sentence that says where the file is."""
    link = f"{settings.RISK_PUBLIC_URL}/reports/#report-{report.pk}" if settings.RISK_PUBLIC_URL else "the page Reports"
    if is_attached:
        return f"The file is attached with its manifest, which says what it must be. It is also on {link}."
    return f"The file is too large for a message. Take it away, signed in, from {link}."


def _period(report: Report) -> str:
    asked = asking.read(report.filters)
    if asked.since is not None and asked.until is not None:
        return f"{asking.shown(asked.since)} to {asking.shown(asked.until)}"
    return asking.shown(asked.at or report.created_at)


def _try_later(mail: Mail, report: Report, now: datetime, error: str) -> None:
    if now - (report.finished_at or report.created_at) > _GIVEN_UP_AFTER:
        _give_up(report, f"The mail server did not take it for a day: {error}.")
        return
    pause = min(timedelta(minutes=2 ** min(mail.attempts, 10)), _LONGEST_PAUSE)
    logger.warning("report %s was not sent: %s", report.pk, error)
    Mail.objects.filter(pk=report.pk).update(next_at=now + pause, error=error)


def _give_up(report: Report, why: str) -> None:
    logger.error("report %s is not sent: %s", report.pk, why)
    Mail.objects.filter(pk=report.pk).update(given_up_at=timezone.now(), error=why[:200])
    if report.schedule_id:
        Schedule.objects.filter(pk=report.schedule_id).update(problem=why)


@transaction.atomic
def _mark_sent(report: Report, to: list[str]) -> None:
    Mail.objects.filter(pk=report.pk).update(sent_at=timezone.now(), error="")
    record(
        actor=ACTOR,
        action="report.send",
        object_type="report",
        object_id=report.pk,
        object_label=str(report),
        reason=f"Scheduled by {report.asked_by}",
        after={"recipients": to, "sha256": report.sha256},
    )
