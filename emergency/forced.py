"""Trading that two people have re-enabled in spite of a breach: that breach, as long as it goes on, stops nothing."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db.models import Max, Q

from emergency.models import EmergencyStop
from riskcore.ports import StopScope


def lifted_in_spite(account_ids: Collection[str]) -> dict[str, datetime]:
    """Return when trading was last re-enabled in spite of a breach, by account; an empty name: everywhere.

    What was re-enabled everywhere was so in each account. Accounts in which that never happened are left out. Raises
    Django's database errors.
    """
    wanted = Q(scope=StopScope.GLOBAL.value) | Q(scope=StopScope.ACCOUNT.value, scope_id__in=account_ids)
    forced = EmergencyStop.objects.filter(wanted, forced=True).exclude(lifted_at=None)
    last = dict(forced.order_by().values_list("scope_id").annotate(last=Max("lifted_at")))
    everywhere = last.get("")
    found = {}
    for account_id in account_ids:
        lifted = [at for at in (last.get(account_id), everywhere) if at is not None]
        if lifted:
            found[account_id] = max(lifted)
    return found
