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
from policies.wording_numbers import unbroken
from riskcore.decimals import ONE, ZERO
from state.wiring import store

# What most limits leave as it is: groups of the form, by their titles.
_SELDOM = ("When", "On whom, and how", "With the market", "Accountability")
_REMARKABLE = ("owner", "regulatory_tags")


def _folded(group: Any, row: Policy | None) -> Any:
    """Return a group of the form, folded where it is seldom used and the row says nothing in it."""
    title, options = group
    names = [name for name in options["fields"] if name != "arms_link" and name not in _REMARKABLE]
    fields = (Policy._meta.get_field(name) for name in names) if title in _SELDOM else ()
    if title not in _SELDOM or any(row is not None and _is_set(row, field) for field in fields):
        return group
    return title, {**options, "classes": ("collapse",)}


def _is_set(row: Policy, field: Any) -> bool:
    value = getattr(row, field.attname)
    return bool(value != field.get_default() and value not in ("", [], None))


@admin.register(Policy)
class PolicyAdmin(ManagedAdmin):
    list_display = ("name", "in_words", "used_now", "shown_type", "enabled", "owner", "version")
    said_of_none = "No limit is in force: every order that its account can pay for is approved."
    list_filter = ("type", "enabled", "mode", "scope", "metric", "on_breach")
    search_fields = ("name", "description", "owner")
    search_help_text = "A name, description or owner"
    readonly_fields = ("in_words", "arms_link")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Fold what most limits leave as it is, where this one does; a request that is edited is shown whole."""
        groups = super().get_fieldsets(request, obj)
        return groups if "request" in request.GET else tuple(_folded(group, obj) for group in groups)

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer no metric before one is chosen."""
        if db_field.name == "metric":
            kwargs["choices"] = db_field.get_choices(blank_choice=[("", "Choose a metric")])
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def groups(self, obj: Policy | None) -> tuple[Any, ...]:
        first = ("name", "description", "enabled")
        return (
            (None, {"fields": ("in_words", *first) if obj else first}),
            ("Limit", {"fields": (("metric", "window_s"), ("operator", "threshold"), ("type", "on_breach"))}),
            ("Scope", {"fields": ("scope", "scope_ids")}),
            ("When", {"fields": ("active_windows", "effective_from", "effective_until")}),
            (
                "On whom, and how",
                {"fields": ("mode", "rollout_percent", "test_group", *(("arms_link",) if obj else ()))},
            ),
            (
                "With the market",
                {"fields": ("volatility_symbol", "volatility_reference", "volatility_least", "volatility_most")},
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
        if use is None:
            return "-"
        said = f"{use}" if use.holds else f"broken: {use}"
        if use.share is None:
            return said
        return format_html(
            '<span class="risk-use"><meter max="1" low="0.75" high="0.9" optimum="0" value="{}" aria-hidden="true">'
            "</meter>{}</span>",
            f"{min(max(use.share, ZERO), ONE):.4f}",
            said,
        )

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
        return unbroken(sentence(policy))

    @display(description="Type", ordering="type", label={"hard": "info", "soft": "warning", "emergency": "danger"})
    def shown_type(self, policy: Policy) -> str:
        return policy.type
