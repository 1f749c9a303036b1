"""The tables of what officers manage."""

from policies.models.base import Managed
from policies.models.book import Book, BookLock, BookReturns
from policies.models.change_request import APPROVE_LIMITS, CHANGE_LIMITS, ChangeRequest, RequestStep, State, Step
from policies.models.override import Override
from policies.models.policy import Policy
from policies.models.preview import UNFINISHED, Preview, Progress
from policies.models.profile import Account, CapitalProfile
from policies.models.symbol import Instrument, RestrictedSymbol

__all__ = [
    "APPROVE_LIMITS",
    "CHANGE_LIMITS",
    "UNFINISHED",
    "Account",
    "Book",
    "BookLock",
    "BookReturns",
    "CapitalProfile",
    "ChangeRequest",
    "Instrument",
    "Managed",
    "Override",
    "Policy",
    "Preview",
    "Progress",
    "RequestStep",
    "RestrictedSymbol",
    "State",
    "Step",
]
