"""The policies app."""

from __future__ import annotations

from collections.abc import Collection

from django.apps import AppConfig


class PoliciesConfig(AppConfig):
    name = "policies"
    verbose_name = "Limits"

    def ready(self) -> None:
        from audit.rights import ask_for_accounts

        ask_for_accounts(_there)


def _there(account_ids: Collection[str]) -> set[str]:
    from policies.models import Account

    return set(Account.objects.filter(pk__in=account_ids).values_list("pk", flat=True))
