"""Who acts, and what they may: what every service asks for that changes something."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


class NotAllowed(Exception):
    """Somebody asked for what they may not do; the text is for them."""

    def __init__(self, name: str, permission: str) -> None:
        self.permission = permission
        super().__init__(f"{name} may not do this: it takes the permission {permission}.")


class NotTheirAccount(NotAllowed):
    """Somebody asked for what concerns accounts that they are not for."""

    def __init__(self, name: str, what: str) -> None:
        self.permission = ""
        Exception.__init__(self, f"{name} is for some accounts only, and may not act on {what}.")


class Acting(Struct, frozen=True):
    """A person, an API key or the system itself, as the audit log names it.

    Attributes
    ----------
    name
        As the audit log has it: "alice", "key:oms", "alice (key:cli)", "configuration".
    permissions
        Django's names, as `policies.approve_limits`. None: everything (the configuration, the command line).
    accounts
        The accounts that it is for. Empty: all.
    person
        The user name of the person who is known to act: signed in, or the holder of the key. Empty: a machine, the
        system, or whoever has a key that nobody holds by name.
    """

    name: str
    permissions: frozenset[str] | None = frozenset()
    accounts: frozenset[str] = frozenset()
    person: str = ""

    def may(self, permission: str) -> bool:
        """Return whether it has a permission."""
        return self.permissions is None or permission in self.permissions

    def may_see(self, account_id: str) -> bool:
        """Return whether it is for an account."""
        return not self.accounts or account_id in self.accounts

    def demand(self, permission: str) -> None:
        """Raise NotAllowed where it has not got a permission."""
        if not self.may(permission):
            raise NotAllowed(self.name, permission)

    def demand_account(self, account_id: str, what: str) -> None:
        """Raise NotTheirAccount where it is not for an account; an empty id: for every one. `what` is for people."""
        if self.accounts and account_id not in self.accounts:
            raise NotTheirAccount(self.name, what)


def system(name: str) -> Acting:
    """Return one that may do everything: the configuration, or whoever has the machine's command line."""
    return Acting(name, None)


def acting(name: str, permissions: Iterable[str], accounts: Iterable[str] = ()) -> Acting:
    """Return somebody with these permissions, for these accounts (none: all)."""
    return Acting(name, frozenset(permissions), frozenset(accounts))


def with_key(person: str, key_name: str) -> str:
    """Return the name of a key in the audit log, with the person who holds it, if one does."""
    return f"{person} (key:{key_name})" if person else f"key:{key_name}"


def person_of(name: str) -> str:
    """Return who is behind a name of the audit log: the holder of a key, or else the name itself.

    Names of users have no blank (Django's rule), so that no user can be taken for a key's holder.
    """
    person, key, _ = name.partition(" (key:")
    return person.strip() if key else name.strip()


def same_person(one: str, other: str) -> bool:
    """Return whether two names of the audit log stand for the same person, whatever the case of the letters."""
    return person_of(one).casefold() == person_of(other).casefold()
