"""What people do with published books."""

from __future__ import annotations

from audit.acting import Acting
from policies.book import loaded
from policies.books.restoring import edits_to_restore
from policies.errors import NothingToChange
from policies.models import ChangeRequest
from policies.requests.services import do_draft_request


def do_restore_book(*, acting: Acting, version: int, reason: str) -> ChangeRequest:
    """Write the request that makes the rows say again what a book says.

    Raises LookupError where there is none, ValueError where its content is not what was published, NothingToChange
    where the rows say so already, and what `do_draft_request` raises.
    """
    edits = edits_to_restore(loaded(version)).edits
    if not edits:
        raise NothingToChange(f"What book {version} says")
    return do_draft_request(acting=acting, reason=reason, edits=edits, title=f"Restore book {version}")
