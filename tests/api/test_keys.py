"""API keys: made, given a new secret, revoked; audited and published."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import msgspec
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.utils import timezone

from api.keyring import KeyRecord
from api.keys import MANAGE, NoSuchKey, do_create_key, do_revoke_key, do_rotate_key, publish_keys, published_records
from api.models import ApiKey
from api.tasks import publish
from audit.acting import acting
from audit.models import AuditEvent
from state.store import Store
from tests.api.world import CHECK, Door, fill, order

pytestmark = pytest.mark.django_db(transaction=True)

MANAGER = acting("alice", [MANAGE])
WHO: dict[str, Any] = {"acting": MANAGER, "reason": "a new OMS"}


def create(name: str = "oms", permissions: tuple[str, ...] = ("check",), **what):
    return do_create_key(**WHO, name=name, permissions=permissions, **what)


def published(store: Store) -> list[KeyRecord]:
    content = store.fetch_keys()
    assert content is not None
    return msgspec.json.decode(content, type=list[KeyRecord])


def ask(door: Door, key: str, order_id: str = "o-1"):
    return door.post(CHECK, order(order_id), {"Authorization": f"Bearer {key}"})


def test_a_new_key_is_good_at_once(store, door):
    fill(store)

    made = create()

    assert made.live is True
    assert ask(door, made.text).status == 200


def test_the_secret_is_kept_nowhere(store):
    made = create()
    secret = made.text.rpartition("_")[2]

    everything = json.dumps([*ApiKey.objects.values(), *AuditEvent.objects.values()], default=str)

    assert len(secret) == 64
    assert secret not in everything
    assert secret.encode() not in (store.fetch_keys() or b"")


def test_it_is_in_the_audit_log_without_its_digest(store):
    made = create(accounts=())

    (event,) = AuditEvent.objects.all()
    assert (event.actor, event.action, event.object_label, event.before) == ("alice", "api_key.create", "oms", None)
    assert event.after is not None
    assert event.after["permissions"] == ["check"]
    assert made.row.digest not in json.dumps(event.after)


def test_a_revoked_key_is_published_no_more(store):
    made = create()

    do_revoke_key(**WHO, key_id=made.row.id)

    assert published(store) == []
    assert [event.action for event in AuditEvent.objects.order_by("sequence")][-1] == "api_key.revoke"


def test_a_revoked_key_is_revoked_for_good(store):
    made = create()
    do_revoke_key(**WHO, key_id=made.row.id)

    with pytest.raises(NoSuchKey):
        do_rotate_key(**WHO, key_id=made.row.id)


def test_a_rotated_key_has_another_secret(store, door):
    fill(store)
    first = create()

    second = do_rotate_key(**WHO, key_id=first.row.id)

    assert ask(door, first.text).status == 401
    assert ask(door, second.text).status == 200


def test_an_expired_key_is_not_published(store):
    made = create(expires_at=timezone.now() + timedelta(days=1))
    assert len(published(store)) == 1
    ApiKey.objects.filter(pk=made.row.pk).update(expires_at=timezone.now())

    publish_keys(store)

    assert published(store) == []


@pytest.mark.parametrize(
    ("what", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"permissions": ()}, "permissions"),
        ({"permissions": ("check", "fly")}, "permissions"),
        ({"accounts": ("nobody",)}, "accounts"),
        ({"per_second": -1}, "per_second"),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "expires_at"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused_by_field(store, what, field):
    with pytest.raises(ValidationError) as caught:
        create(**what)

    assert field in caught.value.message_dict
    assert not ApiKey.objects.exists()


def test_a_name_is_used_once(store):
    do_revoke_key(**WHO, key_id=create().row.id)

    with pytest.raises(ValidationError):
        create()


def test_a_reason_is_needed(store):
    with pytest.raises(ValidationError):
        do_create_key(acting=MANAGER, reason=" ", name="oms", permissions=("check",))


def test_rows_are_written_by_the_service_alone(store):
    made = create()

    with pytest.raises(TypeError):
        made.row.save()


def test_a_rate_of_its_own_wins_over_the_default(store, settings):
    settings.RISK_KEY_RATE = 50
    create("one")
    create("two", per_second=0)
    create("three", per_second=7)

    assert {record.name: record.per_second for record in published(store)} == {"one": 50, "two": 0, "three": 7}


def test_while_the_state_is_away_the_key_is_kept_and_published_later(store, away, monkeypatch):
    with monkeypatch.context() as gone:
        gone.setattr("api.keys.publish_keys", _unavailable)
        made = create()
    assert made.live is False

    publish()

    assert [record.id for record in published(store)] == [made.row.id]


def _unavailable(_store: Store) -> bool:
    from state.store import StateUnavailable

    raise StateUnavailable("connection refused")


def test_what_differs_is_repaired(store):
    create()
    store.put_keys(b"[]")

    publish()

    assert store.fetch_keys() == published_records()


class TestCommand:
    """create_api_key NAME --can check,feed"""

    def run(self, *arguments: str) -> tuple[str, str]:
        out, err = StringIO(), StringIO()
        call_command("create_api_key", *arguments, stdout=out, stderr=err)
        return out.getvalue(), err.getvalue()

    def test_it_prints_the_key_alone_on_standard_output(self, store, door):
        fill(store)

        out, err = self.run("oms", "--can", "check, feed")

        assert ask(door, out.strip()).status == 200
        assert "not shown again" in err

    def test_its_result_may_be_json(self, store):
        out, _ = self.run("oms", "--can", "check", "--expires", "30", "--json")

        made = json.loads(out)
        assert made["key"].startswith("rp_")
        assert (made["name"], made["permissions"], made["live"]) == ("oms", ["check"], True)
        assert made["expires_at"] is not None

    def test_it_says_what_is_wrong(self, store):
        with pytest.raises(CommandError, match="no permission fly"):
            self.run("oms", "--can", "fly")

    @pytest.mark.parametrize("days", ["0", "-1", "many", "99999"])
    def test_days_are_a_number(self, store, days):
        with pytest.raises(CommandError):
            self.run("oms", "--can", "check", f"--expires={days}")
