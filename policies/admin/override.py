"""Overrides in the admin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.utils import timezone

from audit.seeing import OfAccounts
from audit.unfold import display
from policies.admin.base import ManagedAdmin
from policies.book import override_of
from policies.models import Override
from policies.overrides import use_in_words
from policies.wording_items import override_sentence


@admin.register(Override)
class OverrideAdmin(OfAccounts, ManagedAdmin):
    """An override is granted once, and taken back once; to let an account do otherwise makes another."""

    list_display = ("account", "state", "in_words", "until")
    said_of_none = (
        "An override lets one account through its limits, for one order or a few. Somebody else has to approve it."
    )
    list_filter = ("active", "side", "liquidation")
    list_select_related = ("account",)
    search_fields = ("symbol", "reason", "=account__id")
    autocomplete_fields = ("account",)
    fixed = (
        *("account", "symbol", "side", "max_orders", "max_quantity", "max_notional", "valid_from", "until"),
        *("liquidation", "reason"),
    )
    readonly_fields = ("in_words", "used")

    def groups(self, obj: Override | None) -> tuple[Any, ...]:
        what = ("account", ("symbol", "side"), "max_orders", ("max_quantity", "max_notional"))
        when = ("valid_from", "until", "liquidation")
        if obj is None:
            return ((None, {"fields": (*what, *when)}),)
        return ((None, {"fields": ("in_words", "used", "active", *what, *when, "reason")}),)

    def theirs(self, accounts: frozenset[str]) -> Q:
        """Return the condition of being for one of these accounts."""
        return Q(account__in=accounts)

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        taken_back = obj is not None and not obj.active
        return not taken_back and super().has_change_permission(request, obj)

    def said_of_new(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return why it is granted: decisions that go by it have the reason that the form asks for."""
        return {"reason": given["change_reason"]}

    @display(
        description="State", label={"in force": "warning", "taken back": "info", "over": "info", "to come": "info"}
    )
    def state(self, override: Override) -> str:
        now = timezone.now()
        if not override.active:
            return "taken back"
        if override.until <= now:
            return "over"
        return "to come" if override.valid_from is not None and override.valid_from > now else "in force"

    @display(description="In words")
    def in_words(self, override: Override) -> str:
        return override_sentence(override_of(override))

    @display(description="Used")
    def used(self, override: Override) -> str:
        return use_in_words(override)
