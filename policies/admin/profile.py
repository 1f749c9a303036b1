"""Capital profiles and accounts in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count

from audit.seeing import OfAccounts
from audit.unfold import display
from policies.admin.base import ManagedAdmin
from policies.models import Account, CapitalProfile
from policies.wording_numbers import figure
from riskcore.metrics import Unit


@admin.register(CapitalProfile)
class CapitalProfileAdmin(ManagedAdmin):
    list_display = ("name", "in_words", "shown_accounts", "version")
    search_fields = ("name",)
    fixed = ("name",)

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).annotate(account_count=Count("accounts"))

    def groups(self, obj: CapitalProfile | None) -> tuple[Any, ...]:
        return (
            (None, {"fields": ("name",)}),
            ("Bounds", {"fields": (("allowed_leverage", "max_open_positions"), "max_single_trade_risk")}),
            ("Losses", {"fields": (("max_daily_loss", "max_weekly_loss"),)}),
            ("Strategies", {"fields": ("strategies",)}),
        )

    @display(description="In words")
    def in_words(self, profile: CapitalProfile) -> str:
        return (
            f"Leverage up to {figure(profile.allowed_leverage, Unit.LEVERAGE)}, "
            f"one order up to {figure(profile.max_single_trade_risk, Unit.FRACTION)} of equity, "
            f"losses up to {figure(profile.max_daily_loss, Unit.FRACTION)} a day "
            f"and {figure(profile.max_weekly_loss, Unit.FRACTION)} a week, "
            f"{profile.max_open_positions:,} positions"
        )

    @display(description="Accounts", ordering="account_count")
    def shown_accounts(self, profile: Any) -> int:
        count: int = profile.account_count
        return count


@admin.register(Account)
class AccountAdmin(OfAccounts, ManagedAdmin):
    account_field = "id"
    list_display = ("id", "name", "profile", "exchange", "enabled", "version")
    list_filter = ("enabled", "profile", "exchange")
    list_select_related = ("profile",)
    search_fields = ("id", "name")
    fixed = ("id",)

    def groups(self, obj: Account | None) -> tuple[Any, ...]:
        return (
            (None, {"fields": ("id", "name", "enabled")}),
            ("Trading", {"fields": ("profile", "exchange", "reservation_ttl_s")}),
        )
