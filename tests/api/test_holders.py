"""Who may have which key: machines' keys from who manages them, a key of one's own, and never more than its person."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db.models import ProtectedError
from django.test import Client
from django.urls import reverse

from api.grants import CHECK_ORDERS, ENGAGE_STOP, HANDLE_ALERT, granted, spelled_out
from api.keyring import KeyRecord
from api.keys import MANAGE, KeyChange, do_create_key, do_revoke_key, do_rotate_key
from api.models import ApiKey
from api.tasks import publish
from audit.acting import Acting, NotAllowed, NotTheirAccount, acting, system
from audit.models import AccountGrant, AuditEvent
from audit.rights import people
from state.store import Store

pytestmark = pytest.mark.django_db(transaction=True)

MANAGER = acting("mona", [MANAGE])


@pytest.fixture
def eve(store) -> User:
    """An emergency operator who may stop trading and handle alerts, but not lift."""
    return user("eve", "engage_stop", "handle_alert")


def user(name: str, *codenames: str, accounts: tuple[str, ...] = ()) -> User:
    made = User.objects.create(username=name, is_staff=True)
    made.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    AccountGrant.objects.bulk_create(AccountGrant(user=made, account_id=each) for each in accounts)
    return made


def who(made: User) -> Acting:
    return people([made])[made.pk]


def create(by: Acting = MANAGER, name: str = "oms", words: tuple[str, ...] = ("operate",), **what: Any) -> KeyChange:
    return do_create_key(acting=by, reason="test", name=name, permissions=words, **what)


def published(store: Store) -> list[KeyRecord]:
    content = store.fetch_keys()
    assert content is not None
    return msgspec.json.decode(content, type=list[KeyRecord])


def only(store: Store) -> KeyRecord:
    """Return the one key that is good, as a door has it."""
    (found,) = published(store)
    return msgspec.structs.replace(found, permissions=spelled_out(found.permissions))


# -------------------------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize("does", [do_rotate_key, do_revoke_key])
def test_who_may_not_manage_keys_changes_none(does, store):
    key = create().row
    with pytest.raises(NotAllowed, match=MANAGE):
        does(acting=acting("victor", []), reason="mine", key_id=key.pk)
    assert AuditEvent.objects.count() == 1


def test_who_may_not_manage_keys_makes_none_for_a_machine(store):
    with pytest.raises(NotAllowed, match=MANAGE):
        create(acting("victor", ["policies.change_limits"]))
    assert not ApiKey.objects.exists()


def test_who_is_for_some_accounts_makes_no_key_for_all(store):
    with pytest.raises(NotTheirAccount):
        create(acting("mona", [MANAGE], ["A"]))


@pytest.mark.parametrize("by", [MANAGER, Acting("root", None, person="root")], ids=["manager", "superuser"])
def test_nobody_else_comes_to_a_key_that_acts_in_somebodys_name(by, eve):
    with pytest.raises(NotAllowed, match="eve's name"):
        create(by, holder=eve)
    made = create(who(eve), holder=eve)
    with pytest.raises(NotAllowed, match="eve's name"):
        do_rotate_key(acting=by, reason="hers", key_id=made.row.pk)


def test_a_key_with_which_its_holder_may_do_nothing_is_refused(eve):
    with pytest.raises(ValidationError) as error:
        create(who(eve), holder=eve, words=("check", "operate"))
    assert "check" in error.value.message_dict["permissions"][0]


def test_no_machine_approves():
    assert "policies.approve_limits" not in granted(["admin"], None)
    assert "policies.approve_limits" in granted(["admin"], acting("alice", ["policies.approve_limits"]))


def test_who_holds_a_key_cannot_be_deleted(eve):
    create(who(eve), holder=eve)
    with pytest.raises(ProtectedError):
        eve.delete()


# ------------------------------------------------------------------------------------------ never more than they
def test_a_key_of_ones_own_takes_no_permission_and_does_no_more_than_its_person(eve, store):
    create(who(eve), holder=eve)
    assert only(store).permissions == {ENGAGE_STOP, HANDLE_ALERT}
    assert (only(store).actor, only(store).acting.person) == ("eve (key:oms)", "eve")


def test_what_a_person_loses_their_key_loses_within_a_second(eve, store):
    create(who(eve), holder=eve)
    eve.user_permissions.remove(Permission.objects.get(codename="engage_stop"))
    publish()
    assert only(store).permissions == {HANDLE_ALERT}


def test_the_key_of_somebody_who_is_switched_off_is_good_no_more(eve, store):
    create(who(eve), holder=eve)
    User.objects.update(is_active=False)
    publish()
    assert published(store) == []


def test_a_key_is_for_the_accounts_of_its_person(eve, store):
    create(who(eve), holder=eve)
    AccountGrant.objects.create(user=eve, account_id="A")
    publish()
    assert only(store).accounts == {"A"}


def test_a_key_for_accounts_that_its_person_lost_is_good_no_more(store):
    made = user("eve", "engage_stop", accounts=("A",))
    row = create(who(made), holder=made).row
    ApiKey.objects.filter(pk=row.pk).update(accounts=["B"])
    publish()
    assert published(store) == []


def test_a_machines_key_may_what_its_word_stands_for(store):
    create(words=("check",))
    assert only(store).permissions == {CHECK_ORDERS}
    assert (only(store).actor, only(store).acting.person) == ("key:oms", "")


def test_of_a_machines_key_only_the_words_are_published(store):
    create(words=("check", "admin"))
    assert [record.permissions for record in published(store)] == [{"check", "admin"}]


def test_a_word_that_is_published_never_stands_for_what_only_people_do():
    assert "policies.approve_limits" not in spelled_out(["admin"])
    assert "policies.approve_limits" in spelled_out(["policies.approve_limits"])


def test_the_audit_log_says_whose_a_key_is(eve):
    create(who(eve), holder=eve)
    event = AuditEvent.objects.get()
    assert event.after is not None
    assert (event.actor, event.after["holder"]) == ("eve", "eve")


def test_keys_of_many_people_are_published_in_as_many_queries(eve, store, django_assert_max_num_queries):
    for number in range(5):
        one = user(f"u{number}", "engage_stop")
        create(who(one), name=f"k{number}", holder=one)
    with django_assert_max_num_queries(9):
        publish()


# ---------------------------------------------------------------------------------------------- other doors
def test_the_command_line_makes_a_key_for_anybody(eve, store, capsys):
    call_command("create_api_key", "cli", "--can", "operate", "--holder", "eve")
    assert only(store).holder == "eve"


def test_the_command_line_names_a_holder_that_is_not_there(store):
    with pytest.raises(CommandError, match="There is no user nobody"):
        call_command("create_api_key", "cli", "--can", "operate", "--holder", "nobody")


def browser(one: User) -> Client:
    found = Client()
    found.force_login(one)
    return found


NEW = {
    **{"name": "mine", "permissions": "operate", "accounts": "", "per_second": "", "reason": "scripts"},
    **{"expires_at_0": "", "expires_at_1": ""},
}


def test_in_the_admin_somebody_makes_a_key_of_their_own_and_no_other(eve):
    browser(eve).post(reverse("admin:api_apikey_add"), {**NEW, "mine": ""})  # made by hand: the box cannot be emptied
    assert ApiKey.objects.get().holder == eve


def test_in_the_admin_keys_of_others_are_neither_shown_nor_changed(eve):
    other = create().row
    client = browser(eve)
    address = reverse("admin:api_apikey_change", args=(other.pk,))
    assert other.name not in client.get(reverse("admin:api_apikey_changelist")).content.decode()
    assert client.post(address, {"change": "revoke", "reason": "mine"}).status_code in (302, 403)
    other.refresh_from_db()
    assert other.revoked_at is None


def test_an_auditor_sees_every_key_and_changes_none(store):
    other = create().row
    client = browser(user("ada", "view_apikey"))
    address = reverse("admin:api_apikey_change", args=(other.pk,))
    assert "oms" in client.get(address).content.decode()
    assert client.post(address, {"change": "revoke", "reason": "mine"}).status_code == 403


def test_who_manages_keys_makes_one_for_a_machine(store):
    browser(user("mona", "manage_keys")).post(reverse("admin:api_apikey_add"), NEW)
    assert ApiKey.objects.get().holder is None


def test_the_command_line_is_told_apart_from_a_superuser(eve):
    assert create(system("command line (root)"), holder=eve).row.holder == eve
