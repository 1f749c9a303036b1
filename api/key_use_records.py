"""What keys were used for, on record: processes add what they count, and each hour becomes events of the audit log."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import F

from api.key_uses import Counted, KeyOutcome, KeyUses
from api.models import ApiKey, KeyUse
from audit.services import Happened, record_all

ACTOR = "riskportal"
ACTION = "api_key.use"

# How often a process writes what it has counted, in seconds; and how long after its end an hour is put on record.
KEEP_S = 2.0
_SETTLED = timedelta(minutes=5)

_HOUR = timedelta(hours=1)

# Hours of keys that are put on record in one go.
_TOGETHER = 500


def keep_uses(uses: KeyUses) -> None:
    """Write what was counted. Raises Django's database errors; then it is counted still."""
    counted = uses.take()
    if not counted:
        return
    try:
        _add(counted)
    except (DatabaseError, InterfaceError):
        uses.put_back(counted)
        raise


@transaction.atomic
def _add(counted: Counted) -> None:
    by_row: defaultdict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    for (key_id, hour, outcome), number in counted.items():
        by_row[key_id, hour][outcome.value] = number
    # No key is ever deleted, but a database restored from an older copy lacks some that doors still admit.
    known = set(ApiKey.objects.filter(pk__in={key_id for key_id, _ in by_row}).values_list("pk", flat=True))
    # In one order in all processes, so that none waits for another that waits for it.
    for (key_id, hour), numbers in sorted(by_row.items()):
        if key_id not in known:
            continue
        of: dict[str, Any] = {"key_id": key_id, "hour": datetime.fromtimestamp(hour * 3600, UTC)}
        # It is made by the first that comes, and gone where the hour has been put on record in between.
        while not KeyUse.objects.filter(**of).update(**{name: F(name) + number for name, number in numbers.items()}):
            KeyUse.objects.get_or_create(**of)


def record_uses(now: datetime) -> int:
    """Put hours that are over on record, each once, and return how many hours of keys these were.

    Any number of processes may call it at once. What a process writes later than minutes after an hour, because the
    database was away, makes another event of the same hour. Raises Django's database errors.
    """
    with transaction.atomic():
        over = KeyUse.objects.filter(hour__lte=now - _HOUR - _SETTLED).order_by("hour", "key_id")
        rows = list(over.select_for_update(of=("self",), skip_locked=True).select_related("key")[:_TOGETHER])
        if rows:
            record_all(map(_happened, rows))
            KeyUse.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _happened(use: KeyUse) -> Happened:
    counts = {each.value: getattr(use, each.value) for each in KeyOutcome}
    return Happened(
        actor=ACTOR,
        action=ACTION,
        object_type="api_key",
        object_id=use.key_id,
        object_label=use.key.name,
        reason="What the key was used for in an hour",
        after={"hour": use.hour, "until": use.hour + _HOUR, **counts},
    )
