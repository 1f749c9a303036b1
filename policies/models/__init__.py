"""The tables of what officers manage."""

from policies.models.base import Managed
from policies.models.book import Book, BookLock, BookReturns
from policies.models.policy import Policy
from policies.models.profile import Account, CapitalProfile
from policies.models.symbol import Instrument, RestrictedSymbol

__all__ = [
    "Account",
    "Book",
    "BookLock",
    "BookReturns",
    "CapitalProfile",
    "Instrument",
    "Managed",
    "Policy",
    "RestrictedSymbol",
]
