"""Finds decisions by the limits that they broke, in the text of the recorded answers."""

from __future__ import annotations

import re

import msgspec
from django.db.models import Q

from reports.datasets.selecting import policy_meant


def broken_in(field: str, policy: str) -> Q:
    """Return the condition that a recorded answer names a policy (its id, or a name) among what was broken.

    That is among its violations, its warnings and its violations in shadow: a limit in these has its type after its
    name, one that is only the most used (`binding_limit`) has not. The text is the journal's, without blanks.
    """
    meant = policy_meant(policy)
    of_names = Q()
    for name in sorted(meant.names):
        of_names |= Q(**{f"{field}__contains": f'"name":{msgspec.json.encode(name).decode()},"type":'})
    if not meant.ids:
        return of_names
    ids = "|".join(re.escape(each) for each in sorted(meant.ids))
    return of_names | Q(**{f"{field}__regex": rf'"policy_id":"({ids})","name":"([^"\\]|\\.)*","type":'})
