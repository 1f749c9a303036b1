"""What a change request is made of: single rows to be made or changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from msgspec import Struct

from policies.models import Account, CapitalProfile, Instrument, Managed, Override, Policy, RestrictedSymbol

# What officers manage, by the word that requests, files and the API have for it.
EDITABLE: dict[str, type[Managed]] = {
    "policy": Policy,
    "profile": CapitalProfile,
    "account": Account,
    "instrument": Instrument,
    "restriction": RestrictedSymbol,
    "override": Override,
}


class Edit(Struct, frozen=True):
    """One row to be made or changed.

    Attributes
    ----------
    kind
        One of `EDITABLE`.
    key
        The row's primary key as text; empty for a new row that gets one by itself.
    expected_version
        The version of the row that was seen; 0: the row is to be made.
    fields
        The values to be set, by the names of the model's CHANGEABLE (a new row: any of its fields), as JSON has them:
        decimals and moments as text, a foreign key as the key of the other row.
    """

    kind: str
    key: str
    expected_version: int
    fields: Mapping[str, Any]


def unknown_in(edit: Edit) -> str:
    """Return what of an edit this version of the program does not know, empty where it knows all of it."""
    model = EDITABLE.get(edit.kind)
    if model is None:
        return f"officers manage no {edit.kind!r}"
    names = {field.name for field in model._meta.get_fields()}
    missing = [name for name in edit.fields if name not in names]
    if missing:
        return f"a {model._meta.verbose_name} has no {missing[0]!r}"
    try:
        model._meta.pk.to_python(edit.key or None)
    except ValidationError:
        return f"{edit.key!r} is not the key of a {model._meta.verbose_name}"
    return ""
