"""Who acts, and what they may: what every service asks for that changes something."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


class NotAllowed(Exception):
    """Somebody asked for what they may not do; the text is for them."""

    def __init__(self, name: str, permission: str) -> None:
        self.permission = permission
        super().__init__(f"{name} may not do this: it takes the permission {permission}.")


class Acting(Struct, frozen=True):
    """A person, an API key or the system itself, as the audit log names it.

    Attributes
    ----------
    name
        As the audit log has it.
    permissions
        Django's names, as `policies.approve_change`. None: everything (the configuration, the command line).
    accounts
        The accounts that it is for. Empty: all.
    """

    name: str
    permissions: frozenset[str] | None = frozenset()
    accounts: frozenset[str] = frozenset()

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


def system(name: str) -> Acting:
    """Return one that may do everything: the configuration, or whoever has the machine's command line."""
    return Acting(name, None)


def acting(name: str, permissions: Iterable[str], accounts: Iterable[str] = ()) -> Acting:
    """Return somebody with these permissions, for these accounts (none: all)."""
    return Acting(name, frozenset(permissions), frozenset(accounts))
