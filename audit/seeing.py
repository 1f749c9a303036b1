"""What of the admin is for whom: who is for some accounts sees the rows of these, and nothing that concerns all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from audit.rights import acting_of

if TYPE_CHECKING:
    from audit.unfold import ModelAdmin as _Admin
else:
    _Admin = object


class OfAccounts(_Admin):
    """An admin whose rows are each of one account: whoever is for some accounts sees theirs."""

    account_field = "account_id"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        accounts = acting_of(request.user).accounts
        return rows.filter(self.theirs(accounts)) if accounts else rows

    def has_view_or_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may see the row: pages that do not look for it in the list ask here."""
        if not super().has_view_or_change_permission(request, obj):
            return False
        limited = obj is not None and acting_of(request.user).accounts
        return not limited or self.get_queryset(request).filter(pk=obj.pk).exists()

    def theirs(self, accounts: frozenset[str]) -> Q:
        """Return the condition of being a row for these accounts."""
        return Q(**{f"{self.account_field}__in": accounts})


class OfAll(_Admin):
    """An admin whose rows concern all accounts: whoever is for some of them sees none."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not acting_of(request.user).accounts and super().has_view_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not acting_of(request.user).accounts and super().has_change_permission(request, obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return not acting_of(request.user).accounts and super().has_module_permission(request)
