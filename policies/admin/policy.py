"""Limits in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from audit.unfold import display
from policies.admin.base import ManagedAdmin
from policies.models import Policy
from policies.wording import sentence


@admin.register(Policy)
class PolicyAdmin(ManagedAdmin):
    list_display = ("name", "in_words", "shown_type", "enabled", "owner", "version")
    list_filter = ("type", "enabled", "mode", "scope", "metric", "on_breach")
    search_fields = ("name", "description", "owner")
    search_help_text = "A name, description or owner"
    readonly_fields = ("in_words",)

    def groups(self, obj: Policy | None) -> tuple[Any, ...]:
        first = ("name", "description", "enabled")
        return (
            (None, {"fields": ("in_words", *first) if obj else first}),
            ("Limit", {"fields": (("metric", "window_s"), ("operator", "threshold"), ("type", "on_breach"))}),
            ("Scope", {"fields": ("scope", "scope_ids")}),
            ("When", {"fields": ("active_windows", ("effective_from", "effective_until"))}),
            ("On whom, and how", {"fields": (("mode", "rollout_percent", "test_group"),)}),
            (
                "With the market",
                {"fields": (("volatility_symbol", "volatility_reference"), ("volatility_least", "volatility_most"))},
            ),
            ("Accountability", {"fields": ("owner", "regulatory_tags", "priority")}),
        )

    @display(description="In words")
    def in_words(self, policy: Policy) -> str:
        return sentence(policy)

    @display(description="Type", ordering="type", label={"hard": "info", "soft": "warning", "emergency": "danger"})
    def shown_type(self, policy: Policy) -> str:
        return policy.type
