"""Alerts leave: exactly those that are published, again until they are taken, and nothing in a name is markup."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone

from bus import publish as bus
from bus.events import AlertRaised, CriticalRaised, EmergencyRaised, Event, WarningRaised
from tests.violations.subjects import MARKUP, at, broken, look, only_alert
from violations import outbox
from violations.models import Channel, Delivery
from violations.tasks import send_notifications

pytestmark = pytest.mark.django_db(transaction=True)


class Receiver:
    """An incoming webhook that answers as it is told, with 200 when nothing more is said."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.asked = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.asked += 1
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = receiver.answers.pop(0) if receiver.answers else 200
                if status == 200:
                    receiver.taken.append(body)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", receiver.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/SECRET"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:
    found = Receiver()
    settings.RISK_ALERT_WEBHOOK_URL = found.url
    yield found
    found.close()


@pytest.fixture
def officers(settings) -> None:
    settings.RISK_ALERT_EMAIL_TO = ["risk@example.com", "desk@example.com"]


def soon(seconds: float = 0.0) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


def waiting() -> list[Delivery]:
    return list(Delivery.objects.filter(sent_at=None, given_up_at=None))


# ------------------------------------------------------------------------------------------- what is not sent
def test_what_is_not_published_is_not_sent(receiver, officers):
    for second in range(4):
        look(second, broken())
    look(5)
    look(6, broken())
    for _ in range(3):
        outbox.send_waiting(soon())
    assert (len(receiver.taken), len(mail.outbox)) == (1, 1)


def test_without_anybody_to_tell_nothing_is_written():
    look(0, broken())
    assert not Delivery.objects.exists()
    assert outbox.send_waiting(soon()) == 0


def test_the_tick_waits_for_nobody(settings):
    settings.RISK_ALERT_WEBHOOK_URL = "http://127.0.0.1:9/"
    settings.RISK_ALERT_EMAIL_TO = ["risk@example.com"]
    look(0, broken())
    assert [row.attempts for row in waiting()] == [0, 0]


@pytest.mark.parametrize("status", [400, 404, 410])
def test_what_the_receiver_never_takes_is_given_up_and_holds_nothing_up(receiver, status):
    receiver.answers = [status]
    look(0, broken())
    look(1, broken(), broken(policy_id="p-2"))
    outbox.send_waiting(soon())
    assert (len(receiver.taken), len(waiting())) == (1, 0)
    assert Delivery.objects.get(given_up_at__isnull=False).error == f"the webhook answered {status}"


def test_after_a_day_it_is_given_up(receiver):
    look(0, broken())
    Delivery.objects.update(created_at=soon(-86_401))
    outbox.send_waiting(soon())
    assert (receiver.asked, waiting()) == (0, [])


def test_the_address_of_the_webhook_is_in_no_error_and_no_log(receiver, settings, caplog):
    caplog.set_level(logging.DEBUG)
    look(0, broken())
    outbox.send_waiting(soon())
    settings.RISK_ALERT_WEBHOOK_URL = "http://127.0.0.1:9/services/SECRET"
    look(1, broken(policy_id="p-2"))
    outbox.send_waiting(soon(1))
    (row,) = waiting()
    assert (len(receiver.taken), row.error) == (1, "ConnectError")
    assert "ConnectError" in caplog.text
    assert "SECRET" not in caplog.text


# ----------------------------------------------------------------------------------------------- what is
@pytest.mark.parametrize("status", [302, 408, 429, 500, 503])
def test_a_receiver_that_fails_is_asked_again_later_and_later(receiver, status):
    receiver.answers = [status, status, status]
    look(0, broken())
    outbox.send_waiting(soon())
    assert (receiver.asked, len(receiver.taken)) == (1, 0)
    outbox.send_waiting(soon())  # it rests
    assert receiver.asked == 1
    outbox.send_waiting(soon(1.1))
    outbox.send_waiting(soon(1.1))
    assert receiver.asked == 2
    outbox.send_waiting(soon(2.2))
    outbox.send_waiting(soon(4.5))
    assert (receiver.asked, len(receiver.taken)) == (4, 1)
    row = Delivery.objects.get()
    assert (row.attempts, row.error, waiting()) == (4, "", [])
    assert Channel.objects.get().failures == 0


def test_one_channel_that_is_down_does_not_hold_up_the_other(settings, officers):
    settings.RISK_ALERT_WEBHOOK_URL = "http://127.0.0.1:9/"
    look(0, broken())
    send_notifications()
    assert len(mail.outbox) == 1
    assert [row.channel for row in waiting()] == ["webhook"]


def test_what_was_committed_and_not_sent_is_sent_by_the_next(receiver, settings, monkeypatch):
    settings.NATS_URL = "nats://127.0.0.1:9"

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "hand_over", dies)
        with pytest.raises(KeyboardInterrupt):
            look(0, broken())
    came: list[Event] = []
    monkeypatch.setattr(outbox, "publish", came.append)
    Delivery.objects.update(created_at=soon(-3))
    outbox.send_waiting(soon())
    assert (len(receiver.taken), [type(each) for each in came]) == (1, [CriticalRaised])
    assert not waiting()


def test_who_died_while_sending_is_followed_by_another(receiver):
    look(0, broken())
    Channel.objects.create(name="webhook", free_at=soon(60))
    outbox.send_waiting(soon())
    assert receiver.asked == 0
    outbox.send_waiting(soon(61))
    assert receiver.asked == 1


def test_many_that_send_at_once_send_each_once(receiver):
    look(0, *(broken(policy_id=f"p-{number}") for number in range(12)))
    start = threading.Barrier(4)

    def run() -> None:
        start.wait()
        outbox.send_waiting(soon(1))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outbox.send_waiting(soon(2))
    assert (receiver.asked, len(receiver.taken)) == (12, 12)


# ------------------------------------------------------------------------------------------------ its words
def test_the_webhook_gets_a_message_of_slacks_shape(receiver):
    look(0, broken("12.50", symbol="BTCUSDT", policy_name=MARKUP))
    outbox.send_waiting(soon())
    (message,) = receiver.taken
    (attachment,) = message["attachments"]
    assert message["text"].startswith("CRITICAL: &lt;script&gt;")
    assert {field["title"]: field["value"] for field in attachment["fields"]}["Metric"] == "leverage 12.5, limit 10"
    assert (message["mrkdwn"], attachment["mrkdwn_in"], attachment["ts"]) == (False, [], int(at(0).timestamp()))
    text = json.dumps(message)
    assert "<" not in text.replace("&lt;", "")
    assert ">" not in text.replace("&gt;", "")


def test_an_email_is_plain_text_whatever_is_in_a_name(officers):
    look(0, broken(None, policy_name="Max\r\nBcc: all@example.com", message=MARKUP, account_id=""), accounts=("",))
    outbox.send_waiting(soon())
    (message,) = mail.outbox
    assert message.to == ["risk@example.com", "desk@example.com"]
    assert message.subject == "CRITICAL: Max Bcc: all@example.com on the firm"
    assert message.content_subtype == "plain"
    assert "leverage not defined, limit 10" in message.body
    assert MARKUP in message.body


@pytest.mark.parametrize(
    ("kind", "event", "subject"),
    [
        ("soft", WarningRaised, "risk.alerts.warning"),
        ("hard", CriticalRaised, "risk.alerts.critical"),
        ("emergency", EmergencyRaised, "risk.alerts.emergency"),
    ],
)
def test_it_is_published_on_the_subject_of_its_level(settings, monkeypatch, kind, event, subject):
    settings.NATS_URL = "nats://127.0.0.1:9"
    came: list[Event] = []
    monkeypatch.setattr(outbox, "publish", came.append)
    look(0, broken(policy_type=kind, symbol="BTCUSDT"))
    look(1, broken(policy_type=kind, symbol="BTCUSDT"))
    (one,) = came
    assert isinstance(one, event)
    assert one.subject == subject
    assert not waiting()
    assert json.loads(one.payload()) == {
        "id": str(only_alert().pk),
        "level": only_alert().level,
        "policy_id": "p-1",
        "policy_name": "Max Leverage",
        "policy_type": kind,
        "metric": "leverage",
        "metric_value": "12",
        "threshold_value": "10",
        "account_id": "A",
        "symbol": "BTCUSDT",
        "message": "Max Leverage: leverage 12 breaks <= 10",
        "timestamp": at(0).isoformat().replace("+00:00", "Z"),
    }


def look_once() -> None:
    look(0, broken())
    connection.close()


async def test_it_comes_over_nats_itself(nats_server, settings):
    import asyncio

    from asgiref.sync import sync_to_async

    from bus.nats import NatsConnection
    from tests.support.patience import PATIENCE_S, eventually

    settings.NATS_URL = nats_server.url
    bus.close_publisher()
    heard: list[bytes] = []

    async def hear(message: Any) -> None:
        heard.append(message.data)

    listener = NatsConnection(nats_server.url, name="test")
    listener.subscribe("risk.alerts.critical", hear)
    listener.start()
    async with asyncio.timeout(PATIENCE_S):
        await listener.until_up()
    await sync_to_async(look_once)()
    await eventually(lambda: heard, "an alert")
    await listener.close()
    await asyncio.to_thread(bus.close_publisher)
    assert json.loads(heard[0])["policy_name"] == "Max Leverage"
    assert AlertRaised.__struct_fields__ == tuple(json.loads(heard[0]))
