"""Limits in the admin."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html

from audit.rights import acting_of
from audit.unfold import display
from policies.admin.base import ManagedAdmin
from policies.arms.page import arms_page
from policies.arms.services import arms_of
from policies.models import Policy
from policies.use import Use, uses_now
from policies.wording import sentence
from state.wiring import store


@admin.register(Policy)
class PolicyAdmin(ManagedAdmin):
    list_display = ("name", "in_words", "used_now", "shown_type", "enabled", "owner", "version")
    list_filter = ("type", "enabled", "mode", "scope", "metric", "on_breach")
    search_fields = ("name", "description", "owner")
    search_help_text = "A name, description or owner"
    readonly_fields = ("in_words", "arms_link")

    def groups(self, obj: Policy | None) -> tuple[Any, ...]:
        first = ("name", "description", "enabled")
        return (
            (None, {"fields": ("in_words", *first) if obj else first}),
            ("Limit", {"fields": (("metric", "window_s"), ("operator", "threshold"), ("type", "on_breach"))}),
            ("Scope", {"fields": ("scope", "scope_ids")}),
            ("When", {"fields": ("active_windows", "effective_from", "effective_until")}),
            (
                "On whom, and how",
                {"fields": ("mode", ("rollout_percent", "test_group"), *(("arms_link",) if obj else ()))},
            ),
            (
                "With the market",
                {"fields": (("volatility_symbol", "volatility_reference"), ("volatility_least", "volatility_most"))},
            ),
            ("Accountability", {"fields": ("owner", "regulatory_tags", "priority")}),
        )

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Say of each limit of the page how much of it is used."""
        page = super().get_changelist_instance(request)
        uses = uses_now(store(), acting_of(request.user))
        for row in page.result_list:
            row.use = uses.get(str(row.pk)) if row.enabled else None
        return page

    @display(description="Used now")
    def used_now(self, policy: Policy) -> str:
        use: Use | None = getattr(policy, "use", None)
        return "-" if use is None else f"{use}" if use.holds else f"broken: {use}"

    def get_urls(self) -> list[Any]:
        arms = path("<uuid:key>/arms/", self.admin_site.admin_view(self.arms_view), name="policies_policy_arms")
        return [arms, *super().get_urls()]

    def arms_view(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """Show what recorded decisions say of the limit, where it is enforced and where it is in shadow."""
        row = self.get_queryset(request).filter(pk=key).first()
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        return TemplateResponse(
            request,
            "admin/policies/arms.html",
            {
                **self.admin_site.each_context(request),
                "title": f"{row.name}: enforced and in shadow",
                "opts": self.opts,
                "original": row,
                "in_words": sentence(row),
                "arms": arms_page(arms_of(row)),
            },
        )

    @display(description="Enforced and in shadow")
    def arms_link(self, policy: Policy) -> str:
        url = reverse("admin:policies_policy_arms", args=(policy.pk,))
        return format_html('<a class="underline" href="{}">Compare what it does on either side</a>', url)

    @display(description="In words")
    def in_words(self, policy: Policy) -> str:
        return sentence(policy)

    @display(description="Type", ordering="type", label={"hard": "info", "soft": "warning", "emergency": "danger"})
    def shown_type(self, policy: Policy) -> str:
        return policy.type
