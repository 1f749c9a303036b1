"""How an alert is sent to people: as a message of Slack's shape to a webhook, as an e-mail.

Nothing that an officer or a trader has named is taken as markup. The address of a webhook is a secret, and no error
repeats it.
"""

from __future__ import annotations

from smtplib import SMTPException
from typing import Any

import httpx
from django.conf import settings
from django.core.mail import EmailMessage

from bus.events import AlertRaised
from riskcore.decimals import tidy

# What says that the channel is at fault, and not the message.
FAILURES = (httpx.HTTPError, httpx.InvalidURL, SMTPException, OSError)

_TIMEOUT_S = 5.0
_COLOURS = {"warning": "#d97706", "critical": "#dc2626", "emergency": "#7f1d1d"}

# Statuses that say: later.
_LATER = frozenset({408, 425, 429})


class Refused(Exception):
    """The receiver does not take this message, and never will."""


class NotTaken(OSError):
    """The receiver does not take messages now."""


def described(error: Exception) -> str:
    """Return what went wrong, without what others have written: it may hold addresses and secrets."""
    return str(error) if isinstance(error, Refused | NotTaken) else type(error).__name__


def send_webhook(alert: AlertRaised) -> None:
    """Send an alert to RISK_ALERT_WEBHOOK_URL. Raises Refused, or one of FAILURES."""
    answer = httpx.post(settings.RISK_ALERT_WEBHOOK_URL, json=slack_message(alert), timeout=_TIMEOUT_S)
    if answer.is_success:
        return
    if answer.is_client_error and answer.status_code not in _LATER:
        raise Refused(f"the webhook answered {answer.status_code}")
    raise NotTaken(f"the webhook answered {answer.status_code}")


def send_email(alert: AlertRaised) -> None:
    """Send an alert to RISK_ALERT_EMAIL_TO, as plain text. Raises one of FAILURES."""
    lines = [f"{name}: {value}" for name, value in _facts(alert)]
    body = "\n".join([alert.message, "", *lines, "", f"Alert {alert.id}"])
    EmailMessage(_headline(alert), body, to=settings.RISK_ALERT_EMAIL_TO).send()


def slack_message(alert: AlertRaised) -> dict[str, Any]:
    """Return the alert as an incoming webhook of Slack takes it."""
    return {
        "text": _inert(_headline(alert)),
        "mrkdwn": False,
        "attachments": [
            {
                "color": _COLOURS[alert.level],
                "fallback": _inert(f"{_headline(alert)}: {alert.message}"),
                "text": _inert(alert.message),
                "mrkdwn_in": [],
                "fields": [{"title": name, "value": _inert(value), "short": True} for name, value in _facts(alert)],
                "footer": f"alert {alert.id}",
                "ts": int(alert.timestamp.timestamp()),
            }
        ],
    }


def _headline(alert: AlertRaised) -> str:
    where = " ".join(each for each in (alert.account_id or "the firm", alert.symbol) if each)
    # One line, whatever is in a name: it becomes a header.
    return " ".join(f"{alert.level.upper()}: {alert.policy_name} on {where}".split())


def _facts(alert: AlertRaised) -> list[tuple[str, str]]:
    value = "not defined" if alert.metric_value is None else f"{tidy(alert.metric_value):f}"
    return [
        ("Account", alert.account_id or "the whole firm"),
        *([("Symbol", alert.symbol)] if alert.symbol else []),
        ("Limit", f"{alert.policy_name} ({alert.policy_type})"),
        ("Metric", f"{alert.metric} {value}, limit {tidy(alert.threshold_value):f}"),
        ("Time", f"{alert.timestamp:%Y-%m-%d %H:%M:%S} UTC"),
    ]


def _inert(text: str) -> str:
    """Return text in which Slack sees no link, mention or channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
