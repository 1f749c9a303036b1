"""Where officers manage it."""

from policies.admin.book import BookAdmin
from policies.admin.override import OverrideAdmin
from policies.admin.policy import PolicyAdmin
from policies.admin.preview import PreviewAdmin
from policies.admin.profile import AccountAdmin, CapitalProfileAdmin
from policies.admin.request import ChangeRequestAdmin
from policies.admin.symbol import InstrumentAdmin, RestrictedSymbolAdmin

__all__ = [
    "AccountAdmin",
    "BookAdmin",
    "CapitalProfileAdmin",
    "ChangeRequestAdmin",
    "InstrumentAdmin",
    "OverrideAdmin",
    "PolicyAdmin",
    "PreviewAdmin",
    "RestrictedSymbolAdmin",
]
