"""Users and passwords on the command line: nothing of them changes without an event."""

from __future__ import annotations

import builtins
import getpass
import os
import pwd
from collections.abc import Callable
from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command, get_commands

from audit.actors import command_line
from audit.models import AuditEvent
from audit.verify import verify_chain

pytestmark = pytest.mark.django_db

SECRET = "correct horse battery"
BEFORE = "the one before that"


class Terminal(StringIO):
    """A standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_environment(monkeypatch) -> None:
    for name in ("USERNAME", "EMAIL", "PASSWORD"):
        monkeypatch.delenv(f"DJANGO_SUPERUSER_{name}", raising=False)


@pytest.fixture
def typed(monkeypatch) -> Callable[..., None]:
    """Return a way to say what will be typed, in turn; after that the input ends."""

    def will_type(*lines: str) -> None:
        left = iter(lines)

        def answer(_prompt: str = "") -> str:
            try:
                return next(left)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr(builtins, "input", answer)
        monkeypatch.setattr(getpass, "getpass", answer)

    return will_type


@pytest.fixture
def trader() -> User:
    return User.objects.create_user("tim", password=BEFORE)


def create(*arguments: str) -> str:
    said = StringIO()
    call_command("createsuperuser", *arguments, stdin=Terminal(), stdout=said, stderr=said)
    return said.getvalue()


def change(*arguments: str) -> str:
    said = StringIO()
    call_command("changepassword", *arguments, stdout=said, stderr=said)
    return said.getvalue()


def only_event() -> AuditEvent:
    assert verify_chain().intact
    return AuditEvent.objects.get()


def test_the_commands_are_those_that_write_events():
    assert {get_commands()[name] for name in ("createsuperuser", "changepassword")} == {"audit"}


def test_the_actor_is_whom_the_operating_system_names_whatever_the_environment_says(monkeypatch):
    monkeypatch.setenv("LOGNAME", "alice")
    monkeypatch.setenv("USER", "alice")
    assert command_line() == f"command line ({pwd.getpwuid(os.getuid()).pw_name})"
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_000)
    assert command_line() == "command line (uid 2000000000)"


class TestCreateSuperuser:
    def test_without_questions_it_takes_the_environment_and_writes_the_event(self, monkeypatch):
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", SECRET)
        monkeypatch.setenv("DJANGO_SUPERUSER_EMAIL", "Olga@Example.COM")
        create("--noinput", "--username", "olga", "--reason", "First day")
        made = authenticate(username="olga", password=SECRET)
        assert isinstance(made, User)
        assert (made.is_superuser, made.is_staff, made.email) == (True, True, "Olga@example.com")
        event = only_event()
        assert (event.actor, event.action, event.reason) == (command_line(), "user.create", "First day")
        assert event.before is None
        assert event.after is not None
        assert (event.after["username"], event.after["is_superuser"]) == ("olga", True)

    def test_the_event_holds_neither_the_password_nor_its_hash(self, monkeypatch):
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", SECRET)
        create("--noinput", "--username", "olga")
        written = str(AuditEvent.objects.values().get())
        assert SECRET not in written
        assert User.objects.get().password not in written
        assert "password" not in written

    def test_without_a_password_nobody_can_sign_in(self, monkeypatch):
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "")
        create("--noinput", "--username", "olga")
        assert not User.objects.get().has_usable_password()
        assert only_event().action == "user.create"

    def test_it_asks_until_the_answers_are_good(self, typed, trader):
        typed("tim", "no name!", "olga", "no address", "", "12345", "12345", "one", "another", SECRET, SECRET)
        said = create()
        for part in ("a user of that name", "valid username", "valid email", "too short", "not the same", "success"):
            assert part in said
        assert authenticate(username="olga", password=SECRET) is not None
        assert only_event().object_label == "olga"

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            ([], "--username"),
            (["--username", "tim"], "already exists"),
            (["--username", "no name!"], "valid username"),
            (["--username", "x" * 151], "at most 150"),
            (["--username", "olga", "--email", "nowhere"], "valid email"),
            (["--username", "olga", "--reason", " "], "Say why"),
        ],
    )
    def test_what_cannot_be_taken_leaves_neither_user_nor_event(self, trader, arguments, problem):
        with pytest.raises(CommandError, match=problem):
            create("--noinput", *arguments)
        assert [*User.objects.all()] == [trader]
        assert not AuditEvent.objects.exists()

    @pytest.mark.parametrize("lines", [(), ("olga",), ("olga", "", SECRET), ("olga", "", *("short",) * 6)])
    def test_broken_off_it_leaves_neither_user_nor_event(self, typed, lines):
        typed(*lines)
        with pytest.raises(CommandError):
            create()
        assert not User.objects.exists()
        assert not AuditEvent.objects.exists()

    def test_where_nobody_can_be_asked_it_says_so(self):
        with pytest.raises(CommandError, match="no terminal"):
            call_command("createsuperuser", stdin=StringIO())
        assert not User.objects.exists()

    def test_where_the_event_cannot_be_written_no_user_is_made(self, monkeypatch):
        monkeypatch.setattr("audit.people.record", _fail)
        with pytest.raises(RuntimeError, match="no audit log"):
            create("--noinput", "--username", "olga")
        assert not User.objects.exists()


class TestChangePassword:
    def test_the_change_is_an_event_and_its_secrets_are_not_in_it(self, typed, trader):
        typed(SECRET, SECRET)
        change("tim", "--reason", "Forgotten")
        assert authenticate(username="tim", password=SECRET) == trader
        event = only_event()
        assert (event.actor, event.action, event.reason) == (command_line(), "user.password", "Forgotten")
        assert (event.object_id, event.object_label) == (str(trader.pk), "tim")
        assert event.before is not None
        assert event.after == {**event.before, "password": "password changed"}
        trader.refresh_from_db()
        written = str(AuditEvent.objects.values().get())
        assert not any(secret in written for secret in (SECRET, BEFORE, trader.password))

    def test_rights_that_were_taken_away_while_it_asked_do_not_come_back(self, monkeypatch, trader):
        User.objects.update(is_superuser=True)

        def ask(_prompt: str) -> str:
            User.objects.update(is_superuser=False)
            return SECRET

        monkeypatch.setattr(getpass, "getpass", ask)
        change("tim")
        trader.refresh_from_db()
        assert trader.check_password(SECRET)
        assert not trader.is_superuser

    @pytest.mark.parametrize("lines", [(), (SECRET,), ("short", "short") * 3, (SECRET, "another one entirely") * 3])
    def test_broken_off_or_never_good_it_changes_nothing(self, typed, trader, lines):
        typed(*lines)
        with pytest.raises(CommandError, match="Nothing was changed"):
            change("tim")
        unchanged(trader)

    @pytest.mark.parametrize(
        ("arguments", "problem"), [(["tom"], "does not exist"), (["tim", "--reason", " "], "Say why")]
    )
    def test_what_cannot_be_taken_changes_nothing(self, typed, trader, arguments, problem):
        typed(SECRET, SECRET)
        with pytest.raises(CommandError, match=problem):
            change(*arguments)
        unchanged(trader)

    def test_where_the_event_cannot_be_written_nothing_is_changed(self, typed, trader, monkeypatch):
        monkeypatch.setattr("audit.people.record", _fail)
        typed(SECRET, SECRET)
        with pytest.raises(RuntimeError, match="no audit log"):
            change("tim")
        unchanged(trader)


def unchanged(user: User) -> None:
    user.refresh_from_db()
    assert user.check_password(BEFORE)
    assert not AuditEvent.objects.exists()


def _fail(**_event: object) -> None:
    raise RuntimeError("no audit log")
