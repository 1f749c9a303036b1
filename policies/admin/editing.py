"""What a form of a row writes: a new request, or an edit of one that is there (`?request=12`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from audit.acting import Acting
from policies.edits import EDITABLE, Edit
from policies.errors import Unreadable
from policies.models import ChangeRequest
from policies.requests.applying import parse_fields, settable_when_new
from policies.requests.services import do_draft_request, do_edit_request
from policies.requests.trying import edits_of


@dataclass(frozen=True)
class Editing:
    """The request that a form edits, None where it writes a new one, and which of its edits the form shows."""

    request: ChangeRequest | None = None
    edits: tuple[Edit, ...] = field(default=())
    index: int = 0

    @classmethod
    def asked_for(cls, query: QueryDict, kind: str, key: str) -> Editing:
        """Return what a form of the row of this kind and key edits; a new row is named by `row` in the query."""
        number = query.get("request", "")
        request = ChangeRequest.objects.filter(pk=number).first() if number.isdecimal() else None
        if request is None:
            return cls()
        try:
            edits, key = edits_of(request), key or query.get("row", "")
        except Unreadable:
            return cls()
        found = [index for index, each in enumerate(edits) if (each.kind, each.key) == (kind, key)]
        return cls(request, edits, found[0]) if found else cls()

    @property
    def key(self) -> str:
        """Return the key of the new row that is edited, empty where there is none yet."""
        return self.edits[self.index].key if self.edits else ""

    def initial(self) -> dict[str, Any]:
        """Return what the form shows at first, apart from what the row says."""
        if self.request is None:
            return {}
        edit = self.edits[self.index]
        model = EDITABLE[edit.kind]
        values: Mapping[str, Any] = parse_fields(model, edit.fields, settable_when_new(model))
        own = {"change_reason": self.request.reason, "request_version": self.request.version}
        return {**values, **({} if edit.expected_version else {model._meta.pk.name: edit.key}), **own}

    def write(self, acting: Acting, reason: str, edit: Edit, seen: int) -> ChangeRequest:
        """Write the edit as a new request, or into the one that is edited, of which version `seen` was seen."""
        if self.request is None:
            return do_draft_request(acting=acting, reason=reason, edits=(edit,))
        edits = (*self.edits[: self.index], edit, *self.edits[self.index + 1 :])
        return do_edit_request(
            acting=acting, request_id=self.request.pk, expected_version=seen, reason=reason, edits=edits
        )

    def own_field(self, name: str) -> str:
        """Return the field that an error of a service is about, empty where it is about another edit."""
        index, _, wanted = name.partition(".")
        return "" if index.isdecimal() and int(index) != self.index else wanted or name
