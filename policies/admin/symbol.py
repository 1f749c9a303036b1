"""Restricted symbols and instruments in the admin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.utils import timezone

from audit.seeing import OfAccounts
from audit.unfold import display
from policies.admin.base import ManagedAdmin
from policies.book import instrument_of
from policies.models import Instrument, RestrictedSymbol
from policies.wording_items import instrument_sentence


@admin.register(RestrictedSymbol)
class RestrictedSymbolAdmin(OfAccounts, ManagedAdmin):
    """A restriction is made once, and lifted once; to restrict a symbol otherwise makes another."""

    list_display = ("symbol", "state", "in_words", "reason", "until")
    said_of_none = "Every symbol may be traded. To restrict one is live as soon as you publish it."
    list_filter = ("active", "side", "close_only")
    list_select_related = ("account",)
    search_fields = ("symbol", "reason", "=account__id")
    autocomplete_fields = ("account",)
    fixed = ("symbol", "side", "account", "close_only", "until", "reason")

    def groups(self, obj: RestrictedSymbol | None) -> tuple[Any, ...]:
        what = ("symbol", ("side", "account"), "close_only", "until")
        if obj is None:
            return ((None, {"fields": what}),)
        return ((None, {"fields": ("active", *what, "reason")}),)

    def theirs(self, accounts: frozenset[str]) -> Q:
        """Return the condition of concerning these accounts: restrictions of no account concern all."""
        return Q(account=None) | Q(account__in=accounts)

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        lifted = obj is not None and not obj.active
        return not lifted and super().has_change_permission(request, obj)

    def said_of_new(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return why the symbol is restricted: traders see the reason that the form asks for."""
        return {"reason": given["change_reason"]}

    @display(description="State", label={"in force": "danger", "lifted": "success", "over": "info"})
    def state(self, restriction: RestrictedSymbol) -> str:
        if not restriction.active:
            return "lifted"
        over = restriction.until is not None and restriction.until <= timezone.now()
        return "over" if over else "in force"

    @display(description="In words")
    def in_words(self, restriction: RestrictedSymbol) -> str:
        side = f"{restriction.side} orders" if restriction.side else "Orders"
        who = f"of {restriction.account_id}" if restriction.account_id else "of every account"
        what = "only reduce positions" if restriction.close_only else "are blocked"
        return f"{side} {who} {what}"


@admin.register(Instrument)
class InstrumentAdmin(ManagedAdmin):
    said_of_none = "No trading rule of any symbol is known: steps, sizes and margins are the defaults."
    list_display = ("symbol", "in_words", "version")
    search_fields = ("symbol",)
    fixed = ("symbol",)

    def groups(self, obj: Instrument | None) -> tuple[Any, ...]:
        return (
            (None, {"fields": ("symbol",), "description": "0 or empty: the rule is not known and not checked."}),
            ("Steps", {"fields": (("tick_size", "lot_size"),)}),
            ("Quantity", {"fields": (("min_quantity", "max_quantity"),)}),
            ("Volume of a day", {"fields": ("average_daily_volume",)}),
            ("Margin and order types", {"fields": ("margin_rate", "order_types")}),
        )

    @display(description="In words")
    def in_words(self, instrument: Instrument) -> str:
        return instrument_sentence(instrument_of(instrument))
