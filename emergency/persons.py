"""Which person answers for what is done with a stop (decision 0023)."""

from __future__ import annotations

from collections.abc import Collection

from django.core.exceptions import ValidationError

from audit.acting import Acting, same_person
from audit.models import AuditEvent
from emergency.models import EmergencyStop
from riskcore.ports import StopScope

_LONGEST = 200


def who_answers(acting: Acting, authorized_by: str) -> str:
    """Return the name of the person who takes something on themselves.

    Somebody whom riskportal knows answers for themselves; of a machine it is who it says, or the machine. Raises
    ValidationError.
    """
    said = authorized_by.strip()
    if acting.person:
        if said and not same_person(said, acting.person):
            raise ValidationError({"authorized_by": f"This is {acting.person}, who answers for nobody else."})
        return acting.person
    who = said or acting.name
    if len(who) > _LONGEST:
        raise ValidationError({"authorized_by": f"Say who takes this on themselves, in at most {_LONGEST} characters."})
    return who


def demand_scope(acting: Acting, scope: str, scope_id: str) -> None:
    """Raise NotTheirAccount where somebody is for some accounts only, and a stop concerns others as well."""
    account_id = scope_id if scope == StopScope.ACCOUNT else ""
    acting.demand_account(account_id, f"a stop of {scope} {scope_id}".strip())


def triggered_by_them(acting: Acting, who: str, row: EmergencyStop) -> bool:
    """Return whether whoever answers is the one who triggered a stop: by the name they gave, or as they were known."""
    return same_person(who, row.triggered_by) or (
        bool(acting.person) and any(same_person(acting.person, name) for name in _engaged_by(row))
    )


def _engaged_by(row: EmergencyStop) -> Collection[str]:
    events = AuditEvent.objects.filter(object_type="emergency_stop", object_id=str(row.pk), action="stop.engage")
    return list(events.values_list("actor", flat=True))
