"""How one gets into an embedded installation: made once, kept where only its owner reads."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from django.contrib.auth import authenticate, get_user_model

from api.desk import Desk
from api.keys import do_revoke_key
from api.models import ApiKey
from audit.acting import system
from audit.models import AuditEvent
from riskportal.signin import APPROVER, FILE, USER, SignIn, ensure_sign_in
from state.wiring import store

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def made(empty, tmp_path: Path) -> SignIn:
    return ensure_sign_in(tmp_path)


def test_the_person_and_the_machine_get_in(made):
    user = authenticate(username=USER, password=made.password)
    assert user is not None
    assert user.is_superuser
    keys = Desk(store()).keys
    keys.refresh()
    for text in (made.user_key, made.simulator_key):
        assert keys.admit(f"Bearer {text}").name.startswith("embedded-")


def test_a_second_person_gets_in_who_may_approve_and_not_ask(made):
    user = authenticate(username=APPROVER, password=made.approver_password)
    assert user is not None
    assert not user.is_superuser
    assert user.has_perm("policies.approve_limits")
    assert not user.has_perm("policies.change_limits")


def test_what_was_made_is_in_the_log_of_changes(made):
    assert {"user.create", "api_key.create"} <= set(AuditEvent.objects.values_list("action", flat=True))


def test_only_the_owner_reads_the_file(made, tmp_path):
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_the_next_start_finds_the_same(made, tmp_path):
    before = (tmp_path / FILE).read_text()
    assert ensure_sign_in(tmp_path) == made
    assert (tmp_path / FILE).read_text() == before


def test_a_lost_file_costs_the_keys_but_not_the_password(made, tmp_path):
    (tmp_path / FILE).unlink()
    again = ensure_sign_in(tmp_path)
    assert again.user_key != made.user_key
    assert (again.password, again.approver_password) == ("", "")
    assert authenticate(username=USER, password=made.password) is not None
    assert ApiKey.objects.count() == 2


def test_a_password_that_was_changed_stays(made, tmp_path):
    user = get_user_model().objects.get(username=USER)
    user.set_password("another one entirely")
    user.save()
    assert ensure_sign_in(tmp_path).password == ""
    assert authenticate(username=USER, password="another one entirely") is not None


def test_a_key_that_was_revoked_stays_revoked(made, tmp_path):
    do_revoke_key(acting=system("test"), reason="test", key_id=made.user_key.split("_")[1])
    ensure_sign_in(tmp_path)
    assert ApiKey.objects.get(name="embedded-user").revoked_at is not None
