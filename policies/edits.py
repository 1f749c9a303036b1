"""What a change request is made of: single rows to be made or changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
