"""Why a stop was not lifted, or a lease not given; what is wrong with a call is Django's ValidationError, by field."""

from __future__ import annotations

from collections.abc import Sequence


class EmergencyError(Exception):
    """Something that was refused; its text is for the person who asked for it."""


class NotInForce(EmergencyError):
    """There is no such stop, or it was lifted before."""


class AsItIs(EmergencyError):
    """What was asked for is so already, or there is nothing left of which it could be so."""


class SamePerson(EmergencyError):
    """It takes somebody else."""


class NobodyKnown(EmergencyError):
    """It takes a person whom riskportal knows: signed in, or with a key of their own."""


class StillBreached(EmergencyError):
    """An emergency policy is breached in the stop's scope. `breaches` says which, for people."""

    def __init__(self, what: str, breaches: Sequence[str]) -> None:
        self.breaches = tuple(breaches)
        super().__init__(
            f"{what} stays: {'; '.join(breaches)}. "
            "Reduce the risk first, or ask with force, which a second person must approve."
        )


class NoSuchLease(EmergencyError):
    """Nobody holds a lease by this name."""


class HeldByAnother(EmergencyError):
    """The lease is for accounts that are not the caller's."""


class TooManyLeases(EmergencyError):
    """There are as many leases as there may be."""
